// Package bootstrap estimates means and ratios with confidence intervals by resampling (Efron's percentile
// bootstrap), which assumes nothing about the distribution of a machine's noise. The samples are the rounds
// of an experiment. There are few of them, so the intervals are wide.
package bootstrap

import (
	"math"
	"math/rand/v2"
	"slices"
)

// resamples is the number of resamplings.
const resamples = 4000

// An Interval is an estimate with its 95 % confidence interval.
type Interval struct {
	Value float64 `json:"value"`
	Low   float64 `json:"low"`
	High  float64 `json:"high"`
}

// Mean estimates the mean of xs. The same seed gives the same interval.
func Mean(xs []float64, seed uint64) Interval {
	return estimate(len(xs), seed, func(pick func(int) int) float64 {
		var sum float64
		for i := range xs {
			sum += xs[pick(i)]
		}
		return sum / float64(len(xs))
	})
}

// Ratio estimates the ratio of as to bs, which were measured in pairs: as[i] in the same round as bs[i].
// Pairs are resampled together, so that a disturbance of a whole round cancels out. The estimate is the
// geometric mean of the pairs' ratios. Excess elements of the longer list are ignored, and so are pairs
// with a value that is not positive: they have no ratio.
func Ratio(as, bs []float64, seed uint64) Interval {
	as, bs = positive(as, bs)
	n := len(as)
	return estimate(n, seed, func(pick func(int) int) float64 {
		var sum float64
		for i := range n {
			k := pick(i)
			sum += math.Log(as[k] / bs[k])
		}
		return math.Exp(sum / float64(n))
	})
}

// positive returns the pairs in which both values are positive.
func positive(as, bs []float64) (pa, pb []float64) {
	for i := range min(len(as), len(bs)) {
		if as[i] > 0 && bs[i] > 0 {
			pa, pb = append(pa, as[i]), append(pb, bs[i])
		}
	}
	return pa, pb
}

// estimate runs statistic on the samples and on draws with replacement.
func estimate(n int, seed uint64, statistic func(pick func(int) int) float64) Interval {
	if n == 0 {
		return Interval{}
	}
	value := statistic(func(i int) int { return i })
	if n == 1 {
		return Interval{Value: value, Low: value, High: value}
	}
	random := rand.New(rand.NewPCG(seed, uint64(n)))
	draws := make([]float64, resamples)
	for i := range draws {
		draws[i] = statistic(func(int) int { return random.IntN(n) })
	}
	slices.Sort(draws)
	return Interval{Value: value, Low: draws[resamples*25/1000], High: draws[resamples*975/1000-1]}
}
