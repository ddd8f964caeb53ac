package recovery

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/datagram"
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// AckState is the receiving side of a packet number space: it records which packets were received and when
// to acknowledge them. Call Init first.
//
// Packets are remembered for longer than they are acknowledged. A packet that arrives more than a round
// trip late is thus distinguished from a duplicate and acknowledged, so that its sender learns that it was
// not lost. Both are bounded by the number of ranges.
type AckState struct {
	space   Space
	atOnce  bool  // the packet that is being processed contains IMMEDIATE_ACK
	unacked int32 // ack-eliciting packets since the last ACK frame
	seen    RangeSet[wire.PacketNumber]
	floor   wire.PacketNumber // packets below count as received
	from    wire.PacketNumber // ACK frames start here: the peer knows about the packets below

	largest     wire.PacketNumber
	largestTime monotime.Time
	eliciting   wire.PacketNumber // largest ack-eliciting packet
	deadline    monotime.Time     // when an ACK frame is due; zero means never
	ecn         wire.ECNCounts
	freq        *ackFrequency // nil until the peer has sent ACK_FREQUENCY
}

const (
	// maxAckRanges bounds the ranges that are remembered and so the size of an ACK frame. When there are
	// more, the oldest packets are forgotten, and they are treated as duplicates if they arrive.
	maxAckRanges = 64

	// ackEvery is the number of ack-eliciting packets after which an ACK frame is sent.
	//
	// "A receiver SHOULD send an ACK frame after receiving at least two ack-eliciting packets."
	// https://www.rfc-editor.org/rfc/rfc9000#section-13.2.2-4
	ackEvery = 2
)

// Init initializes the state of space s, in which nothing has been received.
func (a *AckState) Init(s Space) {
	*a = AckState{space: s, largest: wire.NoPacket, eliciting: wire.NoPacket}
}

// Largest returns the largest packet number received, or wire.NoPacket.
//
// "Receivers can discard all ACK Ranges, but they MUST retain the largest packet number that has been successfully
// processed, as that is used to recover packet numbers from subsequent packets; see Section 17.1."
// https://www.rfc-editor.org/rfc/rfc9000#section-13.2.3-6
func (a *AckState) Largest() wire.PacketNumber { return a.largest }

// ShouldProcess reports whether a packet is certainly new.
//
// "A receiver MUST discard a newly unprotected packet unless it is certain that it has not processed
// another packet with the same packet number from the same packet number space."
// https://www.rfc-editor.org/rfc/rfc9000#section-12.3-11
func (a *AckState) ShouldProcess(pn wire.PacketNumber) bool {
	return pn >= a.floor && !a.seen.Contains(pn)
}

// Receive records a packet that was processed.
func (a *AckState) Receive(now monotime.Time, pn wire.PacketNumber, eliciting bool, ecn datagram.ECN) {
	if pn > a.largest {
		a.largest, a.largestTime = pn, now
	}
	a.from = min(a.from, pn)
	a.seen.Add(pn, pn+1)
	// "A receiver MUST retain an ACK Range unless it can ensure that it will not subsequently accept packets with
	// numbers in that range."
	// https://www.rfc-editor.org/rfc/rfc9000#section-13.2.3-5
	if a.seen.NumRanges() > maxAckRanges {
		a.floor = a.seen.Range(1).Start
		a.from = max(a.from, a.floor)
		a.seen.RemoveFirst()
	}
	switch ecn {
	case datagram.ECT0:
		a.ecn.ECT0++
	case datagram.ECT1:
		a.ecn.ECT1++
	case datagram.CE:
		a.ecn.CE++
	}
	if !eliciting {
		// "An endpoint MUST NOT send a non-ack-eliciting packet in response to a
		// non-ack-eliciting packet, even if there are packet gaps that precede the received
		// packet."
		// https://www.rfc-editor.org/rfc/rfc9000#section-13.2.1-4
		return
	}
	a.unacked++
	if a.immediate(pn, ecn) || a.atOnce {
		a.deadline = monotime.Min(a.deadline, now)
	} else if a.deadline.IsZero() {
		a.deadline = now.Add(a.maxDelay())
	}
	a.atOnce = false
	a.eliciting = max(a.eliciting, pn)
}

// Merge records the packets that other has received as well, without their ECN codepoints. Packets that
// other has not acknowledged yet are due at once.
func (a *AckState) Merge(now monotime.Time, other *AckState) {
	for i := range other.seen.NumRanges() {
		r := other.seen.Range(i)
		a.seen.Add(r.Start, r.End)
		a.from = min(a.from, r.Start)
	}
	for a.seen.NumRanges() > maxAckRanges {
		a.floor = a.seen.Range(1).Start
		a.from = max(a.from, a.floor)
		a.seen.RemoveFirst()
	}
	if other.largest > a.largest {
		a.largest, a.largestTime = other.largest, other.largestTime
	}
	a.eliciting = max(a.eliciting, other.eliciting)
	if other.unacked > 0 {
		a.unacked = max(a.unacked, other.unacked)
		a.deadline = monotime.Min(a.deadline, now)
	}
}

