package recovery

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The tests follow "BBR Example Test Cases" of draft-ietf-ccwg-bbr. package sim has those of throughput and fairness.

const mbit = 1_000_000 / 8 // bytes per second

// bbrRoute is a route with BBR.
type bbrRoute struct {
	*route
	b *bbr
}

// newBBRRoute returns a route of 10 Mbit/s and 40 ms with a queue of four bandwidth-delay products, changed by set.
func newBBRRoute(t *testing.T, set func(*link)) *bbrRoute {
	l := link{rtt: 40 * ms, rate: 10 * mbit, queue: 4 * 50_000}
	if set != nil {
		set(&l)
	}
	r := newRoute(t, NewBBR, l)
	return &bbrRoute{r, r.l.active.cc.(*bbr)}
}

// in runs until the controller is in a state.
func (r *bbrRoute) in(s bbrState) {
	r.Helper()
	r.until(bbrGains[s].name, 15*time.Second, func() bool { return r.b.state == s })
}

// left runs until the controller is not in a state any more.
func (r *bbrRoute) left(s bbrState) {
	r.Helper()
	r.until("leave "+bbrGains[s].name, 15*time.Second, func() bool { return r.b.state != s })
}

// every drops every n-th packet.
func every(n int) func(int) bool { return func(i int) bool { return i%n == n-1 } }

func (r *bbrRoute) wantNear(what string, want, got, percent int) {
	r.Helper()
	require.InDelta(r, want, got, float64(want*percent)/100, what)
}

func TestBBRStartupEndsOnPlateau(t *testing.T) {
	r := newBBRRoute(t, nil)
	require.Equal(t, bbrStartup, r.b.state)
	r.left(bbrStartup)
	require.Equal(t, bbrDrain, r.b.state)
	require.True(t, r.b.fullReached && r.b.fullNow)
	require.Equal(t, bbrFullRounds, r.b.fullCount)
	r.wantNear("max_bw", 10*mbit, int(r.b.maxBW()), 2)
	require.Zero(t, r.l.Counters().Lost)
}

func TestBBRStartupEndsOnLossWhenAppLimited(t *testing.T) {
	r := newBBRRoute(t, nil)
	r.want = func(d time.Duration) int { return int(d.Seconds() * 4 * mbit) }
	r.run(2 * time.Second)
	require.Equal(t, bbrStartup, r.b.state, "the samples do not show what the path can carry")
	r.drop = every(4)
	r.left(bbrStartup)
	require.True(t, r.b.fullReached && r.b.fullNow)
	require.Less(t, r.b.inflightLong, int64(bbrUnlimited))
}

// One lost packet in 100 is below the threshold.
func TestBBRStartupIgnoresFewLosses(t *testing.T) {
	r := newBBRRoute(t, func(l *link) { l.drop = every(100) })
	r.left(bbrStartup)
	r.wantNear("max_bw", 10*mbit, int(r.b.maxBW()), 2)
	require.EqualValues(t, int64(bbrUnlimited), r.b.inflightLong)
}

func TestBBRDrainEndsWithTheQueue(t *testing.T) {
	r := newBBRRoute(t, nil)
	r.in(bbrDrain)
	r.wantNear("pacing rate", 5*mbit, int(r.b.pacingRate), 3)
	require.Greater(t, r.l.active.bytesInFlight, r.b.inflight(r.b.bw(), 100))
	began := r.b.count
	r.left(bbrDrain)
	require.LessOrEqual(t, r.l.active.bytesInFlight, r.b.inflight(r.b.bw(), 100)+r.size)
	require.LessOrEqual(t, r.b.count, began+bbrDrainRounds)
	require.True(t, r.b.state.probesBW())
}

func TestBBRDrainEndsInTime(t *testing.T) {
	r := newBBRRoute(t, nil)
	r.in(bbrDrain)
	began := r.b.count
	r.rate = 2 * mbit // the estimate is far too high, and the queue grows
	r.left(bbrDrain)
	require.Equal(t, began+bbrDrainRounds+1, r.b.count)
}

func TestBBRUpEndsOnPlateau(t *testing.T) {
	r := newBBRRoute(t, nil)
	r.in(bbrUp)
	r.wantNear("pacing rate", 12.5*mbit, int(r.b.pacingRate), 3)
	r.left(bbrUp)
	require.Equal(t, bbrDown, r.b.state)
	require.True(t, r.b.fullNow)
	require.False(t, r.b.prevTooHigh)
}

