package recovery

import (
	"math"
	"testing"
	"time"
	"unsafe"

	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/stretchr/testify/require"
)

// "Endpoints MUST NOT ignore the loss of packets that were sent after the earliest acknowledged packet in a given
// packet number space."
// https://www.rfc-editor.org/rfc/rfc9002#section-7.4-1
func TestLossPacketThreshold(t *testing.T) {
	// "The RECOMMENDED initial value for the packet reordering threshold (kPacketThreshold) is 3".
	// https://www.rfc-editor.org/rfc/rfc9002#section-6.1.1-1
	lt := newSampledTest(t, 40*ms)
	lt.send(SpaceApp, 5) // 1 to 5
	lt.advance(40 * ms)
	lt.ack(SpaceApp, 0, 3)
	lt.want("App 3 acked")
	lt.ack(SpaceApp, 0, 3, 4)
	lt.want("App 4 acked", "App 1 lost")
	lt.ack(SpaceApp, 0, 3, -5)
	lt.want("App 5 acked", "App 2 lost")
	require.Zero(t, lt.l.Path().BytesInFlight())
}

func TestLossTimeThreshold(t *testing.T) {
	// "The RECOMMENDED time threshold (kTimeThreshold), expressed as an RTT multiplier, is 9/8."
	// https://www.rfc-editor.org/rfc/rfc9002#section-6.1.2-6
	lt := newSampledTest(t, 40*ms)
	lt.send(SpaceApp, 1) // 1
	lt.advance(2 * ms)
	lt.send(SpaceApp, 1) // 2
	lt.advance(40 * ms)
	lt.ack(SpaceApp, 0, 2)
	lt.want("App 2 acked")
	// "If packets sent prior to the largest acknowledged packet cannot yet be declared lost, then a
	// timer SHOULD be set for the remaining time."
	// https://www.rfc-editor.org/rfc/rfc9002#section-6.1.2-3
	lt.wantTimer("45 ms after packet 1", 3*ms)
	lt.expire()
	lt.want("App 1 lost")
	require.Zero(t, lt.l.ProbesPending(), "no probe was due")
	lt.wantNoTimer("nothing is outstanding")
}

func TestLossTimeGranularity(t *testing.T) {
	// "[T]his time threshold MUST be set to at least the local timer granularity".
	// https://www.rfc-editor.org/rfc/rfc9002#section-6.1.2-1
	lt := newSampledTest(t, ms/10)
	lt.send(SpaceApp, 2)
	lt.advance(ms / 10)
	lt.ack(SpaceApp, 0, 2)
	lt.want("App 2 acked")
	lt.wantTimer("one millisecond after packet 1", ms-ms/10)
}

func TestLossOfUnrelatedPackets(t *testing.T) {
	lt := newLossTest(t, Config{})
	lt.send(SpaceInitial, 5)
	lt.send(SpaceHandshake, 5)
	lt.ack(SpaceHandshake, 0, 4)
	lt.want("Handshake 4 acked", "Handshake 0 lost", "Handshake 1 lost")
	require.Equal(t, 7*1200, lt.l.Path().BytesInFlight(), "spaces are separate")
	// A duplicate acknowledgement has no effect.
	lt.ack(SpaceHandshake, 0, 4)
	lt.want()
	lt.ack(SpaceInitial, 0, 2)
	lt.want("Initial 2 acked")
	require.Equal(t, wire.PacketNumber(0), lt.l.OldestUnacked(SpaceInitial))
	require.Equal(t, wire.PacketNumber(2), lt.l.OldestUnacked(SpaceHandshake))
	require.Equal(t, wire.NoPacket, lt.l.OldestUnacked(SpaceApp))
	require.Equal(t, wire.PacketNumber(4), lt.l.LargestAcked(SpaceHandshake))
	require.Equal(t, wire.NoPacket, lt.l.LargestAcked(SpaceApp))
}

