package recovery

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/datagram"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

func TestInitialWindow(t *testing.T) {
	// "[T]en times the maximum datagram size (max_datagram_size), while limiting the window to the
	// larger of 14,720 bytes or twice the maximum datagram size."
	// https://www.rfc-editor.org/rfc/rfc9002#section-7.2-1
	for mds, want := range map[int]int{1200: 12000, 1472: 14720, 1500: 14720, 9000: 18000} {
		require.Equal(t, want, initialWindow(mds), "datagrams of %d", mds)
	}
	lt := newLossTest(t, Config{})
	lt.l.Path().SetMaxDatagramSize(1400)
	require.Equal(t, 14000, lt.l.Path().CongestionWindow(), "recalculated with the new size")
	require.Equal(t, 1400, lt.l.Path().MaxDatagramSize())
}

// fill sends until the window is full and returns the first and last packet number.
func (t *lossTest) fill(s Space) (first, last wire.PacketNumber) {
	t.Helper()
	first = t.l.NextNumber(s)
	for t.l.windowOpen() {
		last = t.send(s, 1)
	}
	return first, last
}

func TestSlowStart(t *testing.T) {
	lt := newSampledTest(t, 40*ms)
	require.Equal(t, 12000, lt.l.Path().CongestionWindow(), "one packet does not use the window")
	first, last := lt.fill(SpaceApp)
	require.EqualValues(t, 10, last-first+1)
	lt.wantLimit("window full", SendAckOnly)
	lt.advance(40 * ms)
	// "While a sender is in slow start, the congestion window increases by the number of bytes
	// acknowledged when each acknowledgment is processed."
	// https://www.rfc-editor.org/rfc/rfc9002#section-7.3.1-2
	lt.ack(SpaceApp, 0, 0, -last)
	require.Equal(t, 24000, lt.l.Path().CongestionWindow())
}

func TestWindowUnderutilized(t *testing.T) {
	// "When bytes in flight is smaller than the congestion window and sending is not pacing
	// limited, the congestion window is underutilized. [...] When this occurs, the congestion
	// window SHOULD NOT be increased in either slow start or congestion avoidance."
	// https://www.rfc-editor.org/rfc/rfc9002#section-7.8-1
	lt := newSampledTest(t, 40*ms)
	for range 10 {
		last := lt.send(SpaceApp, 4)
		lt.advance(40 * ms)
		lt.ack(SpaceApp, 0, 0, -last)
	}
	require.Equal(t, 12000, lt.l.Path().CongestionWindow(), "slow start")
	lt.l.setWindow(lt.now, 12000, 12000)
	for range 10 {
		last := lt.send(SpaceApp, 8)
		lt.advance(40 * ms)
		lt.ack(SpaceApp, 0, 0, -last)
	}
	require.Equal(t, 12000, lt.l.Path().CongestionWindow(), "congestion avoidance")
}