func TestBBRUpEndsOnLoss(t *testing.T) {
	for _, limited := range []bool{false, true} {
		r := newBBRRoute(t, nil)
		r.in(bbrCruise)
		if limited {
			sent := r.sentBytes - r.lostBytes
			from := r.now.Sub(testStart)
			r.want = func(d time.Duration) int { return sent + int((d-from).Seconds()*8*mbit) }
		}
		r.in(bbrUp)
		r.drop = every(5)
		r.left(bbrUp)
		require.True(t, r.b.prevTooHigh)
		if limited {
			require.Contains(t, []bbrState{bbrDown, bbrCruise}, r.b.state) // little is in flight
		} else {
			require.Equal(t, bbrDown, r.b.state)
			require.Less(t, r.b.inflightLong, int64(bbrUnlimited))
			require.GreaterOrEqual(t, r.b.inflightLong, int64(r.b.bdp(r.b.bw(), bbrBeta)))
		}
	}
}

func TestBBRDoesNotLeaveStartupWhenAppLimited(t *testing.T) {
	r := newBBRRoute(t, nil)
	r.want = func(d time.Duration) int { return int(d.Seconds() * 2 * mbit) }
	r.run(4 * time.Second)
	require.Equal(t, bbrStartup, r.b.state)
}

func TestBBRDownEndsOnInflight(t *testing.T) {
	r := newBBRRoute(t, nil)
	r.in(bbrUp)
	r.in(bbrDown)
	r.wantNear("pacing rate", 9*mbit, int(r.b.pacingRate), 3)
	r.left(bbrDown)
	require.Equal(t, bbrCruise, r.b.state)
	require.LessOrEqual(t, r.l.active.bytesInFlight, r.b.inflight(r.b.maxBW(), 100)+r.size)
	r.run(20 * ms)
	r.wantNear("pacing rate", 10*mbit, int(r.b.pacingRate), 2)
}

func TestBBRDownEndsInTime(t *testing.T) {
	r := newBBRRoute(t, func(l *link) { l.queue = 0 })
	r.in(bbrUp)
	r.in(bbrDown)
	wait, began := r.b.wait, r.now
	r.rate = 8 * mbit // less than 90 % of the estimate, so that the queue does not shrink
	r.left(bbrDown)
	require.Contains(t, []bbrState{bbrRefill, bbrProbeRTT}, r.b.state)
	require.LessOrEqual(t, r.now.Sub(began), wait+100*ms)
}

func TestBBRProbeWaitIsRandom(t *testing.T) {
	b := NewBBR().(*bbr)
	b.Reset(testStart, 1200)
	waits := make(map[time.Duration]bool)
	for range 20 {
		b.startDown(testStart)
		require.GreaterOrEqual(t, b.wait, 2*time.Second)
		require.Less(t, b.wait, 3*time.Second)
		require.Contains(t, []int{0, 1}, b.sinceUp)
		waits[b.wait] = true
	}
	require.Greater(t, len(waits), 15)
}

func TestBBRProbeRTT(t *testing.T) {
	r := newBBRRoute(t, nil)
	r.in(bbrCruise)
	r.in(bbrProbeRTT)
	require.GreaterOrEqual(t, r.now.Sub(testStart), bbrProbeRTTEvery)
	require.Equal(t, r.b.probeRTTCwnd(), r.b.cwnd)
	require.LessOrEqual(t, r.b.cwnd, r.b.bdp(r.b.bw(), 100)/2+r.size)
	began := r.now
	r.left(bbrProbeRTT)
	require.GreaterOrEqual(t, r.now.Sub(began), bbrProbeRTTFor)
	require.Less(t, r.now.Sub(began), bbrProbeRTTFor+4*r.rtt)
	require.Equal(t, bbrCruise, r.b.state)
	require.InDelta(t, 40*ms, r.b.minRTT, float64(2*ms))
	r.wantNear("the rate afterwards", 10*mbit, r.throughput(time.Second), 3)
	r.wantNear("max_bw", 10*mbit, int(r.b.maxBW()), 2)
}

func TestBBRSkipsProbeRTTAfterIdle(t *testing.T) {
	r := newBBRRoute(t, nil)
	r.in(bbrCruise)
	r.want = func(time.Duration) int { return 0 }
	r.run(6 * time.Second)
	require.Zero(t, r.l.active.bytesInFlight)
	rate := r.b.bw()
	r.want = nil
	r.states = nil
	r.run(ms)
	require.True(t, r.b.idleRestart)
	r.wantNear("the rate at once", int(rate), int(r.b.pacingRate), 2)
	r.run(time.Second)
	require.NotContains(t, r.states, "probe_rtt")
	require.False(t, r.b.idleRestart)
}