func TestAckOfUnsent(t *testing.T) {
	// "An endpoint SHOULD treat receipt of an acknowledgment for a packet it did not send as a
	// connection error of type PROTOCOL_VIOLATION, if it is able to detect the condition."
	// https://www.rfc-editor.org/rfc/rfc9000#section-13.1-3
	lt := newConfirmedTest(t)
	lt.send(SpaceApp, 3)
	require.ErrorIs(t, lt.l.HandleAck(lt.now, SpaceApp, lt.frame(0, nil, 0, -3), lt.fate), ErrAckUnsent)
	require.NoError(t, lt.l.HandleAck(lt.now, SpaceInitial, lt.frame(0, nil, 0, -3), lt.fate), "a discarded space has no numbers")
	lt.want()
	require.Equal(t, 3*1200, lt.l.Path().BytesInFlight(), "an error changes nothing")

	lt.l.SetNextNumber(SpaceApp, 10)
	require.Equal(t, wire.PacketNumber(10), lt.send(SpaceApp, 1))
	lt.ack(SpaceApp, 0, 0, -10)
	lt.want("App 0 acked", "App 1 acked", "App 2 acked", "App 10 acked")
}

// Numbers are also skipped after numbers that were used outside Loss.
func TestSkippedNumbersAfterSetNextNumber(t *testing.T) {
	lt := newLossTest(t, Config{Rand: func(b []byte) { clear(b) }})
	lt.l.ConfirmHandshake(lt.now)
	lt.l.SetNextNumber(SpaceApp, 1000)
	require.Equal(t, wire.PacketNumber(1063), lt.send(SpaceApp, 64))
	require.Equal(t, wire.PacketNumber(1065), lt.send(SpaceApp, 1), "1064 is skipped")
}

func TestSkippedNumbers(t *testing.T) {
	lt := newLossTest(t, Config{Rand: func(b []byte) { clear(b) }})
	lt.l.ConfirmHandshake(lt.now)
	// With these random numbers, the first number of each period is skipped: 64, then 65+128.
	skipped := map[wire.PacketNumber]bool{64: true, 193: true, 450: true}
	for want := wire.PacketNumber(0); want < 500; want++ {
		if skipped[want] {
			continue
		}
		require.Equal(t, want, lt.send(SpaceApp, 1))
		switch want {
		case 100:
			require.ErrorIs(t, lt.l.HandleAck(lt.now, SpaceApp, lt.frame(0, nil, 0, -100), lt.fate), ErrAckSkipped)
			require.ErrorIs(t, lt.l.HandleAck(lt.now, SpaceApp, lt.frame(0, nil, 64), lt.fate), ErrAckSkipped)
			lt.want()
		case 480:
			lt.ack(SpaceApp, 0, 0, -63, 65, -192, 194, -449, 451, -480)
			require.ErrorIs(t, lt.l.HandleAck(lt.now, SpaceApp, lt.frame(0, nil, 60, -480), lt.fate), ErrAckSkipped,
				"skipped numbers are remembered when all numbers around them are acknowledged")
			lt.got = nil
		}
	}
	for want := range wire.PacketNumber(200) {
		require.Equal(t, want, lt.send(SpaceHandshake, 1), "handshakes have no gaps")
	}
}

