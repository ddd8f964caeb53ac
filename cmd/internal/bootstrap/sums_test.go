package bootstrap

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// The interval of a rate over intervals of different length contains the true rate about as often as
// claimed.
func TestRatioOfSumsCovers(t *testing.T) {
	const worlds, truth = 300, 50.0
	random := rand.New(rand.NewPCG(5, 6))
	hits := 0
	for w := range worlds {
		var counts, seconds []float64
		for range 40 {
			s := 0.5 + random.Float64()
			seconds = append(seconds, s)
			counts = append(counts, s*truth*(1+0.2*random.NormFloat64()))
		}
		in := RatioOfSums(counts, seconds, uint64(w))
		if in.Low <= truth && truth <= in.High {
			hits++
		}
	}
	require.InDelta(t, 0.94, float64(hits)/worlds, 0.04)
}

func TestRatioOfSums(t *testing.T) {
	in := RatioOfSums([]float64{10, 0, 5}, []float64{1, 1, 1, 9}, 1)
	require.InDelta(t, 5, in.Value, 1e-9)
	require.Less(t, in.Low, in.Value)
	require.Greater(t, in.High, in.Value)
	require.Zero(t, RatioOfSums([]float64{1}, []float64{0}, 1))
}

// A round without a measurement does not invalidate the ratio, and the result can be written as JSON.
func TestRatioOfNothing(t *testing.T) {
	in := Ratio([]float64{0, 2, 3, 5}, []float64{1, 1, 0, 5}, 1)
	require.InDelta(t, math.Sqrt2, in.Value, 1e-9)
	require.Zero(t, Ratio([]float64{0}, []float64{0}, 1))
}

// The interval of a ratio contains the true ratio about as often as claimed, for rounds that have noise in
// common and noise of their own.
func TestRatioCovers(t *testing.T) {
	const worlds, truth = 300, 0.92
	random := rand.New(rand.NewPCG(7, 8))
	hits := 0
	for w := range worlds {
		var as, bs []float64
		for range 20 {
			common := math.Exp(random.NormFloat64())
			as = append(as, truth*common*math.Exp(0.05*random.NormFloat64()))
			bs = append(bs, common*math.Exp(0.05*random.NormFloat64()))
		}
		in := Ratio(as, bs, uint64(w))
		require.Less(t, in.High-in.Low, 0.15, "the common noise cancels out")
		if in.Low <= truth && truth <= in.High {
			hits++
		}
	}
	require.InDelta(t, 0.93, float64(hits)/worlds, 0.05)
}