func TestBBRAggregation(t *testing.T) {
	r := newBBRRoute(t, func(l *link) { l.gather = 20 * ms })
	r.in(bbrCruise)
	require.Greater(t, r.b.maxBW(), int64(9.5*mbit))
	require.Less(t, r.b.maxBW(), int64(14*mbit), "a sample covers at least three bursts of acknowledgements")
	require.Greater(t, r.b.extraAcked(), 10*mbit*15/1000)
	require.Greater(t, r.b.cwnd, r.b.bdp(r.b.bw(), 200)-r.size)
	require.Greater(t, r.throughput(3*time.Second), 9*mbit)
}

func TestBBRSubPacketBDP(t *testing.T) {
	r := newBBRRoute(t, func(l *link) { l.rate, l.rtt, l.queue = mbit/10, 2*ms, 40_000 })
	r.in(bbrCruise)
	r.run(10 * time.Second)
	require.GreaterOrEqual(t, r.b.cwnd, 4*r.size)
	require.LessOrEqual(t, r.b.cwnd, 20*r.size)
	r.wantNear("max_bw", mbit/10, int(r.b.maxBW()), 10)
	require.Greater(t, r.throughput(10*time.Second), mbit/10*95/100)
}

func TestBBRFindsTenTimesTheBandwidth(t *testing.T) {
	r := newBBRRoute(t, func(l *link) { l.queue = 500_000 })
	r.in(bbrUp)
	r.drop = every(10) // bounds what is in flight
	r.left(bbrUp)
	r.drop = nil
	require.Less(t, r.b.inflightLong, int64(bbrUnlimited))
	r.in(bbrCruise)
	r.rate = 100 * mbit
	r.until("100 Mbit/s", 15*time.Second, func() bool { return r.b.maxBW() > 95*mbit })
}

func TestBBRGrowthOfTheBoundDoubles(t *testing.T) {
	b := NewBBR().(*bbr)
	b.Reset(testStart, 1200)
	b.cwnd, b.inflightLong, b.state, b.use.full, b.roundStart = 120_000, 120_000, bbrUp, true, true
	b.raiseSlope()
	for _, grown := range []int64{1, 2, 4, 8, 16} {
		before := b.inflightLong
		b.probeUpward(&bbrSample{acked: 120_000})
		require.Equal(t, grown, (b.inflightLong-before)/1200)
		b.cwnd, b.inflightLong = 120_000, 120_000
	}
}

func TestBBRFollowsATenthOfTheBandwidth(t *testing.T) {
	r := newBBRRoute(t, func(l *link) { l.rate, l.queue = 100*mbit, 250_000 })
	r.in(bbrCruise)
	r.rate = 10 * mbit
	r.run(2 * time.Second)
	require.Less(t, r.b.bw(), int64(30*mbit), "bw_shortterm adapts to the losses")
	r.run(12 * time.Second)
	require.Less(t, r.b.maxBW(), int64(15*mbit))
}

func TestBBRPolicer(t *testing.T) {
	r := newBBRRoute(t, func(l *link) { l.rate, l.policy, l.burst = 100*mbit, 10*mbit, 100_000 })
	r.run(10 * time.Second)
	sent, lost := r.sentBytes, r.lostBytes
	got := r.throughput(20 * time.Second)
	share := float64(r.lostBytes-lost) / float64(r.sentBytes-sent)
	t.Logf("%.1f Mbit/s, %.1f %% lost", float64(got)/mbit, 100*share)
	require.Greater(t, got, 8*mbit)
	require.Less(t, share, 0.08)
	require.Less(t, r.b.inflightLong, int64(bbrUnlimited))
}

// A burst of packets that is only late ends Startup, and its arrival begins Startup again.
func TestBBRUndoesSpuriousLoss(t *testing.T) {
	r := newBBRRoute(t, nil)
	r.in(bbrUp)
	until := r.number + 40
	r.late = func(n int) time.Duration {
		if n < until && n%2 == 0 {
			return 30 * ms
		}
		return 0
	}
	r.left(bbrUp)
	require.Equal(t, bbrDown, r.b.state)
	bound := r.b.inflightLong
	r.in(bbrRefill)
	require.Greater(t, r.b.inflightLong, bound, "the bound is as before")
	require.EqualValues(t, 1, r.l.Counters().UndoneReductions)
	r.in(bbrUp)
}

