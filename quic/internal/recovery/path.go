package recovery

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// A Path is the state of one network path: its round-trip time, congestion control, pacing, reordering
// thresholds and ECN, and a server's limit before the peer's address is validated. Packet numbers and sent
// packets belong to the connection's [Loss]. Each sent packet points to the path on which it was sent.
type Path struct {
	rtt          RTT
	cc           Controller
	out          Output // the output of cc after the latest event
	pacer        pacer
	reo          reordering
	amp          Amplification // while the path is the active one
	delivery     delivery
	mtu          mtuSearch
	datagramSize int // the maximum UDP payload to send: mtu.size when the batches were last complete

	bytesInFlight int
	firstSample   monotime.Time // when the first RTT sample was taken
	ecn           pathECN
	oneMore       bool // one packet may be sent although the window is full
	background    bool // another path is the active one: see Loss.Use

	// The state of this path's packets in each packet number space.
	spaces [NumSpaces]pathSpace

	*batches // nil while the connection rests: see wake

	counted int // bytes in flight as counted by CheckInvariants
}

// batches are a path's batches for its Controller, from the ACK frame and the losses that are being processed.
type batches struct {
	ack      AckBatch
	losses   LossBatch
	spurious SpuriousLoss
	delay    time.Duration // the time threshold for the losses being processed
}

// wake allocates the batches if the connection has rested.
func (p *Path) wake() {
	if p.batches == nil {
		p.batches = new(batches)
	}
}

// pathSpace is the state of a Path's packets in one packet number space.
type pathSpace struct {
	largestAcked  wire.PacketNumber
	lastAckedSent monotime.Time // latest time at which an acknowledged packet was sent
	lostRun       lostRun
}

// maxWindow bounds the congestion window. It permits 10 Gbit/s with a round-trip time of 100 ms.
const maxWindow = 128 << 20

func newPath(now monotime.Time, cfg *Config) *Path {
	newController := cfg.NewController
	if newController == nil {
		newController = NewCubic
	}
	p := &Path{datagramSize: cfg.MaxDatagramSize, cc: newController()}
	p.mtu.init(cfg.MaxDatagramSize)
	p.amp.validated = !cfg.Server
	if cfg.ECN {
		p.ecn.phase = ecnTesting
	}
	for s := range p.spaces {
		p.spaces[s].largestAcked = wire.NoPacket
	}
	p.reset(now, cfg.InitialRTT)
	return p
}

// reset forgets all measurements.
func (p *Path) reset(now monotime.Time, initialRTT time.Duration) {
	p.rtt.init(initialRTT)
	p.cc.Reset(now, p.datagramSize)
	p.pacer.init(now, p.datagramSize)
	p.reo.init()
	p.delivery = delivery{}
	p.oneMore = false
	p.readOutput()
}

// readOutput stores the controller's decisions.
func (p *Path) readOutput() {
	p.out = p.cc.Output(&p.rtt)
	least := 2 * p.datagramSize
	p.out.Window = min(max(p.out.Window, least), max(maxWindow, least))
	if p.out.AppLimited {
		p.delivery.limited(p.bytesInFlight)
	}
}

// setRate applies a new datagram size, stores the controller's decisions and sets the pacer's rate.
func (p *Path) setRate(now monotime.Time) {
	if p.datagramSize != p.mtu.size {
		p.applyDatagramSize(p.mtu.size)
	}
	p.readOutput()
	p.pacer.setRate(now, p.out.PacingRate)
}

// inRecovery reports whether a packet was sent before the recovery period that its acknowledgement could
// end.
func (p *Path) inRecovery(sent monotime.Time) bool {
	return !p.out.RecoveryStart.IsZero() && !sent.After(p.out.RecoveryStart)
}

// sent records a packet that is in flight.
func (p *Path) sent(now monotime.Time, pkt *SentPacket) {
	p.oneMore = false
	pkt.rate = p.delivery.sent(now, pkt.Size, p.bytesInFlight)
	p.cc.PacketSent(now, pkt.Size, p.bytesInFlight)
	p.pacer.sent(now, pkt.Size)
}

// windowOpen reports whether the congestion window has room for a datagram. If a probe of the path's MTU is
// due, there must be room for the probe. Otherwise, a sender with bulk data would fill the window with smaller
// datagrams forever.
func (p *Path) windowOpen() bool {
	return p.bytesInFlight+max(p.datagramSize, p.MTUProbeSize()) <= p.out.Window || p.oneMore
}

// SetMaxDatagramSize sets the maximum size of our datagrams in bytes of UDP payload. The path is assumed to
// carry it; EnableMTUSearch allows them to grow beyond it.
func (p *Path) SetMaxDatagramSize(n int) {
	p.mtu.init(n)
	p.applyDatagramSize(n)
	p.readOutput()
}

func (p *Path) applyDatagramSize(n int) {
	p.datagramSize = n
	p.cc.SetDatagramSize(n)
	p.pacer.mds = n
}

// MaxDatagramSize returns the maximum size of our datagrams in bytes of UDP payload.
func (p *Path) MaxDatagramSize() int { return p.datagramSize }

// RTT returns the path's round-trip time estimate.
func (p *Path) RTT() RTT { return p.rtt }

// SmoothedRTT returns the smoothed round-trip time, or the initial one before the first sample.
func (p *Path) SmoothedRTT() time.Duration { return p.rtt.Smoothed }

// CongestionWindow returns the congestion window in bytes.
func (p *Path) CongestionWindow() int { return p.out.Window }

// PacingRate returns the rate at which packets are sent, in bytes per second, or 0 if they are not paced.
func (p *Path) PacingRate() int64 { return p.out.PacingRate }

// CongestionState returns the name of the controller's state. A controller with recovery periods is in
// recovery until a packet is acknowledged that was sent after the period began. Otherwise it has the state
// that its method State returns, if it has one.
func (p *Path) CongestionState() string {
	var newest monotime.Time // when the newest packet that was acknowledged was sent
	for s := range p.spaces {
		newest = max(newest, p.spaces[s].lastAckedSent)
	}
	if !p.out.RecoveryStart.IsZero() && p.inRecovery(newest) {
		return "recovery"
	}
	if c, ok := p.cc.(interface{ State() string }); ok {
		return c.State()
	}
	return "unknown"
}

// BytesInFlight returns the number of bytes in flight.
func (p *Path) BytesInFlight() int { return p.bytesInFlight }

// ECNFailed reports whether the path or the peer does not support ECN, so that packets must not be marked
// any more.
func (p *Path) ECNFailed() bool { return p.ecn.phase == ecnFailed }

// ECNCapable reports whether the path and the peer have been found to support ECN.
func (p *Path) ECNCapable() bool { return p.ecn.phase == ecnCapable }
