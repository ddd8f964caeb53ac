package recovery

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A hystartRound is a round trip of slow start: the samples of its acknowledgements in ms, and the phase after
// them.
type hystartRound struct {
	samples []int
	phase   string
}

// times returns n equal samples.
func times(n, sample int) (out []int) {
	for range n {
		out = append(out, sample)
	}
	return out
}

// TestHystartPhases runs rounds of samples and compares the phase after each.
func TestHystartPhases(t *testing.T) {
	const slow, css, avoid = "slow start", "conservative", "avoidance"
	for _, test := range []struct {
		name   string
		rounds []hystartRound
	}{
		{"a constant round-trip time", []hystartRound{{times(10, 50), slow}, {times(20, 50), slow}, {times(40, 50), slow}}},
		{"a rise and five round trips", []hystartRound{
			{times(10, 50), slow}, {times(20, 57), css}, {times(20, 70), css}, {times(20, 80), css},
			{times(20, 90), css}, {times(20, 90), css}, {times(1, 90), avoid}}},
		{"a rise that is too small", []hystartRound{{times(10, 50), slow}, {times(20, 56), slow}, {times(20, 62), slow}}},
		{"at least 4 ms", []hystartRound{{times(10, 8), slow}, {times(20, 11), slow}, {times(20, 15), css}}},
		{"at most 16 ms", []hystartRound{{times(10, 400), slow}, {times(20, 415), slow}, {times(20, 431), css}}},
		{"too few samples", []hystartRound{{times(10, 50), slow}, {times(7, 90), slow}}},
		{"one sample is low", []hystartRound{{times(10, 50), slow}, {append(times(7, 90), 50, 90, 90), slow}}},
		{"late in the round trip", []hystartRound{{times(10, 50), slow}, {append(times(30, 50), times(12, 57)...), css}}},
		{"no previous round trip", []hystartRound{{append(times(3, 50), times(20, 90)...), slow}}},
		{"falls again", []hystartRound{
			{times(10, 50), slow}, {times(8, 60), css}, {times(8, 59), slow}, {times(8, 59), slow}, {times(8, 67), css}}},
		{"falls with too few samples", []hystartRound{{times(10, 50), slow}, {times(8, 60), css}, {times(7, 50), css}}},
		{"falls in the round trip of the rise", []hystartRound{{times(10, 50), slow}, {append(times(8, 60), times(8, 50)...), slow}}},
		{"five round trips are counted anew", []hystartRound{
			{times(10, 50), slow}, {times(8, 60), css}, {times(8, 60), css}, {times(8, 50), slow}, {times(8, 60), css},
			{times(8, 60), css}, {times(8, 60), css}, {times(8, 60), css}, {times(8, 60), css}, {times(8, 60), avoid}}},
		{"round trips without a sample", []hystartRound{{times(10, 50), slow}, {nil, slow}, {times(8, 60), css}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var h hystart
			for i, r := range test.rounds {
				require.Equal(t, r.phase, h.round(r.samples, true), "round trip %d", i)
			}
		})
	}
}

// round runs a round trip and returns the phase after it.
func (h *hystart) round(samples []int, limits bool) string {
	ended := false
	if len(samples) == 0 {
		ended = h.acked(true, 0, limits)
	}
	for i, s := range samples {
		ended = h.acked(i == 0, time.Duration(s)*ms, limits) || ended
	}
	switch {
	case ended:
		return "avoidance"
	case h.conservative():
		return "conservative"
	}
	return "slow start"
}

// While the application limits the sender, a rise of the round-trip time has another cause, and slow start
// goes on.
func TestHystartApplicationLimited(t *testing.T) {
	var h hystart
	h.round(times(10, 50), true)
	require.Equal(t, "slow start", h.round(times(20, 90), false))
	h = hystart{}
	h.round(times(10, 50), true)
	require.Equal(t, "conservative", h.round(times(20, 90), true))
	for range 20 {
		require.Equal(t, "conservative", h.round(times(20, 90), false), "the phase does not run out")
	}
}

// The window doubles in slow start, grows by a quarter in conservative slow start, and then follows CUBIC from
// its level point.
func TestCubicWithHystart(t *testing.T) {
	ct := newCubicTest(t, 50*ms, 10)
	ct.Reset(ct.now, segment)
	ct.roundTrip(1)
	require.InDelta(t, 20, ct.segments(), 7, "compounded ten times")
	for range 3 {
		ct.roundTrip(1)
	}
	before := ct.cwnd
	ct.rtt = 60 * ms
	ct.roundTrip(1)
	ct.roundTrip(1)
	require.True(t, ct.conservative())
	require.Greater(t, ct.cwnd, before*2)
	for ct.inSlowStart() {
		was := ct.cwnd
		ct.roundTrip(1)
		require.InDelta(t, 1.25, float64(ct.cwnd)/float64(was), 0.15)
	}
	require.Equal(t, ct.ssthresh, ct.avoidance.prior)
	ct.roundTrip(1)
	require.Zero(t, ct.avoidance.level)
	require.Equal(t, ct.avoidance.prior, ct.avoidance.max)
	require.Less(t, ct.cwnd, ct.ssthresh+2*segment)

	ct.cwnd = maxWindow
	ct.Lost(&LossBatch{Now: ct.now, ID: 1, Packets: 1, NewPackets: 1, Persistent: true})
	ct.rtt = 50 * ms
	ct.roundTrip(1)
	ct.rtt = 90 * ms
	threshold := ct.ssthresh
	for ct.cwnd < threshold {
		was := ct.cwnd
		ct.roundTrip(1)
		require.False(t, ct.conservative(), "only the first slow start has a conservative phase")
		require.GreaterOrEqual(t, ct.cwnd, min(2*was, threshold))
	}
}
