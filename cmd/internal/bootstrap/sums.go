package bootstrap

// RatioOfSums estimates sum(as)/sum(bs) of paired samples: as[i] is a count in interval i, and bs[i] is its
// length or another count. Long intervals weigh more than short ones. Excess elements of the longer list
// are ignored. If sum(bs) is zero, the result is zero.
func RatioOfSums(as, bs []float64, seed uint64) Interval {
	n := min(len(as), len(bs))
	return estimate(n, seed, func(pick func(int) int) float64 {
		var a, b float64
		for i := range n {
			k := pick(i)
			a += as[k]
			b += bs[k]
		}
		if b == 0 {
			return 0
		}
		return a / b
	})
}
