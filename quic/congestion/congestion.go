// Package congestion chooses the congestion controller of package quic, and has the interface for a program's own.
//
// [CUBIC] is the default. [BBR] is for paths with random losses and for long queues. A [Custom] one replaces the
// decisions how many bytes may be in flight, and how fast they are sent:
//
//	cfg.CongestionControl = congestion.Custom("fixed", func() congestion.Controller { return fixed{rate: 1 << 20} })
//
// A controller that returns or panics cannot break a connection. Package quic bounds its decisions, limits what a sender
// may hold in memory, decides itself about probes and about what may be sent to an address that is not validated, and
// goes on with CUBIC if a method panics. Whether the network can bear the decisions is the program's responsibility
// (RFC 9002, section 7).
package congestion

import "time"

// An Algorithm makes the congestion controllers of connections. The zero value is CUBIC.
type Algorithm struct {
	name          string
	newController func() Controller
}

// CUBIC is RFC 9438 with HyStart++ (RFC 9406).
func CUBIC() Algorithm { return Algorithm{} }

// BBR is version 3 of BBR (draft-ietf-ccwg-bbr).
func BBR() Algorithm { return Algorithm{name: "bbr"} }

// NewReno is the controller of RFC 9002.
func NewReno() Algorithm { return Algorithm{name: "newreno"} }

// Custom returns the algorithm of a program. newController makes a controller for one network path of one connection;
// it may be called on any goroutine. The name is for logs.
func Custom(name string, newController func() Controller) Algorithm {
	return Algorithm{name: name, newController: newController}
}

// String returns the name of the algorithm.
func (a Algorithm) String() string {
	if a.name == "" && a.newController == nil {
		return "cubic"
	}
	return a.name
}

// Constructor returns the function that was given to Custom, or nil for an algorithm of package quic.
func (a Algorithm) Constructor() func() Controller { return a.newController }

// A Controller decides how much a connection sends on one path. Its methods are called one at a time, must not block,
// must not retain what pointers refer to, and must not call runtime.Goexit, as testing.T.FailNow does: the program
// then panics, because the connection would stay locked. After each call of another method, package quic may call Decide.
//
// Sizes are in bytes of UDP payload. Packets that only acknowledge, and the probes that look for larger datagrams, do
// not count as lost. A controller that allocates in its methods costs the connection an allocation for each packet.
type Controller interface {
	// PacketSent reports a packet that is sent now. Path.InFlight includes it.
	PacketSent(p *Path, size int)
	// Acked reports the packets that the peer acknowledges with one frame.
	Acked(p *Path, a *Ack)
	// Lost reports the packets that are declared lost together. For a frame that shows losses, it comes before Acked.
	Lost(p *Path, l *Loss)
	// Decide returns the decisions.
	Decide(p *Path) Decision
}

// Path describes the path at the time of a call.
type Path struct {
	// Now is a time on a monotonic clock of arbitrary origin.
	Now time.Duration
	// DatagramSize is the largest UDP payload of a packet. It grows when the path is found to carry more.
	DatagramSize int
	// InFlight is the number of bytes that were sent and are neither acknowledged nor lost.
	InFlight int
	// SmoothedRTT is an initial value and the others are 0 until Sampled is set.
	SmoothedRTT, LatestRTT, MinRTT time.Duration
	Sampled                        bool
}

// Ack describes newly acknowledged packets.
type Ack struct {
	Bytes int           // of the packets that were in flight until now
	RTT   time.Duration // the round-trip time sample from the frame, or 0
	CE    uint64        // packets that the network has marked (ECN-CE)
	// LateBytes is the size of packets that had been declared lost and are acknowledged after all: the losses were
	// spurious.
	LateBytes int
	Sample    RateSample
}

// Loss describes packets that are declared lost.
type Loss struct {
	Packets, Bytes int
	// Persistent reports whether everything sent for a long time was lost (RFC 9002, section 7.6).
	Persistent bool
	// Sample is about the newest of the packets. It has no Interval.
	Sample RateSample
}

// A RateSample shows how fast the path delivers. It covers the time from the sending of a packet, the newest of those
// reported, to its acknowledgement or loss.
type RateSample struct {
	// Delivered is the number of bytes acknowledged during Interval. An Interval of 0 gives no rate.
	Delivered uint64
	Interval  time.Duration
	// Total is the number of bytes acknowledged on the path before the packet was sent. A round trip ends when it
	// reaches the value of Total + Delivered at its start.
	Total uint64
	// AppLimited reports whether the application, and not the path, may have limited the rate.
	AppLimited bool
	// InFlight is the number of bytes in flight just after the packet was sent, and Lost the number of bytes declared
	// lost since then.
	InFlight int
	Lost     uint64
}

// Rate returns the rate in bytes per second, or 0 if the sample gives none.
func (s *RateSample) Rate() int64 {
	if s.Interval <= 0 {
		return 0
	}
	return int64(float64(s.Delivered) / s.Interval.Seconds())
}

// Decision is what a Controller decides.
type Decision struct {
	// Window is the largest number of bytes in flight. It counts as two datagrams if it is less, and as 128 MiB if it
	// is more.
	Window int
	// Rate is how many bytes are sent per second. If it is not positive, the window is spread over 4/5 of a round
	// trip. A rate of less than two datagrams in a round trip, or in a second if that is longer, counts as that.
	Rate int64
}