// "The sender MUST exit slow start and enter a recovery period when a packet is lost or when the ECN-CE count
// reported by its peer increases."
// https://www.rfc-editor.org/rfc/rfc9002#section-7.3.1-3
// "The congestion window MUST be set to the reduced value of the slow start threshold before exiting the recovery
// period."
// https://www.rfc-editor.org/rfc/rfc9002#section-7.3.2-2
// "An endpoint MUST NOT send a packet if it would cause bytes_in_flight (see Appendix B.2) to be larger than the
// congestion window, unless the packet is sent on a PTO timer expiration (see Section 6.2) or when entering recovery
// (see Section 7.3.2)."
// https://www.rfc-editor.org/rfc/rfc9002#section-7-7
func TestRecoveryPeriodAndAvoidance(t *testing.T) {
	lt := newSampledTest(t, 40*ms)
	lt.fill(SpaceApp) // 1 to 10
	lt.advance(20 * ms)
	lt.wantLimit("window full", SendAckOnly)
	lt.advance(20 * ms)
	lt.ack(SpaceApp, 0, 4)
	lt.want("App 4 acked", "App 1 lost")
	// "On entering a recovery period, a sender MUST set the slow start threshold to half the value
	// of the congestion window when loss is detected."
	// https://www.rfc-editor.org/rfc/rfc9002#section-7.3.2-2
	require.Equal(t, 6000, lt.l.Path().CongestionWindow())
	require.Equal(t, 8*1200, lt.l.Path().BytesInFlight())
	// "If the congestion window is reduced immediately, a single packet can be sent prior to
	// reduction."
	// https://www.rfc-editor.org/rfc/rfc9002#section-7.3.2-3
	lt.wantLimit("one packet", SendAll)
	lt.send(SpaceApp, 1) // 11
	lt.wantLimit("no more", SendAckOnly)

	// "[D]uring a recovery period, the congestion window does not change in response to new losses
	// or increases in the ECN-CE count."
	// https://www.rfc-editor.org/rfc/rfc9002#section-7.3.2-4
	lt.advance(ms)
	lt.ack(SpaceApp, 0, 4, -7)
	lt.want("App 5 acked", "App 6 acked", "App 7 acked", "App 2 lost", "App 3 lost")
	require.Equal(t, 6000, lt.l.Path().CongestionWindow())

	// "A recovery period ends and the sender enters congestion avoidance when a packet sent during
	// the recovery period is acknowledged."
	// https://www.rfc-editor.org/rfc/rfc9002#section-7.3.2-5
	lt.send(SpaceApp, 1) // 12
	lt.advance(40 * ms)
	lt.ack(SpaceApp, 0, 4, -12)
	require.Equal(t, 6000, lt.l.Path().CongestionWindow())
	// "[...] limit the increase to the congestion window to at most one maximum datagram size for
	// each congestion window that is acknowledged."
	// https://www.rfc-editor.org/rfc/rfc9002#section-7.3.3-2
	for want := 7200; want <= 12000; want += 1200 {
		_, last := lt.fill(SpaceApp)
		lt.advance(40 * ms)
		lt.ack(SpaceApp, 0, 4, -last)
		require.LessOrEqual(t, lt.l.Path().CongestionWindow(), want)
		require.GreaterOrEqual(t, lt.l.Path().CongestionWindow(), want-1200)
	}
	require.Greater(t, lt.l.Path().CongestionWindow(), 9600, "the window grows")
	require.EqualValues(t, 1, lt.l.Counters().CongestionEvents)
}

// "Upon detecting losses, a sender MUST take appropriate congestion control action."
// https://www.rfc-editor.org/rfc/rfc9000#section-13.3-7
func TestMinimumWindow(t *testing.T) {
	lt := newSampledTest(t, 40*ms)
	largest := wire.PacketNumber(0)
	for range 10 {
		lt.advance(40 * ms)
		largest = lt.send(SpaceApp, 4)
		lt.advance(40 * ms)
		lt.ack(SpaceApp, 0, largest)
	}
	// "The RECOMMENDED value is 2 * max_datagram_size."
	// https://www.rfc-editor.org/rfc/rfc9002#section-7.2-4
	require.Equal(t, 2400, lt.l.Path().CongestionWindow())
}

// TestPersistentCongestionExample runs the example of RFC 9002, section 7.6.3.
func TestPersistentCongestionExample(t *testing.T) {
	lt := newConfirmedTest(t)
	at := func(d time.Duration) { lt.now = testStart.Add(d) }
	at(-time.Second)
	lt.send(SpaceApp, 1)
	at(0)
	lt.ack(SpaceApp, 0, 0)
	lt.l.SetMaxAckDelay(0)
	// The probe timeout is about 200 ms + 4 * 450 ms, which a sample of 200 ms changes little.
	estimate := RTT{Latest: 100 * ms, Min: 100 * ms, Smoothed: 200 * ms, Variance: 450 * ms, Sampled: true}
	lt.l.active.rtt = estimate
	require.Equal(t, 2*time.Second, lt.l.PTO())

	lt.send(SpaceApp, 1) // 1
	at(time.Second)
	lt.send(SpaceApp, 1) // 2
	at(1200 * ms)
	lt.ack(SpaceApp, 0, 0, -1)
	lt.l.active.rtt = estimate
	for i := 2; i <= 6; i++ {
		at(time.Duration(i) * time.Second)
		lt.send(SpaceApp, 1) // 3 to 7
	}
	lt.expire()
	require.Equal(t, 8*time.Second, lt.now.Sub(testStart), "PTO 1")
	lt.send(SpaceApp, 1) // 8
	lt.l.pto.probes = 0  // the example sends one packet for each PTO
	lt.expire()
	require.Equal(t, 12*time.Second, lt.now.Sub(testStart), "PTO 2")
	lt.send(SpaceApp, 1) // 9
	at(12200 * ms)
	lt.got = nil
	lt.ack(SpaceApp, 0, 0, -1, 9)
	// "Packets 2 through 8 are declared lost when the acknowledgment for packet 9 is received at
	// 't = 12.2'."
	// https://www.rfc-editor.org/rfc/rfc9002#section-7.6.3-5
	lt.want("App 9 acked", "App 2 lost", "App 3 lost", "App 4 lost", "App 5 lost", "App 6 lost",
		"App 7 lost", "App 8 lost")
	require.EqualValues(t, 1, lt.l.Counters().PersistentCongestion)
	require.Equal(t, 2400, lt.l.Path().CongestionWindow())
	require.True(t, lt.l.window().inSlowStart(), "slow start again")
	require.Equal(t, 200*ms, lt.l.Path().RTT().Min, "set to the newest sample")
}

