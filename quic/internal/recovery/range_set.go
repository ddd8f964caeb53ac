package recovery

import "slices"

// Range is a half-open interval.
type Range[T ~int64] struct {
	Start, End T
}

// RangeSet is a set of integers, kept as ascending ranges that do not touch. The zero value is
// empty.
type RangeSet[T ~int64] struct {
	r []Range[T]
}

// find returns the index of the first range that ends at or after v.
func (s *RangeSet[T]) find(v T) int {
	// Most operations are at the end.
	if n := len(s.r); n == 0 || s.r[n-1].End < v {
		return n
	}
	lo, hi := 0, len(s.r)-1
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if s.r[mid].End < v {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// Add adds [start, end).
func (s *RangeSet[T]) Add(start, end T) {
	if start >= end {
		return
	}
	i := s.find(start)
	j := i
	for ; j < len(s.r) && s.r[j].Start <= end; j++ {
		start, end = min(start, s.r[j].Start), max(end, s.r[j].End)
	}
	if i == j {
		s.r = slices.Insert(s.r, i, Range[T]{start, end})
		return
	}
	s.r[i] = Range[T]{start, end}
	s.r = slices.Delete(s.r, i+1, j)
}

// Sub removes [start, end).
func (s *RangeSet[T]) Sub(start, end T) {
	if start >= end {
		return
	}
	for i := s.find(start); i < len(s.r) && s.r[i].Start < end; {
		r := &s.r[i]
		switch {
		case r.End <= start:
			i++
		case r.Start < start && r.End > end:
			tail := Range[T]{end, r.End}
			r.End = start
			s.r = slices.Insert(s.r, i+1, tail)
			return
		case r.Start < start:
			r.End = start
			i++
		case r.End > end:
			r.Start = end
			return
		default:
			s.r = slices.Delete(s.r, i, i+1)
		}
	}
}

// Contains reports whether v is in the set.
func (s *RangeSet[T]) Contains(v T) bool {
	i := s.find(v + 1)
	return i < len(s.r) && s.r[i].Start <= v
}

// Covers reports whether all of [start, end) is in the set.
func (s *RangeSet[T]) Covers(start, end T) bool {
	i := s.find(end)
	return start >= end || i < len(s.r) && s.r[i].Start <= start
}

// NumRanges is the number of ranges.
func (s *RangeSet[T]) NumRanges() int { return len(s.r) }

// Range returns the i-th range, the smallest being the first.
func (s *RangeSet[T]) Range(i int) Range[T] { return s.r[i] }

// Last returns the range with the largest numbers; ok is false for an empty set.
func (s *RangeSet[T]) Last() (r Range[T], ok bool) {
	if len(s.r) == 0 {
		return r, false
	}
	return s.r[len(s.r)-1], true
}

// Clear empties the set.
func (s *RangeSet[T]) Clear() { s.r = s.r[:0] }
