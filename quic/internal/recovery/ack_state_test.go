package recovery

import (
	"testing"

	"github.com/pqquic/pqquic/quic/internal/datagram"
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/stretchr/testify/require"
)

// ackTest is an AckState with a clock.
type ackTest struct {
	*testing.T
	a   AckState
	now monotime.Time
}

func newAckTest(t *testing.T, s Space) *ackTest {
	at := &ackTest{T: t, now: testStart}
	at.a.Init(s)
	return at
}

// receive receives ack-eliciting packets that must be new.
func (t *ackTest) receive(pns ...wire.PacketNumber) {
	t.Helper()
	for _, pn := range pns {
		require.True(t, t.a.ShouldProcess(pn), "packet %d is new", pn)
		t.a.Receive(t.now, pn, true, datagram.NotECT)
	}
}

// want requires that an ACK frame is due or not due.
func (t *ackTest) want(why string, due bool) {
	t.Helper()
	require.Equal(t, due, t.a.ShouldSendAck(t.now), why)
	if due {
		require.False(t, t.a.AckDeadline().After(t.now), why)
	}
}

// ack sends an ACK frame and requires that it has the given ranges.
func (t *ackTest) ack(why string, room int, want ...wire.PNRange) *wire.Ack {
	t.Helper()
	b := t.a.AppendAck(nil, t.now, room)
	require.LessOrEqual(t, len(b), room)
	if want == nil {
		require.Empty(t, b, why)
		return nil
	}
	f, n := wire.ConsumeAck(b)
	require.Equal(t, len(b), n)
	var got []wire.PNRange
	for r := range f.Ranges {
		got = append(got, r)
	}
	require.Equal(t, want, got, why)
	t.a.SentAck()
	t.want("just sent", false)
	require.Zero(t, t.a.AckDeadline())
	require.False(t, t.a.HasUnacked())
	return &f
}

func TestAckPolicyApp(t *testing.T) {
	at := newAckTest(t, SpaceApp)
	at.want("nothing received", false)
	require.Zero(t, at.a.AckDeadline())
	at.ack("nothing received", 100)

	at.receive(0)
	at.want("a single packet may wait", false)
	require.True(t, at.a.HasUnacked())
	// "[A]ck-eliciting packets MUST be acknowledged at least once within the maximum delay an
	// endpoint communicated using the max_ack_delay transport parameter".
	// https://www.rfc-editor.org/rfc/rfc9000#section-13.2.1-1
	require.Equal(t, MaxAckDelay, at.a.AckDeadline().Sub(at.now))
	at.now = at.now.Add(MaxAckDelay - 1)
	at.want("not yet", false)
	at.now++
	at.want("max_ack_delay has passed", true)
	f := at.ack("the first", 100, wire.PNRange{Start: 0, End: 1})
	// "An endpoint MUST NOT include delays that it does not control when populating the ACK Delay field in an ACK
	// frame."
	// https://www.rfc-editor.org/rfc/rfc9000#section-13.2.5-2
	require.EqualValues(t, MaxAckDelay.Microseconds()>>3, f.Delay)
	require.False(t, f.HasECN)

	// "A receiver SHOULD send an ACK frame after receiving at least two ack-eliciting packets."
	// https://www.rfc-editor.org/rfc/rfc9000#section-13.2.2-4
	at.receive(1)
	at.want("one", false)
	at.receive(2)
	at.want("two", true)
	f = at.ack("everything is repeated", 100, wire.PNRange{Start: 0, End: 3})
	require.Zero(t, f.Delay)
}

