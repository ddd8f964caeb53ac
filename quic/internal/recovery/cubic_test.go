package recovery

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/monotime"
)

const segment = 1200

// cubicTest drives a CUBIC controller without a connection.
type cubicTest struct {
	*testing.T
	*cubic
	now  monotime.Time
	rtt  time.Duration
	acks int    // in each round trip
	id   uint32 // ID of the latest loss batch
}

// newCubicTest returns a controller in congestion avoidance with a window of the given number of segments.
func newCubicTest(t *testing.T, rtt time.Duration, segments int) *cubicTest {
	ct := &cubicTest{T: t, cubic: NewCubic().(*cubic), now: testStart, rtt: rtt, acks: 10}
	ct.Reset(ct.now, segment)
	ct.cwnd, ct.ssthresh, ct.initial = segments*segment, segments*segment, false
	return ct
}

// segments returns the window in segments.
func (t *cubicTest) segments() float64 { return float64(t.cwnd) / segment }

// roundTrip lets a round trip pass in which a share of the window is used and acknowledged.
func (t *cubicTest) roundTrip(share float64) {
	bytes := int(share * float64(t.cwnd) / float64(t.acks))
	for range t.acks {
		t.PacketSent(t.now, segment, int(share*float64(t.cwnd)))
		t.now = t.now.Add(t.rtt / time.Duration(t.acks))
		t.ack(bytes)
	}
}

func (t *cubicTest) ack(bytes int) {
	t.Acked(&AckBatch{Now: t.now, Bytes: bytes, NewBytes: bytes, RTT: t.rtt, SmoothedRTT: t.rtt, LatestSent: t.now.Add(-t.rtt)})
}

// run lets round trips with a full window pass until d has passed.
func (t *cubicTest) run(d time.Duration) {
	for end := t.now.Add(d); t.now < end; {
		t.roundTrip(1)
	}
}

// lose declares a packet lost that was sent outside of recovery.
func (t *cubicTest) lose() {
	t.id++
	require.True(t, t.Lost(&LossBatch{Now: t.now, ID: t.id, Packets: 1, NewPackets: 1, LatestSent: t.now.Add(-1)}))
}

func TestCube(t *testing.T) {
	for _, mds := range []int{1200, 1452, 9000} {
		for _, d := range []time.Duration{0, ms, 50 * ms, time.Second, 4217 * ms, 30 * time.Second, maxCube} {
			want := 0.4 * math.Pow(d.Seconds(), 3) * float64(mds)
			require.InDelta(t, want, float64(cube(d, mds)), 1+want*1e-5, "%v", d)
			require.Equal(t, cube(d, mds), -cube(-d, mds), "%v", d)
		}
		require.Equal(t, cube(maxCube, mds), cube(24*time.Hour, mds))
		require.Greater(t, cube(maxCube, mds), int64(maxWindow))
	}
	require.Positive(t, cube(math.MaxInt64, math.MaxUint16))
}

// K is the cube root of (W_max - cwnd_epoch) / C (RFC 9438, section 4.2).
func TestCubeRoot(t *testing.T) {
	for _, mds := range []int{1200, 1452, 9000} {
		for _, size := range []int64{1, 100, 1200, 30 * 1200, 1 << 20, maxWindow} {
			k := cubeRoot(size, mds)
			require.InDelta(t, math.Cbrt(float64(size)/float64(mds)/0.4), k.Seconds(), 0.001, "%d", size)
			require.GreaterOrEqual(t, cube(k, mds), size)
			require.Less(t, cube(k-time.Microsecond, mds), size)
		}
	}
}

// The window follows W_cubic(t) = 0.4 * (t - K)^3 + 100 after a loss at 100 segments, where K is 4.217 s. It
// is between W_cubic(t) and W_cubic(t + RTT), the target, however few bytes each frame acknowledges.
func TestCubicFunction(t *testing.T) {
	curve := func(d time.Duration) float64 { return 0.4*math.Pow(d.Seconds()-4.217, 3) + 100 }
	for _, acks := range []int{1, 10, 2000} {
		ct := newCubicTest(t, 200*ms, 100)
		ct.acks = acks
		ct.lose()
		require.Equal(t, 70*segment, ct.cwnd)
		ct.roundTrip(1)
		begun := ct.now
		require.InDelta(t, 4.217, ct.avoidance.level.Seconds(), 0.001)
		for range 40 {
			ct.roundTrip(1)
			at := ct.now.Sub(begun)
			require.GreaterOrEqual(t, ct.segments(), curve(at)-0.1, "%d acknowledgements, after %v", acks, at)
			require.LessOrEqual(t, ct.segments(), curve(at+2*ct.rtt)+0.1, "%d acknowledgements, after %v", acks, at)
		}
		require.Greater(t, ct.segments(), 120.0, "the convex region")
	}
}

