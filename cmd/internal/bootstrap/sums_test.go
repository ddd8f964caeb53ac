package bootstrap

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// A rate over intervals of different length: the interval holds the true one about as often as it says.
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