func TestSpuriousLossUndone(t *testing.T) {
	lt := newSampledTest(t, 40*ms)
	window := lt.l.Path().CongestionWindow()
	lt.send(SpaceApp, 8) // 1 to 8
	lt.advance(40 * ms)
	lt.ack(SpaceApp, 0, 3, -8)
	require.Equal(t, []string{"App 1 lost", "App 2 lost"}, lt.got[len(lt.got)-2:])
	lt.got = nil
	require.Equal(t, window/2, lt.l.Path().CongestionWindow(), "loss halves the window")

	// "Implementations can detect spurious retransmissions and increase the packet or time
	// reordering threshold to reduce future spurious retransmissions and loss events."
	// https://www.rfc-editor.org/rfc/rfc9002#section-6.1-5
	lt.advance(40 * ms)
	lt.ack(SpaceApp, 0, 1, 3, -8)
	lt.want("App 1 acked")
	require.Equal(t, window/2, lt.l.Path().CongestionWindow(), "one of the two may still be lost")
	lt.ack(SpaceApp, 0, 1, -8)
	lt.want("App 2 acked")
	require.Equal(t, window, lt.l.Path().CongestionWindow(), "nothing was lost")
	require.Equal(t, Counters{Lost: 2, LostBytes: 2400, SpuriousLosses: 2, CongestionEvents: 1, UndoneReductions: 1}, lt.l.Counters())

	// The path may do the same again without any packet being declared lost.
	lt.send(SpaceApp, 8) // 9 to 16
	lt.advance(40 * ms)
	lt.ack(SpaceApp, 0, 11, -16)
	lt.advance(40*ms - 1)
	lt.l.HandleTimeout(lt.now, lt.fate)
	lt.ack(SpaceApp, 0, 9, -16)
	require.Equal(t, uint64(2), lt.l.Counters().Lost)
	require.Contains(t, lt.got, "App 9 acked")
}

// After a reduction was undone, there is no recovery period: packets from before it that are lost reduce
// the window.
func TestUndoneReductionLeavesNoRecoveryPeriod(t *testing.T) {
	lt := newSampledTest(t, 40*ms)
	lt.send(SpaceApp, 10) // 1 to 10
	lt.advance(40 * ms)
	lt.ack(SpaceApp, 0, 0, 4)
	lt.want("App 4 acked", "App 1 lost")
	lt.ack(SpaceApp, 0, 0, 1, 4)
	lt.want("App 1 acked")
	require.EqualValues(t, 1, lt.l.Counters().UndoneReductions)
	window := lt.l.Path().CongestionWindow()
	lt.advance(400 * ms)
	lt.ack(SpaceApp, 0, 0, 1, 4, 10)
	require.EqualValues(t, 2, lt.l.Counters().CongestionEvents)
	require.Less(t, lt.l.Path().CongestionWindow(), window)
}

// A lost packet is remembered for the peer's acknowledgement delay, too, but not for very long: a peer may
// announce 16 seconds.
func TestLostPacketsAreRememberedForThePeersDelay(t *testing.T) {
	for _, tt := range []struct {
		peer, after time.Duration
		spurious    uint64
	}{
		{MaxAckDelay, 300 * ms, 0},
		{300 * ms, 300 * ms, 1},
		{16 * time.Second, 1500 * ms, 0},
	} {
		lt := newSampledTest(t, 40*ms)
		lt.l.SetMaxAckDelay(tt.peer)
		lt.send(SpaceApp, 5) // 1 to 5
		lt.advance(40 * ms)
		lt.ack(SpaceApp, 0, 2, -5)
		require.Contains(t, lt.got, "App 1 lost")
		lt.advance(tt.after - 40*ms)
		lt.send(SpaceApp, 1)
		lt.advance(40 * ms)
		lt.ack(SpaceApp, 0, 2, -6)
		lt.ack(SpaceApp, 0, 1, -6)
		require.Equal(t, tt.spurious, lt.l.Counters().SpuriousLosses, "%v later, with a delay of %v", tt.after, tt.peer)
	}
}

func TestRealLossNotUndone(t *testing.T) {
	lt := newSampledTest(t, 40*ms)
	lt.send(SpaceApp, 8)
	lt.advance(40 * ms)
	lt.ack(SpaceApp, 0, 3, -8)
	window := lt.l.Path().CongestionWindow()
	lt.advance(20 * ms)
	lt.ack(SpaceApp, 0, 1, 3, -8)
	require.Equal(t, window, lt.l.Path().CongestionWindow())
	// Packet 2 never arrives. After some time it is forgotten, and its acknowledgement has no effect.
	lt.advance(400 * ms)
	lt.send(SpaceApp, 1)
	lt.advance(40 * ms)
	lt.ack(SpaceApp, 0, 9)
	lt.got = nil
	lt.ack(SpaceApp, 0, 1, -9)
	lt.want()
	require.Zero(t, lt.l.spaces[SpaceApp].sent.len(), "nothing is remembered")
}

