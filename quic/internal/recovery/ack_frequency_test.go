package recovery

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/internal/varint"
	"github.com/pqquic/pqquic/quic/internal/datagram"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// never is a threshold that is not reached.
const never = varint.Max

// The tables of draft-ietf-quic-ack-frequency, Examples: acknowledgements are only sent due to reordering.
func TestAckFrequencyReordering(t *testing.T) {
	for _, tt := range []struct {
		reordering uint64
		packets    []wire.PacketNumber
		acked      []wire.PacketNumber // those that are acknowledged at once
	}{
		{3, []wire.PacketNumber{0, 1, 3, 4, 5, 8, 9, 10}, []wire.PacketNumber{5, 9, 10}},
		{5, []wire.PacketNumber{0, 1, 3, 5, 6, 7, 8, 9}, []wire.PacketNumber{7, 9}},
		{1, []wire.PacketNumber{0, 1, 3, 4, 2}, []wire.PacketNumber{3, 2}},
		{0, []wire.PacketNumber{0, 1, 3, 4, 50, 2}, nil},
		// "[The] received packet number is less than or equal to `Largest Acked - Reordering Threshold`"
		{3, []wire.PacketNumber{0, 1, 2, 3, 8, 9, 10, 5, 12, 7}, []wire.PacketNumber{8, 9, 10, 5, 7}},
	} {
		at := newAckTest(t, SpaceApp)
		at.a.SetAckFrequency(&wire.AckFrequency{Threshold: never, MaxDelay: 1e6, Reordering: tt.reordering})
		var acked []wire.PacketNumber
		for _, pn := range tt.packets {
			at.receive(pn)
			if at.a.ShouldSendAck(at.now) {
				acked = append(acked, pn)
				at.a.SentAck()
			}
		}
		require.Equal(t, tt.acked, acked, "threshold %d", tt.reordering)
	}
}

// "The number of received ack-eliciting packets is greater than the Ack-Eliciting Threshold", or "max_ack_delay amount
// of time has passed and at least one ack-eliciting packet has been received".
// (draft-ietf-quic-ack-frequency, Sending Acknowledgments)
func TestAckFrequencyThreshold(t *testing.T) {
	for _, threshold := range []wire.PacketNumber{0, 1, 5, 40} {
		at := newAckTest(t, SpaceApp)
		at.a.SetAckFrequency(&wire.AckFrequency{Threshold: uint64(threshold), MaxDelay: 400_000, Reordering: 3})
		for pn := range 3 * (threshold + 1) {
			at.receive(pn)
			at.want("more than the threshold", (pn+1)%(threshold+1) == 0)
			if at.a.ShouldSendAck(at.now) {
				at.a.SentAck()
			}
		}
		if threshold > 0 {
			at.receive(3 * (threshold + 1))
			require.Equal(t, at.now.Add(400*time.Millisecond), at.a.AckDeadline())
		}
	}
}

// "A receiving endpoint MUST ignore a received ACK_FREQUENCY frame unless the Sequence Number value in the frame is
// greater than the largest processed value." (draft-ietf-quic-ack-frequency, ACK_FREQUENCY Frame)
func TestAckFrequencySequence(t *testing.T) {
	at := newAckTest(t, SpaceApp)
	at.a.SetAckFrequency(&wire.AckFrequency{Seq: 5, Threshold: 3, MaxDelay: 1000})
	for _, seq := range []uint64{0, 4, 5} {
		at.a.SetAckFrequency(&wire.AckFrequency{Seq: seq, Threshold: 0, MaxDelay: 9000})
		require.Equal(t, time.Millisecond, at.a.maxDelay())
	}
	at.receive(0)
	at.want("the threshold of the first frame", false)
	at.a.SetAckFrequency(&wire.AckFrequency{Seq: 6, Threshold: 0, MaxDelay: 9000})
	at.receive(1)
	at.want("the threshold of the last frame", true)
}

// "An endpoint SHOULD send a packet containing an ACK frame immediately upon receiving an IMMEDIATE_ACK frame."
// (draft-ietf-quic-ack-frequency, IMMEDIATE_ACK Frame)
func TestImmediateAck(t *testing.T) {
	at := newAckTest(t, SpaceApp)
	at.receive(0)
	at.want("one packet", false)
	at.a.SentAck()
	at.a.AckAtOnce()
	at.receive(1)
	at.want("IMMEDIATE_ACK", true)
	at.a.SentAck()
	at.receive(2)
	at.want("only once", false)
}

// "[It] SHOULD send an immediate acknowledgement when a packet marked with the ECN Congestion Experienced (CE)"
// codepoint. Above a threshold of 1, that is only so if the packet before was not marked.
func TestAckFrequencyCE(t *testing.T) {
	for _, tt := range []struct {
		threshold uint64
		want      []bool
	}{{10, []bool{false, true, false, false, true}}, {1, []bool{false, true, true, false, true}}} {
		at := newAckTest(t, SpaceApp)
		at.a.SetAckFrequency(&wire.AckFrequency{Threshold: tt.threshold, MaxDelay: 1e6, Reordering: 3})
		for i, ecn := range []datagram.ECN{datagram.ECT0, datagram.CE, datagram.CE, datagram.ECT0, datagram.CE} {
			at.a.Receive(at.now, wire.PacketNumber(i), true, ecn)
			at.want("CE", tt.want[i])
			if tt.want[i] {
				at.a.SentAck()
			}
		}
	}
}

// However little a peer wants acknowledged, no range is forgotten before it was.
func TestAckFrequencyForgetsNothing(t *testing.T) {
	at := newAckTest(t, SpaceApp)
	at.a.SetAckFrequency(&wire.AckFrequency{Threshold: never, MaxDelay: 1e7})
	var acked RangeSet[wire.PacketNumber]
	for pn := wire.PacketNumber(0); pn < 1000; pn += 2 {
		at.receive(pn)
		if !at.a.ShouldSendAck(at.now) {
			continue
		}
		f, n := wire.ConsumeAck(at.a.AppendAck(nil, at.now, 1200))
		require.Positive(t, n)
		for r := range f.Ranges {
			acked.Add(r.Start, r.End)
		}
		at.a.SentAck()
	}
	require.GreaterOrEqual(t, acked.NumRanges(), 490)
}

// Gaps that have been acknowledged do not cause further acknowledgements at once, however many there are.
func TestAckFrequencyAfterManyGaps(t *testing.T) {
	at := newAckTest(t, SpaceApp)
	at.a.SetAckFrequency(&wire.AckFrequency{Threshold: 9, MaxDelay: 1e7, Reordering: 3})
	acks, packets := 0, 0
	receive := func(pn wire.PacketNumber) {
		at.receive(pn)
		if packets++; at.a.ShouldSendAck(at.now) {
			at.a.SentAck()
			acks++
		}
	}
	pn := wire.PacketNumber(0)
	for range 3 * maxAckRanges { // one packet in 50 is lost
		for range 49 {
			receive(pn)
			pn++
		}
		pn++
		require.LessOrEqual(t, at.a.seen.NumRanges(), maxAckRanges)
	}
	acks, packets = 0, 0
	for range 1000 {
		receive(pn)
		pn++
	}
	// One in 10, and one or two for the last gap.
	require.InDelta(t, packets/10, acks, 2)
}
