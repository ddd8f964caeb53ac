package bootstrap

// RatioOfSums estimates sum(as)/sum(bs) of samples that belong together: as[i] is what happened in
// interval i, bs[i] how long it was, or how much else happened in it. Long intervals weigh more than
// short ones. Of lists of different length the surplus is left out.
// A sum of zero below gives zero.
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