func TestBBRProbeRTTDuringStartup(t *testing.T) {
	r := newBBRRoute(t, nil)
	r.want = func(d time.Duration) int { return int(d.Seconds() * mbit) }
	r.rtt = 50 * ms
	r.run(time.Second)
	r.rtt = 80 * ms
	r.in(bbrProbeRTT)
	require.False(t, r.b.fullReached)
	r.left(bbrProbeRTT)
	require.Equal(t, bbrStartup, r.b.state)
}

func TestBBRLossInUpAfterTheBoundIsSet(t *testing.T) {
	r := newBBRRoute(t, nil)
	r.in(bbrUp)
	r.drop = every(5)
	r.left(bbrUp)
	r.drop = nil
	r.in(bbrUp) // a precautionary probe
	r.left(bbrUp)
	r.in(bbrUp)
	require.False(t, r.b.prevTooHigh)
	require.Less(t, r.b.inflightLong, int64(bbrUnlimited))
	r.drop = every(4)
	r.left(bbrUp)
	require.Equal(t, bbrDown, r.b.state)
	require.True(t, r.b.prevTooHigh)
}

// After a probe that lost too much, the next one ends at the bound, and is followed by another one if that lost nothing.
func TestBBRPrecautionaryProbe(t *testing.T) {
	r := newBBRRoute(t, nil)
	r.in(bbrUp)
	r.drop = every(5)
	r.left(bbrUp)
	r.drop = nil
	r.in(bbrUp)
	require.True(t, r.b.prevTooHigh)
	r.left(bbrUp)
	require.True(t, r.b.prevPrecaution)
	require.False(t, r.b.fullNow, "the probe ended early")
	r.states = nil
	r.in(bbrRefill)
	require.NotContains(t, r.states, "probe_bw_cruise")
}

func TestBBRAppLimitedRefill(t *testing.T) {
	r := newBBRRoute(t, nil)
	r.in(bbrRefill)
	most := r.b.maxBW()
	sent, from := r.sentBytes-r.lostBytes, r.now.Sub(testStart)
	r.want = func(d time.Duration) int { return sent + int((d-from).Seconds()*2*mbit) }
	r.in(bbrUp)
	require.Equal(t, most, r.b.maxBW(), "samples that the application limits do not lower the estimate")
}

// Losses between probes reduce the rate once for each round trip, to no less than what is delivered.
func TestBBRLossBetweenProbes(t *testing.T) {
	r := newBBRRoute(t, nil)
	r.in(bbrCruise)
	r.drop = every(10)
	r.run(500 * ms)
	require.Equal(t, bbrCruise, r.b.state)
	require.Less(t, r.b.bwShort, r.b.maxBW())
	r.wantNear("bw_shortterm", int(r.b.bwShort), r.throughput(200*ms), 25)
	r.drop = nil
	r.in(bbrRefill)
	require.EqualValues(t, int64(bbrUnlimited), r.b.bwShort, "the short-term model is forgotten")
	require.EqualValues(t, int64(bbrUnlimited), r.b.inflightShort)
}

// "When persistent congestion is declared, the sender's congestion window MUST be reduced to the minimum congestion
// window (kMinimumWindow)"
// https://www.rfc-editor.org/rfc/rfc9002#section-7.6.2-6
func TestBBRPersistentCongestion(t *testing.T) {
	r := newBBRRoute(t, nil)
	r.in(bbrCruise)
	b := LossBatch{Now: r.now, ID: 100, Packets: 10, Ranges: 1, Bytes: 12_000, Persistent: true}
	require.True(t, r.b.Lost(&b))
	require.Equal(t, 2*r.size, r.b.cwnd)
	r.run(2 * time.Second)
	require.Greater(t, r.b.cwnd, r.b.bdp(r.b.bw(), 100), "the window is as before")
}

// A packet that only acknowledges has no sample, even if it is the newest that is acknowledged.
func TestSampleOfPacketsInFlight(t *testing.T) {
	lt := newConfirmedTest(t)
	watch := &sampled{Controller: lt.l.active.cc}
	lt.l.active.cc = watch
	lt.send(SpaceApp, 1)
	lt.advance(10 * ms)
	lt.ack(SpaceApp, 0, 0)
	lt.send(SpaceApp, 1)
	lt.sendAck(SpaceApp)
	lt.advance(10 * ms)
	lt.ack(SpaceApp, 0, 0, -2)
	require.EqualValues(t, 1200, watch.last.Delivered)
	require.EqualValues(t, 1200, watch.last.PriorDelivered)
	require.Equal(t, 10*ms, watch.last.Interval)
	pn := lt.sendAck(SpaceApp)
	lt.ack(SpaceApp, 0, 0, -pn)
	require.Zero(t, watch.last)
}