// TestPersistentCongestionNeeds checks that persistent congestion is not detected if one of its conditions
// is not met.
//
// "These two packets MUST be ack-eliciting, since a receiver is required to acknowledge only ack-eliciting packets
// within its maximum acknowledgment delay; see Section 13.2 of [QUIC-TRANSPORT]."
// https://www.rfc-editor.org/rfc/rfc9002#section-7.6.2-3
func TestPersistentCongestionNeeds(t *testing.T) {
	for _, test := range []struct {
		name string
		do   func(lt *lossTest)
		want uint64
	}{
		{"all conditions are met", func(lt *lossTest) {
			lt.send(SpaceApp, 1)
			lt.advance(4 * lt.l.PTO())
			lt.send(SpaceApp, 1)
		}, 1},
		{"shorter than three periods", func(lt *lossTest) {
			lt.send(SpaceApp, 1)
			lt.advance(2 * lt.l.PTO())
			lt.send(SpaceApp, 1)
		}, 0},
		{"a packet in between was acknowledged", func(lt *lossTest) {
			lt.send(SpaceApp, 1)
			lt.advance(2 * lt.l.PTO())
			pn := lt.send(SpaceApp, 1)
			lt.advance(2 * lt.l.PTO())
			lt.send(SpaceApp, 1)
			lt.ack(SpaceApp, 0, pn)
		}, 0},
		{"a packet of another space was acknowledged", func(lt *lossTest) {
			kept := newLossTest(lt.T, Config{}) // lt has discarded the space
			lt.l.spaces[SpaceHandshake] = kept.l.spaces[SpaceHandshake]
			lt.send(SpaceApp, 1)
			lt.advance(2 * lt.l.PTO())
			lt.send(SpaceHandshake, 1)
			lt.advance(2 * lt.l.PTO())
			lt.send(SpaceApp, 1)
			lt.ack(SpaceHandshake, 0, 0)
		}, 0},
		{"the packets did not elicit acknowledgements", func(lt *lossTest) {
			lt.sendAck(SpaceApp)
			lt.advance(4 * lt.l.PTO())
			lt.sendAck(SpaceApp)
		}, 0},
		{"there was no sample yet", func(lt *lossTest) {
			lt.l.active.firstSample = 0
			lt.send(SpaceApp, 1)
			lt.advance(4 * lt.l.PTO())
			lt.send(SpaceApp, 1)
		}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			lt := newSampledTest(t, 40*ms)
			rtt := lt.l.active.rtt
			test.do(lt)
			lt.l.active.rtt = rtt // late acknowledgements in do must not lengthen the periods
			last := lt.send(SpaceApp, 4)
			lt.advance(40 * ms)
			lt.ack(SpaceApp, 0, last)
			require.Greater(t, lt.l.spaces[SpaceApp].live, 2, "there were losses")
			require.Equal(t, test.want, lt.l.Counters().PersistentCongestion)
		})
	}
}