// immediate reports whether the newest packet, which is ack-eliciting, must be acknowledged at once.
func (a *AckState) immediate(pn wire.PacketNumber, ecn datagram.ECN) bool {
	switch {
	case a.space != SpaceApp:
		// "An endpoint MUST acknowledge all ack-eliciting Initial and Handshake packets
		// immediately".
		// https://www.rfc-editor.org/rfc/rfc9000#section-13.2.1-2
		return true
	case a.freq != nil:
		return a.immediateByFrequency(pn, ecn)
	case a.unacked >= ackEvery:
		return true
	case ecn == datagram.CE:
		// "[P]ackets marked with the ECN Congestion Experienced (CE) codepoint in the IP header
		// SHOULD be acknowledged immediately".
		// https://www.rfc-editor.org/rfc/rfc9000#section-13.2.1-9
		return true
	}
	return a.outOfOrder(pn)
}

// outOfOrder reports whether an ack-eliciting packet is late or makes a gap.
func (a *AckState) outOfOrder(pn wire.PacketNumber) bool {
	// "[...] an endpoint SHOULD generate and send an ACK frame without delay when it receives an
	// ack-eliciting packet either: [...] when the received packet has a packet number less than
	// another ack-eliciting packet that has been received, or [...] when the packet has a packet
	// number larger than the highest-numbered ack-eliciting packet that has been received and there
	// are missing packets between that packet and this packet."
	// https://www.rfc-editor.org/rfc/rfc9000#section-13.2.1-7
	return pn < a.eliciting || !a.seen.Covers(max(a.eliciting+1, a.floor), pn)
}

// ShouldSendAck reports whether an ACK frame is due.
func (a *AckState) ShouldSendAck(now monotime.Time) bool {
	return !a.deadline.IsZero() && !now.Before(a.deadline)
}

// AckDeadline returns when an ACK frame is due, which may be in the past, or zero for never.
func (a *AckState) AckDeadline() monotime.Time { return a.deadline }

// Unacked returns the number of ack-eliciting packets received since the last ACK frame.
func (a *AckState) Unacked() int { return int(a.unacked) }

// HasUnacked reports whether an ACK frame would acknowledge further ack-eliciting packets. If so, it is
// sent together with other frames.
func (a *AckState) HasUnacked() bool { return a.unacked > 0 }

// Delay returns the time since the packet with the largest number arrived.
//
// "An endpoint MUST NOT include delays that it does not control when populating the ACK Delay field in an ACK frame."
// https://www.rfc-editor.org/rfc/rfc9000#section-13.2.5-2
func (a *AckState) Delay(now monotime.Time) time.Duration {
	if a.largest == wire.NoPacket {
		return 0
	}
	return max(0, now.Sub(a.largestTime))
}

// AppendAck appends an ACK frame of at most room bytes. If not all ranges fit, it contains the newest ones.
// If not even one fits, nothing is appended.
func (a *AckState) AppendAck(b []byte, now monotime.Time, room int) []byte {
	var ranges [maxAckRanges]wire.PNRange
	n := 0
	for i := range a.seen.NumRanges() {
		if r := a.seen.Range(i); r.End > a.from {
			ranges[n] = wire.PNRange{Start: max(r.Start, a.from), End: r.End}
			n++
		}
	}
	var delay uint64
	if a.space == SpaceApp {
		delay = uint64(a.Delay(now)/time.Microsecond) >> AckDelayExponent
	}
	// "Even if an endpoint does not set an ECT field in packets it sends, the endpoint MUST provide feedback about
	// ECN markings it receives, if these are accessible."
	// https://www.rfc-editor.org/rfc/rfc9000#section-13.4.1-2
	var ecn *wire.ECNCounts
	if a.ecn != (wire.ECNCounts{}) {
		ecn = &a.ecn
	}
	return wire.AppendAck(b, ranges[:n], delay, ecn, room)
}

// SentAck records that an ACK frame is sent.
//
// "Since packets containing only ACK frames are not congestion controlled, an endpoint MUST NOT send more than one
// such packet in response to receiving an ack-eliciting packet."
// https://www.rfc-editor.org/rfc/rfc9000#section-13.2.1-3
func (a *AckState) SentAck() {
	a.unacked, a.deadline = 0, 0
	if a.freq != nil {
		a.freq.acked = a.largest
	}
}

// HandleAckOfAck records that the peer has received an ACK frame whose largest packet number is given.
//
// "When a packet containing an ACK frame is acknowledged, the receiver can stop acknowledging packets
// less than or equal to the Largest Acknowledged field in the sent ACK frame."
// https://www.rfc-editor.org/rfc/rfc9000#section-13.2.4-1
func (a *AckState) HandleAckOfAck(largest wire.PacketNumber) {
	// The largest range remains: "A receiver SHOULD include an ACK Range containing the largest received
	// packet number in every ACK frame."
	// https://www.rfc-editor.org/rfc/rfc9000#section-13.2.3-7
	a.from = max(a.from, min(largest+1, a.largest))
}
