package recovery

import "slices"

// Range is the half-open range of the values v with Start <= v < End.
type Range[T ~int64] struct {
	Start, End T
}

// Len is the number of values in the range.
func (r Range[T]) Len() T { return r.End - r.Start }

// RangeSet is a set of integers, kept as ranges that ascend and do not touch. The zero value is the
// empty set. Its slice is reused: a set that has had its number of ranges once does not allocate.
//
// Most sets have a single range, and most changes are at the end, so that is what is fast.
type RangeSet[T ~int64] struct {
	r []Range[T]
}

// search returns the index of the first range that ends at or behind v.
func (s *RangeSet[T]) search(v T) int {
	if n := len(s.r); n == 0 || s.r[n-1].End < v {
		return n
	} else if s.r[n-1].Start <= v {
		return n - 1
	}
	lo, hi := 0, len(s.r)
	for lo < hi {
		if mid := (lo + hi) / 2; s.r[mid].End < v {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// Add adds the values from start up to end, end not included.
func (s *RangeSet[T]) Add(start, end T) {
	if start >= end {
		return
	}
	i := s.search(start)
	j := i // ranges i to j-1 touch the new one
	for j < len(s.r) && s.r[j].Start <= end {
		j++
	}
	if i == j {
		s.r = slices.Insert(s.r, i, Range[T]{start, end})
		return
	}
	s.r[i] = Range[T]{min(start, s.r[i].Start), max(end, s.r[j-1].End)}
	s.r = slices.Delete(s.r, i+1, j)
}

// Sub removes the values from start up to end, end not included.
func (s *RangeSet[T]) Sub(start, end T) {
	if start >= end {
		return
	}
	i := s.search(start)
	if i < len(s.r) && s.r[i].End == start {
		i++ // ends where we begin: touched, not cut
	}
	if i == len(s.r) || s.r[i].Start >= end {
		return
	}
	if r := s.r[i]; r.Start < start {
		s.r[i].End = start
		i++
		if r.End > end {
			s.r = slices.Insert(s.r, i, Range[T]{end, r.End})
			return
		}
	}
	j := i
	for j < len(s.r) && s.r[j].End <= end {
		j++
	}
	if j < len(s.r) && s.r[j].Start < end {
		s.r[j].Start = end
	}
	s.r = slices.Delete(s.r, i, j)
}

// Contains reports whether v is in the set.
func (s *RangeSet[T]) Contains(v T) bool {
	r, ok := s.RangeContaining(v)
	return ok && r.Start <= v
}

// RangeContaining returns the range that v is in.
func (s *RangeSet[T]) RangeContaining(v T) (Range[T], bool) {
	// The range that ends behind v, not at it.
	if i := s.search(v + 1); i < len(s.r) && s.r[i].Start <= v {
		return s.r[i], true
	}
	return Range[T]{}, false
}

// Behind is the index of the first range that ends behind v; NumRanges if there is none.
func (s *RangeSet[T]) Behind(v T) int { return s.search(v + 1) }

// Covers reports whether every value from start up to end, end not included, is in the set.
func (s *RangeSet[T]) Covers(start, end T) bool {
	if start >= end {
		return true
	}
	r, ok := s.RangeContaining(start)
	return ok && end <= r.End
}

// NumRanges is the number of ranges.
func (s *RangeSet[T]) NumRanges() int { return len(s.r) }

// IsEmpty reports whether the set has no values.
func (s *RangeSet[T]) IsEmpty() bool { return len(s.r) == 0 }

// Range returns the i-th range, in ascending order.
func (s *RangeSet[T]) Range(i int) Range[T] { return s.r[i] }

// Last returns the range with the largest values; ok is false for the empty set.
func (s *RangeSet[T]) Last() (r Range[T], ok bool) {
	if len(s.r) == 0 {
		return r, false
	}
	return s.r[len(s.r)-1], true
}

// Min is the smallest value, or 0 for the empty set.
func (s *RangeSet[T]) Min() T {
	if len(s.r) == 0 {
		return 0
	}
	return s.r[0].Start
}

// Max is the largest value, or 0 for the empty set.
func (s *RangeSet[T]) Max() T {
	if len(s.r) == 0 {
		return 0
	}
	return s.r[len(s.r)-1].End - 1
}

// End is the value behind the largest, or 0 for the empty set.
func (s *RangeSet[T]) End() T {
	if len(s.r) == 0 {
		return 0
	}
	return s.r[len(s.r)-1].End
}

// Len is the number of values.
func (s *RangeSet[T]) Len() T {
	var n T
	for _, r := range s.r {
		n += r.Len()
	}
	return n
}

// RemoveFirst removes the range of the smallest values. The set is not empty.
func (s *RangeSet[T]) RemoveFirst() { s.r = slices.Delete(s.r, 0, 1) }

// Clear empties the set and keeps its memory.
func (s *RangeSet[T]) Clear() { s.r = s.r[:0] }

// Release empties the set and gives its memory up.
func (s *RangeSet[T]) Release() { s.r = nil }