func TestAckOutOfOrder(t *testing.T) {
	at := newAckTest(t, SpaceApp)
	// "[...] when the packet has a packet number larger than the highest-numbered ack-eliciting
	// packet that has been received and there are missing packets between that packet and this
	// packet."
	// https://www.rfc-editor.org/rfc/rfc9000#section-13.2.1-8.2.1
	at.receive(1)
	at.want("0 is missing", true)
	at.ack("", 100, wire.PNRange{Start: 1, End: 2})
	// "[...] when the received packet has a packet number less than another ack-eliciting packet
	// that has been received".
	// https://www.rfc-editor.org/rfc/rfc9000#section-13.2.1-8.1.1
	at.receive(0)
	at.want("0 is late", true)
	at.ack("", 100, wire.PNRange{Start: 0, End: 2})
	at.receive(2)
	at.want("in order", false)
	at.ack("", 100, wire.PNRange{Start: 0, End: 3})

	// "An endpoint MUST NOT send a non-ack-eliciting packet in response to a non-ack-eliciting
	// packet, even if there are packet gaps that precede the received packet."
	// https://www.rfc-editor.org/rfc/rfc9000#section-13.2.1-4
	for _, pn := range []wire.PacketNumber{5, 7, 3} {
		at.a.Receive(at.now, pn, false, datagram.CE)
	}
	at.want("no packet is ack-eliciting", false)
	require.Zero(t, at.a.AckDeadline())
	require.False(t, at.a.HasUnacked())
	at.receive(4)
	at.want("no gap below 4 and no ack-eliciting packet above", false)
	at.receive(8)
	at.want("6 is missing", true)
	f := at.ack("", 100, wire.PNRange{Start: 7, End: 9}, wire.PNRange{Start: 0, End: 6})
	require.Equal(t, wire.ECNCounts{CE: 3}, f.ECN)
}

func TestAckImmediately(t *testing.T) {
	for _, s := range []Space{SpaceInitial, SpaceHandshake} {
		// "An endpoint MUST acknowledge all ack-eliciting Initial and Handshake packets
		// immediately".
		// https://www.rfc-editor.org/rfc/rfc9000#section-13.2.1-2
		at := newAckTest(t, s)
		at.receive(0)
		at.want(s.String(), true)
		at.now = at.now.Add(10 * ms)
		f := at.ack("", 100, wire.PNRange{Start: 0, End: 1})
		require.Zero(t, f.Delay, "delays count in the App space only")
	}
	at := newAckTest(t, SpaceApp)
	at.receive(0)
	at.a.SentAck()
	// "[P]ackets marked with the ECN Congestion Experienced (CE) codepoint in the IP header SHOULD
	// be acknowledged immediately".
	// https://www.rfc-editor.org/rfc/rfc9000#section-13.2.1-9
	at.a.Receive(at.now, 1, true, datagram.CE)
	at.want("CE", true)
	at.a.Receive(at.now, 2, true, datagram.ECT0)
	at.a.Receive(at.now, 3, true, datagram.ECT1)
	f := at.ack("", 100, wire.PNRange{Start: 0, End: 4})
	require.True(t, f.HasECN)
	require.Equal(t, wire.ECNCounts{ECT0: 1, ECT1: 1, CE: 1}, f.ECN)
}

func TestAckDuplicates(t *testing.T) {
	// "A receiver MUST discard a newly unprotected packet unless it is certain that it has not
	// processed another packet with the same packet number from the same packet number space."
	// https://www.rfc-editor.org/rfc/rfc9000#section-12.3-11
	at := newAckTest(t, SpaceApp)
	at.receive(3, 4, 9)
	for pn, isNew := range []bool{true, true, true, false, false, true, true, true, true, false, true} {
		require.Equal(t, isNew, at.a.ShouldProcess(wire.PacketNumber(pn)), "packet %d", pn)
	}
	require.EqualValues(t, 9, at.a.Largest())
}

