package recovery

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// A Controller is a congestion controller. It belongs to one [Path] and sees only that path's packets.
//
// Its inputs are events: each packet that leaves, each acknowledgement and each detection of losses as a
// whole. Its outputs are the values of [Output], which the path reads after each event and keeps, so that
// the decision whether a packet may be sent takes no call.
//
// The methods get pointers to values that they may read until they return. They must not keep them. Sizes
// are in bytes of UDP payload. Only packets that count as in flight are reported.
//
// For one ACK frame, the path calls Spurious for each packet that it had declared lost and that the frame
// acknowledges, then Lost if the frame shows losses, then Acked.
type Controller interface {
	// Reset puts the controller into the state for a new path, on which datagrams have the given
	// size. It is called first, and again when a client starts over after a Retry packet.
	Reset(now monotime.Time, datagramSize int)
	// SetDatagramSize changes the size of datagrams.
	SetDatagramSize(size int)
	// PacketSent reports a packet that leaves now. inFlight is the number of bytes in flight,
	// including the packet.
	PacketSent(now monotime.Time, size, inFlight int)
	// Acked reports the packets that an ACK frame acknowledges. It reports whether the controller
	// began to reduce its rate, because of ECN-CE marks.
	Acked(*AckBatch) (reduced bool)
	// Lost reports packets that were declared lost together. It reports whether the controller
	// began to reduce its rate.
	Lost(*LossBatch) (reduced bool)
	// Spurious reports the late acknowledgement of a packet that was declared lost. It reports
	// whether the controller took a reduction back because of it.
	Spurious(*SpuriousLoss) (undone bool)
	// Output returns the controller's decisions. rtt is the path's estimate.
	Output(rtt *RTT) Output
}

// Output is what a Controller decides.
type Output struct {
	// Window is the congestion window: the largest number of bytes in flight. The path keeps it
	// between two datagrams and 16 MiB.
	Window int
	// PacingRate is the rate at which packets leave, in bytes a second. 0 means that they are not
	// paced.
	PacingRate int64
	// RecoveryStart is when the latest recovery period began; zero means that there was none. The
	// batches say how many of their bytes and packets were sent later. A controller without recovery
	// periods leaves it zero.
	RecoveryStart monotime.Time
}

// An AckBatch describes the packets of one path that one ACK frame newly acknowledges.
type AckBatch struct {
	Now monotime.Time
	// Bytes is the size of those that were in flight: neither acknowledged nor lost before.
	// NewBytes is the part of it that was sent after the recovery period began.
	Bytes, NewBytes int
	// LostBytes is the size of the packets that were declared lost because of the frame.
	LostBytes int
	// Reduced means that Lost reported a reduction because of the same frame.
	Reduced bool
	// InFlight is the number of bytes that remain in flight.
	InFlight int
	// LatestSent is when the newest of the packets was sent.
	LatestSent monotime.Time
	// RTT is the sample of the round-trip time that the frame gave, or 0.
	RTT time.Duration
	// CE is the number of packets that the peer newly reports as marked with ECN-CE.
	CE uint64
	// Sample is the sample of the delivery rate that the newest of the packets gives.
	Sample RateSample

	eliciting bool
	ect       uint64            // packets sent with ECT(0)
	largest   wire.PacketNumber // NoPacket: the batch is empty
	newest    rateState         // of the packet with that number
}

// A LossBatch describes the packets of one path that are declared lost together.
type LossBatch struct {
	Now monotime.Time
	// ID counts the detections of a connection. A SpuriousLoss names the one that it refutes.
	ID uint32
	// Packets is the number of packets, NewPackets the number of those that were sent after the
	// recovery period began.
	Packets, NewPackets int
	Bytes               int
	// InFlight is the number of bytes that remain in flight.
	InFlight int
	// LatestSent is when the newest of the packets was sent.
	LatestSent monotime.Time
	// Persistent means that the losses establish persistent congestion (RFC 9002, 7.6).
	Persistent bool
	// Sample tells what was in flight, lost and delivered since the newest of the packets was sent.
	Sample RateSample

	newest rateState
}

// A SpuriousLoss is the acknowledgement of a packet that was declared lost.
type SpuriousLoss struct {
	ID   uint32        // of the LossBatch in which it was declared lost
	Sent monotime.Time // when it was sent
	Size int
}
