package bootstrap

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// The interval of a mean contains the true mean about as often as claimed.
func TestMeanCovers(t *testing.T) {
	const worlds, truth = 300, 10.0
	random := rand.New(rand.NewPCG(1, 2))
	hits := 0
	for w := range worlds {
		xs := make([]float64, 30)
		for i := range xs {
			xs[i] = truth + random.NormFloat64()
		}
		in := Mean(xs, uint64(w))
		require.LessOrEqual(t, in.Low, in.Value)
		require.GreaterOrEqual(t, in.High, in.Value)
		if in.Low <= truth && truth <= in.High {
			hits++
		}
	}
	require.InDelta(t, 0.94, float64(hits)/worlds, 0.04)
}

// A disturbance of a whole round does not affect the ratio of two runs in it.
func TestRatioOfPairs(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	var as, bs []float64
	for range 10 {
		noise := 1 + 9*random.Float64()
		as = append(as, 0.8*noise)
		bs = append(bs, noise)
	}
	in := Ratio(as, bs, 1)
	require.InDelta(t, 0.8, in.Value, 1e-9)
	require.InDelta(t, 0.8, in.Low, 1e-9)
	require.InDelta(t, 0.8, in.High, 1e-9)
	require.InDelta(t, 1.25, Ratio(bs, as, 1).Value, 1e-9, "the reverse ratio")
}

func TestRatioIsRepeatable(t *testing.T) {
	as, bs := []float64{1, 2, 3, 4}, []float64{2, 2, 3, 5}
	require.Equal(t, Ratio(as, bs, 7), Ratio(as, bs, 7))
	in := Ratio(as, bs, 7)
	require.Less(t, in.Low, in.Value)
	require.Greater(t, in.High, in.Value)
}

func TestFewSamples(t *testing.T) {
	require.Zero(t, Mean(nil, 1))
	require.Equal(t, Interval{2, 2, 2}, Mean([]float64{2}, 1))
	require.Equal(t, Interval{0.5, 0.5, 0.5}, Ratio([]float64{1, 9}, []float64{2}, 1))
}