type sampled struct {
	Controller
	last RateSample
}

func (s *sampled) Acked(b *AckBatch) bool {
	s.last = b.Sample
	return s.Controller.Acked(b)
}

func TestMaxFilter(t *testing.T) {
	values := []int64{5, 3, 9, 1, 2, 2, 7, 0, 0, 0, 4, 1, 1, 1, 1, 1, 1, 6, 0}
	const length = 4
	var f maxFilter
	for i, v := range values {
		f.update(v, uint32(i), length)
		window := values[max(0, i-length) : i+1]
		require.LessOrEqual(t, f.best(), slices.Max(window))
		require.GreaterOrEqual(t, f.best(), v)
		if i >= 2 && i <= 2+length {
			require.EqualValues(t, 9, f.best())
		}
	}
}

// The initial rate is 2.77 initial windows in a round trip, and the rate only rises in Startup.
func TestBBRStartupPacing(t *testing.T) {
	r := newBBRRoute(t, nil)
	require.Zero(t, r.b.pacingRate, "there is no round-trip time")
	r.until("the first sample", time.Second, func() bool { return r.b.pacingRate > 0 })
	window := initialWindow(r.size)
	require.InDelta(t, float64(window)*2.77/0.041, float64(r.b.pacingRate), float64(window)*2.77/0.041*0.05)
	last := r.b.pacingRate
	r.observe = func(r *route) {
		b := r.l.active.cc.(*bbr)
		if b.state == bbrStartup {
			require.GreaterOrEqual(t, b.pacingRate, last)
			last = b.pacingRate
		}
	}
	r.left(bbrStartup)
}

func TestBBRSendQuantum(t *testing.T) {
	for rate, want := range map[int64]int{0: 2400, 100_000: 2400, 10_000_000: 10_000, 1_000_000_000: 64 << 10} {
		b := bbr{mds: 1200, pacingRate: rate}
		require.Equal(t, want, b.sendQuantum(), rate)
	}
}

// In ProbeBW_CRUISE and ProbeRTT, 15 % of the long-term bound stay free, at least one datagram.
func TestBBRHeadroom(t *testing.T) {
	for bound, want := range map[int64]int64{bbrUnlimited: bbrUnlimited, 100_000: 85_000, 6000: 4800, 1200: 4800} {
		b := bbr{mds: 1200}
		b.inflightLong, b.inflightShort = bound, bbrUnlimited
		require.Equal(t, want, b.withHeadroom(), bound)
		for state, limit := range map[bbrState]int64{bbrStartup: bbrUnlimited, bbrDown: bound, bbrRefill: bound, bbrUp: bound,
			bbrCruise: want, bbrProbeRTT: want} {
			b.state = state
			require.Equal(t, int(max(4800, min(limit, maxWindow))), b.modelCap(), bbrGains[state].name)
		}
	}
}

// Of 100,000 bytes in flight, 2 % may be lost. Losses that begin at the end are found where they exceed that.
func TestBBRInflightAtLoss(t *testing.T) {
	for _, c := range []struct{ inFlight, lost, size, want int }{
		{100_000, 10_000, 10_000, 91_836}, // 90,000 before, of which 1836 + 90,000 * 2 % is 2 % of the sum
		{100_000, 12_000, 10_000, 90_000}, // 2000 were lost before
		{100_000, 20_000, 10_000, 90_000},
		{10_000, 20_000, 20_000, 0},
	} {
		require.InDelta(t, c.want, inflightAtLoss(&RateSample{InFlight: c.inFlight, Lost: uint64(c.lost)}, c.size), 1)
	}
}

// The threshold is 2 % and two standard deviations, in datagrams of 1200 bytes.
func TestBBRLossThreshold(t *testing.T) {
	for _, c := range []struct {
		inFlight, lost int
		want           bool
	}{
		{1000, 20, false}, {1000, 28, false}, {1000, 29, true}, {300, 6, false}, {300, 10, false}, {300, 11, true},
		{4, 0, false}, {4, 1, true}, {10, 1, false}, {10, 2, true},
	} {
		b := bbr{mds: 1200}
		require.Equal(t, c.want, b.tooHigh(&RateSample{InFlight: 1200 * c.inFlight, Lost: uint64(1200 * c.lost)}), c)
	}
}