// "If validation fails, then the endpoint MUST disable ECN."
// https://www.rfc-editor.org/rfc/rfc9000#section-13.4.2.2-1
func TestECN(t *testing.T) {
	sendECT := func(lt *lossTest, n int) {
		for range n {
			lt.sendPacket(SpaceApp, func(p *SentPacket) { p.AckEliciting, p.InFlight, p.ECN = true, true, datagram.ECT0 })
		}
	}
	for _, test := range []struct {
		name   string
		ecn    *wire.ECNCounts
		failed bool
		window int
	}{
		{"all arrived as sent", &wire.ECNCounts{ECT0: 4}, false, 12000},
		// "QUIC treats a Congestion Experienced (CE) codepoint in the IP header as a signal of
		// congestion."
		// https://www.rfc-editor.org/rfc/rfc9002#section-7.1-1
		{"one was marked", &wire.ECNCounts{ECT0: 3, CE: 1}, false, 6000},
		// "ECN validation fails if the corresponding ECN counts are not present in the ACK
		// frame."
		// https://www.rfc-editor.org/rfc/rfc9000#section-13.4.2.1-2
		{"no counts", nil, true, 12000},
		{"too few", &wire.ECNCounts{ECT0: 2, CE: 1}, true, 12000},
		{"more than were sent", &wire.ECNCounts{ECT0: 5}, true, 12000},
		{"more marks than were sent", &wire.ECNCounts{ECT0: 4, CE: 5}, true, 12000},
		{"another codepoint", &wire.ECNCounts{ECT0: 4, ECT1: 1}, true, 12000},
	} {
		t.Run(test.name, func(t *testing.T) {
			lt := newSampledTest(t, 40*ms)
			sendECT(lt, 4) // 1 to 4
			lt.advance(40 * ms)
			require.NoError(t, lt.l.HandleAck(lt.now, SpaceApp, lt.frame(0, test.ecn, 0, -4), lt.fate))
			lt.check()
			require.Equal(t, test.failed, lt.l.Path().ECNFailed())
			require.Equal(t, test.window, lt.l.Path().CongestionWindow())
		})
	}
	t.Run("counts are ignored for packets without marks", func(t *testing.T) {
		lt := newSampledTest(t, 40*ms)
		lt.send(SpaceApp, 4)
		lt.advance(40 * ms)
		ecn := &wire.ECNCounts{ECT0: 1 << 60, CE: 1 << 60}
		require.NoError(t, lt.l.HandleAck(lt.now, SpaceApp, lt.frame(0, ecn, 0, -4), lt.fate))
		require.False(t, lt.l.Path().ECNFailed())
		require.Equal(t, 12000, lt.l.Path().CongestionWindow())
	})
	t.Run("an older packet is acknowledged without counts", func(t *testing.T) {
		// "An endpoint MUST NOT fail ECN validation as a result of processing an ACK frame that does not increase the
		// largest acknowledged packet number."
		// https://www.rfc-editor.org/rfc/rfc9000#section-13.4.2.1-5
		lt := newSampledTest(t, 40*ms)
		sendECT(lt, 4) // 1 to 4
		lt.advance(40 * ms)
		require.NoError(t, lt.l.HandleAck(lt.now, SpaceApp, lt.frame(0, &wire.ECNCounts{ECT0: 2}, 3, -4), lt.fate))
		require.False(t, lt.l.Path().ECNFailed())
		for _, ecn := range []*wire.ECNCounts{nil, {ECT0: 1}} {
			require.NoError(t, lt.l.HandleAck(lt.now, SpaceApp, lt.frame(0, ecn, 0, -4), lt.fate))
			require.False(t, lt.l.Path().ECNFailed())
		}
	})
	t.Run("a reduction for marks is never undone", func(t *testing.T) {
		lt := newSampledTest(t, 40*ms)
		sendECT(lt, 5)
		lt.advance(40 * ms)
		require.NoError(t, lt.l.HandleAck(lt.now, SpaceApp, lt.frame(0, &wire.ECNCounts{ECT0: 3, CE: 1}, 0, 2, -5), lt.fate))
		require.Equal(t, []string{"App 1 lost"}, lt.got[len(lt.got)-1:])
		lt.ack(SpaceApp, 0, 0, -5)
		require.EqualValues(t, 1, lt.l.Counters().SpuriousLosses)
		require.Equal(t, 6000, lt.l.Path().CongestionWindow())
	})
}