func TestAckOfAck(t *testing.T) {
	at := newAckTest(t, SpaceApp)
	at.receive(0, 1, 3, 4)
	at.ack("", 100, wire.PNRange{Start: 3, End: 5}, wire.PNRange{Start: 0, End: 2})
	at.receive(5, 6)
	// "When a packet containing an ACK frame is acknowledged, the receiver can stop acknowledging
	// packets less than or equal to the Largest Acknowledged field in the sent ACK frame."
	// https://www.rfc-editor.org/rfc/rfc9000#section-13.2.4-1
	at.a.HandleAckOfAck(4)
	at.ack("the peer knows about packets up to 4", 100, wire.PNRange{Start: 5, End: 7})
	at.a.HandleAckOfAck(6)
	at.a.HandleAckOfAck(4)
	// "A receiver SHOULD include an ACK Range containing the largest received packet number in
	// every ACK frame."
	// https://www.rfc-editor.org/rfc/rfc9000#section-13.2.3-7
	at.ack("the largest packet remains", 100, wire.PNRange{Start: 6, End: 7})

	require.False(t, at.a.ShouldProcess(1), "a duplicate is still detected")
	at.receive(2)
	at.want("late", true)
	at.ack("a late packet is acknowledged", 100, wire.PNRange{Start: 2, End: 7})
}

// "A receiver MUST retain an ACK Range unless it can ensure that it will not subsequently accept packets with numbers
// in that range."
// https://www.rfc-editor.org/rfc/rfc9000#section-13.2.3-5
func TestAckRangesAreBounded(t *testing.T) {
	at := newAckTest(t, SpaceApp)
	for pn := wire.PacketNumber(0); pn < 20_000; pn += 2 {
		at.receive(pn)
		require.LessOrEqual(t, at.a.seen.NumRanges(), maxAckRanges)
	}
	require.False(t, at.a.ShouldProcess(1), "forgotten: it may have been received")
	require.False(t, at.a.ShouldProcess(20_000-2*maxAckRanges-1))
	require.True(t, at.a.ShouldProcess(20_000-2*maxAckRanges+1), "certainly new")
	b := at.a.AppendAck(nil, at.now, 1200)
	f, _ := wire.ConsumeAck(b)
	n := 0
	for range f.Ranges {
		n++
	}
	require.Equal(t, maxAckRanges, n)

	// "If it does not [fit], then older ranges (those with the smallest packet numbers) are
	// omitted."
	// https://www.rfc-editor.org/rfc/rfc9000#section-13.2.3-2
	b = at.a.AppendAck(nil, at.now, 20)
	f, _ = wire.ConsumeAck(b)
	require.LessOrEqual(t, len(b), 20)
	require.EqualValues(t, 19_998, f.Largest)
	require.Empty(t, at.a.AppendAck(nil, at.now, 3))

	// "Receivers can discard all ACK Ranges, but they MUST retain the largest packet number that has been successfully
	// processed, as that is used to recover packet numbers from subsequent packets; see Section 17.1."
	// https://www.rfc-editor.org/rfc/rfc9000#section-13.2.3-6
	require.EqualValues(t, 19_998, at.a.Largest())

	// The oldest range may be the newest packet.
	late := wire.PacketNumber(20_000 - 2*maxAckRanges + 1)
	at.receive(late)
	require.False(t, at.a.ShouldProcess(late))
	require.EqualValues(t, 19_998, at.a.Largest())
}

// Merge records what another AckState has received. It is acknowledged if an acknowledgement was due there.
func TestAckMerge(t *testing.T) {
	at, other := newAckTest(t, SpaceInitial), newAckTest(t, SpaceInitial)
	other.receive(0, 1)
	other.ack("the first two", 100, wire.PNRange{Start: 0, End: 2})
	at.receive(0)
	at.ack("the first", 100, wire.PNRange{Start: 0, End: 1})
	at.a.Merge(at.now, &other.a)
	at.want("nothing was due", false)
	require.False(t, at.a.ShouldProcess(1))
	require.EqualValues(t, 1, at.a.Largest())
	other.receive(5)
	at.a.Merge(at.now, &other.a)
	at.want("the other has not acknowledged 5", true)
	at.ack("all of both", 100, wire.PNRange{Start: 5, End: 6}, wire.PNRange{Start: 0, End: 2})

	many := newAckTest(t, SpaceInitial)
	for i := range wire.PacketNumber(maxAckRanges) {
		many.receive(1000 + 2*i)
	}
	at.a.Merge(at.now, &many.a)
	require.False(t, at.a.ShouldProcess(3), "the oldest ranges are forgotten")
	require.True(t, at.a.ShouldProcess(1001))
}
