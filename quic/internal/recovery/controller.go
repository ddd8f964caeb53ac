package recovery

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// A Controller is a congestion controller. It belongs to one [Path] and sees only that path's packets.
//
// Its inputs are events: each packet sent, each acknowledgement, and each detection of losses as a whole.
// Its outputs are the values of [Output]. The path reads and stores them after each event, so that deciding
// whether a packet may be sent needs no call.
//
// The methods receive pointers to values that they may read until they return. They must not retain them.
// Sizes are in bytes of UDP payload. Only packets that count as in flight are reported.
//
// For one ACK frame, the path calls Spurious for each packet that the frame acknowledges and that had been
// declared lost, then Lost if the frame shows losses, then Acked.
type Controller interface {
	// Reset initializes the controller for a new path with datagrams of the given size. It is called first,
	// and again when a client starts over after a Retry packet.
	Reset(now monotime.Time, datagramSize int)
	// SetDatagramSize changes the size of datagrams.
	SetDatagramSize(size int)
	// PacketSent reports a packet that is sent now. inFlight is the number of bytes in flight, including
	// the packet.
	PacketSent(now monotime.Time, size, inFlight int)
	// Acked reports the packets that an ACK frame acknowledges. It returns true if the controller began to
	// reduce its rate because of ECN-CE marks.
	Acked(*AckBatch) (reduced bool)
	// Lost reports packets that were declared lost together. It returns true if the controller began to
	// reduce its rate.
	Lost(*LossBatch) (reduced bool)
	// Spurious reports the late acknowledgement of a packet that was declared lost. It returns true if the
	// controller undid a reduction because of it.
	Spurious(*SpuriousLoss) (undone bool)
	// Output returns the controller's decisions. rtt is the path's estimate.
	Output(rtt *RTT) Output
}

// Output contains a Controller's decisions.
type Output struct {
	// Window is the congestion window: the largest number of bytes in flight. The path keeps it
	// between two datagrams and 128 MiB.
	Window int
	// PacingRate is the rate at which to send, in bytes per second. 0 means that packets are not paced.
	PacingRate int64
	// MaxTrain is the largest number of bytes to send as one train. 0 means that the pacer alone decides. A
	// receiver acknowledges a train once, so shorter trains bring more acknowledgements.
	MaxTrain int
	// RecoveryStart is when the latest recovery period began, or zero if there was none. The batches count
	// bytes and packets that were sent later separately. A controller without recovery periods leaves it
	// zero.
	RecoveryStart monotime.Time
	// AppLimited marks the samples of what is in flight as limited by the application, because the
	// controller sends less than the path can carry.
	AppLimited bool
}

// An AckBatch describes the packets of one path that one ACK frame newly acknowledges.
type AckBatch struct {
	Now monotime.Time
	// Bytes is the size of those packets that were in flight, that is, neither acknowledged nor lost
	// before. NewBytes counts the bytes that were sent after the recovery period began.
	Bytes, NewBytes int
	// LostBytes is the size of the packets that were declared lost because of the frame.
	LostBytes int
	// Reduced reports whether Lost returned true for the same frame.
	Reduced bool
	// InFlight is the number of bytes that remain in flight.
	InFlight int
	// LatestSent is when the newest of the packets was sent.
	LatestSent monotime.Time
	// RTT is the round-trip time sample from the frame, or 0.
	RTT time.Duration
	// SmoothedRTT is the path's estimate, which includes the sample.
	SmoothedRTT time.Duration
	// CE is the number of packets that the peer newly reports as marked with ECN-CE, without those that were sent so.
	CE uint64
	// Sample is the delivery rate sample from the newest of the packets that was in flight. It is zero if none
	// was.
	Sample RateSample

	eliciting bool
	marked    uint32            // packets sent with ECT(0) or ECN-CE
	ce        uint32            // packets sent with ECN-CE
	largest   wire.PacketNumber // NoPacket if the batch is empty

	// The newest of the packets that was in flight, if sampled is set.
	sampled    bool
	newestNum  wire.PacketNumber
	newestSent monotime.Time
	newest     rateState
}

// A LossBatch describes the packets of one path that are declared lost together.
type LossBatch struct {
	Now monotime.Time
	// ID numbers the loss detections of a connection. A SpuriousLoss refers to it.
	ID uint32
	// Packets is the number of packets. NewPackets is the number of packets that were sent after the
	// recovery period began.
	Packets, NewPackets int
	// Ranges is the number of runs of consecutive packet numbers that the packets form.
	Ranges int
	Bytes  int
	// InFlight is the number of bytes that remain in flight.
	InFlight int
	// LatestSent is when the newest of the packets was sent.
	LatestSent monotime.Time
	// Persistent reports whether the losses establish persistent congestion (RFC 9002, section 7.6).
	Persistent bool
	// Sample describes what was in flight, lost and delivered since the newest of the packets was sent.
	Sample RateSample

	newest rateState
	last   wire.PacketNumber // the packet that was added last
}

// A SpuriousLoss is the acknowledgement of a packet that was declared lost.
type SpuriousLoss struct {
	ID   uint32        // the LossBatch in which the packet was declared lost
	Sent monotime.Time // when the packet was sent
	Size int
}
