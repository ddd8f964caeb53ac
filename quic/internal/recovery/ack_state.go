package recovery

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// maxAckRanges bounds the received ranges that are remembered, and so an ACK frame.
const maxAckRanges = 64

// ackHistory is how many numbers below an acknowledged acknowledgement are remembered, so that
// packets that come late by this much are still told from duplicates.
const ackHistory = 128

// AckState knows the received packets of one space, and when to acknowledge them.
type AckState struct {
	space       Space
	seen        RangeSet[wire.PacketNumber]
	floor       wire.PacketNumber // nothing is known below: taken for duplicates
	largest     wire.PacketNumber
	largestTime monotime.Time
	eliciting   int // ack-eliciting packets not acknowledged yet
	now         bool
	deadline    monotime.Time
	ecn         wire.ECNCounts
}

// Init prepares the state of a space.
func (a *AckState) Init(s Space) { *a = AckState{space: s, largest: wire.NoPacket} }

// Largest is the largest number received, or wire.NoPacket.
func (a *AckState) Largest() wire.PacketNumber { return a.largest }

// ShouldProcess reports whether a packet is new.
//
// "A receiver MUST discard a newly unprotected packet unless it is certain that it has not processed
// another packet with the same packet number from the same packet number space."
// https://www.rfc-editor.org/rfc/rfc9000#section-12.3-5
func (a *AckState) ShouldProcess(pn wire.PacketNumber) bool {
	return pn >= a.floor && !a.seen.Contains(pn)
}

// Receive records a packet that was processed.
func (a *AckState) Receive(now monotime.Time, pn wire.PacketNumber, eliciting bool, ecn ECN) {
	inOrder := pn == a.largest+1
	if pn > a.largest {
		a.largest, a.largestTime = pn, now
	}
	a.seen.Add(pn, pn+1)
	if a.seen.NumRanges() > maxAckRanges {
		oldest := a.seen.Range(0)
		a.seen.Sub(oldest.Start, oldest.End)
		a.floor = oldest.End
	}
	switch ecn {
	case ect0:
		a.ecn.ECT0++
	case ect1:
		a.ecn.ECT1++
	case ce:
		a.ecn.CE++
	}
	if !eliciting {
		return
	}
	a.eliciting++
	// "[A]n endpoint SHOULD generate and send an ACK frame without delay when it receives an
	// ack-eliciting packet either [...] out of order or [with] missing packets [between] [...]
	// [and] immediately acknowledge [...] Initial and Handshake packets [...] packets marked with
	// the ECN Congestion Experienced (CE) codepoint".
	// https://www.rfc-editor.org/rfc/rfc9000#section-13.2.1-8
	if a.space != SpaceApp || !inOrder || ecn == ce || a.eliciting >= 2 {
		a.now = true
	}
	if a.deadline.IsZero() {
		a.deadline = now.Add(MaxAckDelay)
	}
}

// ShouldSendAck reports whether an acknowledgement is due.
func (a *AckState) ShouldSendAck(now monotime.Time) bool {
	return a.now || !a.deadline.IsZero() && !now.Before(a.deadline)
}

// HasUnacked reports whether an acknowledgement would tell the peer something.
func (a *AckState) HasUnacked() bool { return a.eliciting > 0 }

// AckDeadline is when an acknowledgement will be due by time alone; zero is never.
func (a *AckState) AckDeadline() monotime.Time { return a.deadline }

// AppendAck appends an ACK frame of at most room bytes.
func (a *AckState) AppendAck(b []byte, now monotime.Time, room int) []byte {
	var ranges [maxAckRanges]wire.PNRange
	n := a.seen.NumRanges()
	for i := range n {
		r := a.seen.Range(i)
		ranges[i] = wire.PNRange{Start: r.Start, End: r.End}
	}
	var ecn *wire.ECNCounts
	if a.ecn != (wire.ECNCounts{}) {
		ecn = &a.ecn
	}
	delay := uint64(max(0, now.Sub(a.largestTime))/time.Microsecond) >> defaultAckDelayExponent
	return wire.AppendAck(b, ranges[:n], delay, ecn, room)
}

const defaultAckDelayExponent = 3

// SentAck records that an ACK frame goes out.
func (a *AckState) SentAck() { a.eliciting, a.now, a.deadline = 0, false, 0 }

// HandleAckOfAck: the peer has an ACK frame of ours with this largest number.
//
// "When an ACK frame is acknowledged, the receiver can stop acknowledging packets less than or equal
// to the Largest Acknowledged field in the sent ACK frame."
// https://www.rfc-editor.org/rfc/rfc9000#section-13.2.4-1
func (a *AckState) HandleAckOfAck(largest wire.PacketNumber) {
	floor := largest + 1 - ackHistory
	if floor > a.floor {
		a.floor = floor
		a.seen.Sub(0, floor)
	}
}