func TestReorderingThresholdsDecrease(t *testing.T) {
	var r reordering
	r.init()
	r.late(500, 70*ms, 40*ms)
	require.Equal(t, reordering{packets: 501, eighths: 15}, r)
	r.late(1<<20, 10*60*1000*ms, 40*ms)
	require.Equal(t, reordering{packets: maxPacketThreshold, eighths: maxTimeEighths}, r, "bounded")
	for range calmEvents {
		require.Equal(t, wire.PacketNumber(maxPacketThreshold), r.packets)
		r.congestion()
	}
	require.Equal(t, reordering{packets: 3, eighths: 9}, r)
}

func TestUnacknowledgedStateIsBounded(t *testing.T) {
	lt := newConfirmedTest(t)
	for range 100_000 {
		p := lt.l.NewSent()
		p.Num, p.Time, p.Size = lt.l.NextNumber(SpaceApp), lt.now, 40
		lt.l.PacketSent(lt.now, SpaceApp, p)
	}
	require.LessOrEqual(t, lt.l.spaces[SpaceApp].sent.len(), maxUntimed, "acknowledgements are not acknowledged")
	lt.wantNoTimer("only acknowledgements are outstanding")

	lt.l.setWindow(lt.now, maxWindow, math.MaxInt)
	sent := 0
	for ; lt.l.SendLimit(lt.now) == SendAll; sent++ {
		require.LessOrEqual(t, sent, maxInFlight)
		p := lt.l.NewSent()
		p.Num, p.Time, p.Size, p.AckEliciting, p.InFlight = lt.l.NextNumber(SpaceApp), lt.now, 30, true, true
		lt.l.PacketSent(lt.now, SpaceApp, p)
	}
	require.Equal(t, maxInFlight, sent, "small packets are bounded by number")
	lt.check()
	lt.l.Close()
	require.Zero(t, lt.l.Path().BytesInFlight())
	lt.wantNoTimer("closed")
}

// The largest window permits 10 Gbit/s with a round-trip time of 100 ms. What is remembered of the packets
// is small beside what they carry.
func TestLargeWindowsAreUsed(t *testing.T) {
	lt := newConfirmedTest(t)
	lt.l.setWindow(lt.now, maxWindow, math.MaxInt)
	send := func(size int) (sent int) {
		for ; lt.l.SendLimit(lt.now) == SendAll; sent++ {
			p := lt.l.NewSent()
			p.Num, p.Time, p.Size, p.AckEliciting, p.InFlight = lt.l.NextNumber(SpaceApp), lt.now, size, true, true
			lt.l.PacketSent(lt.now, SpaceApp, p)
		}
		return sent
	}
	send(1200)
	inFlight := lt.l.Path().BytesInFlight()
	require.Greater(t, inFlight, 125_000_000)
	require.LessOrEqual(t, inFlight, maxWindow)
	packets := lt.l.spaces[SpaceApp].sent.len()
	f := lt.frame(0, nil, 1, -wire.PacketNumber(packets/2))
	require.NoError(t, lt.l.HandleAck(lt.now, SpaceApp, f, func(Space, *SentPacket, Fate) {}))
	send(40)
	packets = lt.l.packetsInFlight
	require.LessOrEqual(t, packets, max(maxInFlight, lt.l.Path().BytesInFlight()/bytesPerPacket)+1)

	const record = 64 // SentPacket.Record, of which most have less
	size := int(unsafe.Sizeof(SentPacket{})+2*unsafe.Sizeof(sentEntry{})) + record
	require.Less(t, size, bytesPerPacket/3)
	lt.check()
	lt.l.Close()
	require.Zero(t, lt.l.Path().BytesInFlight())
	lt.wantNoTimer("closed")
}