// On short round trips, the window is Reno's: it grows by 9/17 of a segment in each until it reaches
// cwnd_prior, and by one segment thereafter.
func TestRenoFriendlyRegion(t *testing.T) {
	ct := newCubicTest(t, 10*ms, 20)
	ct.lose()
	require.Equal(t, 14*segment, ct.cwnd)
	want := 14.0
	for i := range 30 {
		ct.roundTrip(1)
		if want < 20 {
			want += 9.0 / 17
		} else {
			want++
		}
		require.InDelta(t, want, ct.segments(), 1.2, "round trip %d", i)
	}
	require.Greater(t, ct.segments(), 36.0, "11 round trips to 20 segments, then one in each")
}

// Reno's estimate is exact however the acknowledged bytes are split.
func TestRenoEstimateKeepsRemainders(t *testing.T) {
	for _, piece := range []int{1, 40, 1200, 12000} {
		a := avoidance{prior: 1 << 20}
		a.begin(12000, segment)
		for range 120_000 / piece {
			a.growReno(piece, 12000, segment)
		}
		require.Equal(t, 12000+10*segment*9/17, a.reno, "pieces of %d", piece)
	}
}

// "The lower and upper bounds below ensure that CUBIC's congestion window increase rate is non-decreasing and
// is less than the increase rate of slow start".
// https://www.rfc-editor.org/rfc/rfc9438#section-4.2-10
func TestTargetIsBounded(t *testing.T) {
	ct := newCubicTest(t, 100*ms, 100)
	ct.lose()
	ct.roundTrip(1)
	ct.avoidance.elapsed = time.Hour
	for range 5 {
		was := ct.cwnd
		ct.roundTrip(1)
		require.Greater(t, ct.cwnd, was*14/10)
		require.Less(t, ct.cwnd, was*17/10, "half a window for each window acknowledged, compounded")
	}
	ct.run(20 * time.Second)
	require.Equal(t, maxWindow, ct.cwnd)
}

// A reduction multiplies the window by 0.7, and W_max by 0.85 more if the window had not reached the
// previous W_max.
func TestCubicReduction(t *testing.T) {
	ct := newCubicTest(t, 100*ms, 100)
	for _, want := range []struct{ cwnd, max int }{{70, 100}, {49, 70 * 17 / 20}} {
		ct.lose()
		require.Equal(t, want.cwnd*segment, ct.cwnd)
		require.Equal(t, want.cwnd*segment, ct.ssthresh)
		require.InDelta(t, want.max*segment, ct.avoidance.max, segment)
		ct.now = ct.now.Add(ct.rtt)
	}
	ct.run(20 * time.Second)
	was := ct.cwnd
	require.Greater(t, was, 70*segment, "above W_max")
	ct.lose()
	require.Equal(t, was, ct.avoidance.max, "no fast convergence")
	for range 20 {
		ct.now = ct.now.Add(ct.rtt)
		ct.lose()
	}
	require.Equal(t, 2*segment, ct.cwnd, "the minimum window")
	ct.run(time.Second)
	require.Greater(t, ct.cwnd, 2*segment, "it grows from there")
}

// ECN-CE reduces the window as a loss does, once in each recovery period.
func TestCubicECN(t *testing.T) {
	ct := newCubicTest(t, 100*ms, 100)
	mark := func(sent monotime.Time) bool {
		return ct.Acked(&AckBatch{Now: ct.now, LatestSent: sent, CE: 1, NewBytes: segment, SmoothedRTT: ct.rtt})
	}
	require.True(t, mark(ct.now.Add(-ct.rtt)))
	require.Equal(t, 70*segment, ct.cwnd)
	ct.now = ct.now.Add(ct.rtt / 2)
	require.False(t, mark(ct.now.Add(-ct.rtt)), "sent before the recovery period")
	require.Equal(t, 70*segment, ct.cwnd)
	ct.now = ct.now.Add(ct.rtt)
	require.True(t, mark(ct.now.Add(-ct.rtt)))
	require.Equal(t, 49*segment, ct.cwnd)
}

// While the application limits the sender, the window does not grow and the time of the curve stands still.
func TestCubicApplicationLimited(t *testing.T) {
	ct := newCubicTest(t, 100*ms, 100)
	ct.lose()
	ct.run(2 * time.Second)
	ct.roundTrip(0.5) // the window was full in the round trip before
	ct.roundTrip(0.5)
	ct.roundTrip(0.5)
	before, elapsed := ct.cwnd, ct.avoidance.elapsed
	for range 300 {
		ct.roundTrip(0.5)
	}
	require.Equal(t, before, ct.cwnd)
	require.Equal(t, elapsed, ct.avoidance.elapsed)
	ct.roundTrip(1)
	require.Less(t, ct.cwnd, before*11/10, "no jump")
	require.Less(t, ct.avoidance.elapsed, elapsed+2*ct.rtt)
}

// After an idle period the window and the curve are as before, and the pacer spreads what is sent.
func TestCubicIdle(t *testing.T) {
	ct := newCubicTest(t, 100*ms, 100)
	ct.lose()
	ct.run(2 * time.Second)
	before, elapsed := ct.cwnd, ct.avoidance.elapsed
	ct.now = ct.now.Add(time.Hour)
	ct.PacketSent(ct.now, segment, segment) // nothing was in flight
	ct.roundTrip(1)
	require.Equal(t, elapsed+ct.rtt, ct.avoidance.elapsed)
	require.Less(t, ct.cwnd, before*11/10)
	require.Positive(t, ct.Output(&RTT{Smoothed: ct.rtt, Sampled: true}).PacingRate)
}

// After persistent congestion, slow start leads up to the threshold, and the curve begins at its level point.
func TestCubicPersistentCongestion(t *testing.T) {
	ct := newCubicTest(t, 100*ms, 100)
	require.True(t, ct.Lost(&LossBatch{Now: ct.now, ID: 1, Packets: 1, NewPackets: 1, Persistent: true}))
	require.Equal(t, 2*segment, ct.cwnd)
	require.Equal(t, 70*segment, ct.ssthresh)
	require.False(t, ct.Spurious(&SpuriousLoss{ID: 1, Sent: ct.now}), "never undone")
	rounds := 0
	for ; ct.inSlowStart(); rounds++ {
		ct.roundTrip(1)
	}
	require.LessOrEqual(t, rounds, 6, "2 to 70 segments")
	require.InDelta(t, 70*segment, ct.cwnd, segment)
	ct.roundTrip(1)
	require.Zero(t, ct.avoidance.level)
	require.InDelta(t, 70*segment, ct.avoidance.max, segment)
	require.Less(t, ct.cwnd, 72*segment)
}

// A change of the datagram size keeps the window, and the curve begins anew.
func TestCubicDatagramSize(t *testing.T) {
	ct := newCubicTest(t, 100*ms, 100)
	ct.lose()
	ct.run(time.Second)
	before := ct.cwnd
	ct.SetDatagramSize(9000)
	require.Equal(t, before, ct.cwnd)
	ct.roundTrip(1)
	require.InDelta(t, math.Cbrt(float64(100*segment-before)/9000/0.4), ct.avoidance.level.Seconds(), 0.001)
	ct.SetDatagramSize(1 << 16)
	require.Equal(t, 2<<16, ct.cwnd, "two datagrams")
}

func TestCubicOutput(t *testing.T) {
	ct := newCubicTest(t, 100*ms, 100)
	rtt := &RTT{Smoothed: 100 * ms, Sampled: true}
	require.EqualValues(t, 100*segment*10*5/4, ct.Output(rtt).PacingRate)
	require.Zero(t, ct.Output(rtt).MaxTrain)
	ct.ssthresh = math.MaxInt
	require.Zero(t, ct.Output(rtt).MaxTrain, "the application limits the sender")
	ct.PacketSent(ct.now, segment, 100*segment)
	require.EqualValues(t, 100*segment*10*2, ct.Output(rtt).PacingRate, "slow start")
	require.Equal(t, 100*segment/8, ct.Output(rtt).MaxTrain, "at least eight acknowledgements")
	ct.hystart.baseline = 100 * ms
	require.EqualValues(t, 100*segment*10*5/4, ct.Output(rtt).PacingRate, "conservative slow start")
	ct.Reset(ct.now, segment)
	ct.PacketSent(ct.now, segment, 10*segment)
	require.Zero(t, ct.Output(rtt).MaxTrain, "the initial window is one train")
}

// Slow start ends at the threshold, and not at the end of the ACK frame that reaches it.
func TestCubicThreshold(t *testing.T) {
	ct := newCubicTest(t, 100*ms, 10)
	ct.ssthresh = 15 * segment
	ct.PacketSent(ct.now, segment, 10*segment)
	ct.ack(10 * segment)
	require.Equal(t, 15*segment, ct.cwnd)
}
