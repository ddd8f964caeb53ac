package recovery

import (
	"slices"
	"sort"
)

// Range is the half-open range of the values v with Start <= v < End.
type Range[T ~int64] struct {
	Start, End T
}

// Len returns the number of values in the range.
func (r Range[T]) Len() T { return r.End - r.Start }

// RangeSet is a set of integers, stored as ascending ranges that do not touch. The zero value is the empty
// set. Memory is reused: a set that has had a number of ranges before does not allocate for as many, unless
// they are more than maxBlock.
//
// Most sets have a single range, and most changes are at one of the ends. These take constant time. Any
// other change of one range moves at most 2*maxBlock ranges, however many there are. This matters because the
// peer decides where the gaps are in the data received.
type RangeSet[T ~int64] struct {
	blocks []block[T] // in ascending order; a block may be empty only if it is the only one
	n      int        // number of ranges
}

// A block holds consecutive ranges of a set.
type block[T ~int64] struct {
	r    []Range[T] // r[head:] are in use
	head int
}

// A firstBlock is the memory of a set with few ranges, in one allocation.
type firstBlock[T ~int64] struct {
	blocks [1]block[T]
	ranges [2]Range[T]
}

// maxBlock is the maximum number of ranges in a block. The ranges of an ACK frame fit in a single block.
const maxBlock = 128

// A position identifies a range of a set. The position behind the last range is in the block behind the
// last one.
type position struct{ block, i int }

func (b *block[T]) len() int { return len(b.r) - b.head }

func (b *block[T]) last() Range[T] { return b.r[len(b.r)-1] }

// search returns the position of the first range that ends at or behind v.
func (s *RangeSet[T]) search(v T) position {
	last := len(s.blocks) - 1
	if s.n == 0 || s.blocks[last].last().End < v {
		return position{len(s.blocks), 0}
	}
	if b := &s.blocks[last]; b.last().Start <= v {
		return position{last, len(b.r) - 1}
	}
	i := 0
	if last > 0 {
		i = sort.Search(last, func(i int) bool { return s.blocks[i].last().End >= v })
	}
	b := &s.blocks[i]
	lo, hi := b.head, len(b.r)
	for lo < hi {
		if mid := (lo + hi) / 2; b.r[mid].End < v {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return position{i, lo}
}

// at returns the range at a position, or nil for the position behind the last.
func (s *RangeSet[T]) at(p position) *Range[T] {
	if p.block == len(s.blocks) {
		return nil
	}
	return &s.blocks[p.block].r[p.i]
}

// next returns the position that follows p. p must not be the position behind the last range.
func (s *RangeSet[T]) next(p position) position {
	if p.i++; p.i < len(s.blocks[p.block].r) {
		return p
	}
	return s.first(p.block + 1)
}

// first returns the position of the first range of the i-th block.
func (s *RangeSet[T]) first(i int) position {
	if i == len(s.blocks) {
		return position{i, 0}
	}
	return position{i, s.blocks[i].head}
}

// insert inserts a range in front of the one at p.
func (s *RangeSet[T]) insert(p position, r Range[T]) {
	s.n++
	if len(s.blocks) == 0 {
		f := new(firstBlock[T])
		f.blocks[0].r = f.ranges[:0]
		s.blocks = f.blocks[:]
	}
	if p.block == len(s.blocks) {
		p.block--
		p.i = len(s.blocks[p.block].r)
	}
	if b := &s.blocks[p.block]; b.len() == maxBlock {
		p = s.split(p)
	}
	s.blocks[p.block].insert(p.i, r)
}

// split makes room in the full block of p and returns the new position of p. An append at the end of the
// set leaves the block full.
func (s *RangeSet[T]) split(p position) position {
	b := &s.blocks[p.block]
	mid := b.head + maxBlock/2
	if p.i == len(b.r) && p.block == len(s.blocks)-1 {
		mid = p.i
	}
	upper := block[T]{r: append(make([]Range[T], 0, maxBlock), b.r[mid:]...)}
	b.r = b.r[:mid]
	s.blocks = slices.Insert(s.blocks, p.block+1, upper)
	if p.i >= mid {
		return position{p.block + 1, p.i - mid}
	}
	return p
}

func (b *block[T]) insert(i int, r Range[T]) {
	switch {
	case i == b.head && b.head > 0:
		b.head--
		b.r[b.head] = r
		return
	case len(b.r) == cap(b.r) && b.head > 0:
		// Move the ranges to the front instead of growing.
		i -= b.head
		b.r, b.head = b.r[:copy(b.r, b.r[b.head:])], 0
	}
	b.r = slices.Insert(b.r, i, r)
}

// remove removes n ranges beginning with the one at p.
func (s *RangeSet[T]) remove(p position, n int) {
	s.n -= n
	begin := p.block
	for n > 0 {
		b := &s.blocks[p.block]
		m := min(n, len(b.r)-p.i)
		n -= m
		if p.i == b.head {
			b.head += m
		} else {
			b.r = slices.Delete(b.r, p.i, p.i+m)
		}
		switch {
		case b.len() > 0:
			p = s.first(p.block + 1)
		case len(s.blocks) > 1:
			s.blocks = slices.Delete(s.blocks, p.block, p.block+1)
			p = s.first(p.block)
		default:
			b.r, b.head = b.r[:0], 0
		}
	}
	if len(s.blocks) > 1 {
		for i := begin + 1; i >= begin-1; i-- {
			s.join(i)
		}
	}
}

// join moves the ranges of the block behind the i-th to the i-th if both have few. So any two neighbors have
// more than maxBlock/2 ranges together, and the memory of a set is proportional to the number of its ranges.
func (s *RangeSet[T]) join(i int) {
	if i < 0 || i+1 >= len(s.blocks) || s.blocks[i].len()+s.blocks[i+1].len() > maxBlock/2 {
		return
	}
	b, behind := &s.blocks[i], &s.blocks[i+1]
	n := copy(b.r, b.r[b.head:])
	b.r, b.head = append(b.r[:n], behind.r[behind.head:]...), 0
	s.blocks = slices.Delete(s.blocks, i+1, i+2)
}

// Add adds the values v with start <= v < end.
func (s *RangeSet[T]) Add(start, end T) {
	if start >= end {
		return
	}
	p := s.search(start)
	r := s.at(p)
	if r == nil || end < r.Start {
		s.insert(p, Range[T]{start, end})
		return
	}
	r.Start = min(r.Start, start)
	if end <= r.End {
		return
	}
	// The range absorbs those that follow.
	r.End = end
	after, n := s.next(p), 0
	for q := after; ; q = s.next(q) {
		f := s.at(q)
		if f == nil || f.Start > end {
			break
		}
		r.End = max(end, f.End)
		n++
	}
	s.remove(after, n)
}

// Sub removes the values v with start <= v < end.
func (s *RangeSet[T]) Sub(start, end T) {
	if start >= end {
		return
	}
	p := s.search(start + 1)
	r := s.at(p)
	if r == nil || r.Start >= end {
		return
	}
	if r.Start < start {
		behind := r.End
		r.End = start
		p = s.next(p)
		if behind > end {
			s.insert(p, Range[T]{end, behind})
			return
		}
	}
	n := 0
	for q := p; ; q = s.next(q) {
		f := s.at(q)
		if f == nil || f.Start >= end {
			break
		}
		if f.End > end {
			f.Start = end
			break
		}
		n++
	}
	s.remove(p, n)
}

// Contains reports whether v is in the set.
func (s *RangeSet[T]) Contains(v T) bool {
	_, ok := s.RangeContaining(v)
	return ok
}

// RangeContaining returns the range that contains v.
func (s *RangeSet[T]) RangeContaining(v T) (Range[T], bool) {
	if r, ok := s.Behind(v); ok && r.Start <= v {
		return r, true
	}
	return Range[T]{}, false
}

// Behind returns the first range that ends behind v. It may begin at or before v.
func (s *RangeSet[T]) Behind(v T) (Range[T], bool) {
	if r := s.at(s.search(v + 1)); r != nil {
		return *r, true
	}
	return Range[T]{}, false
}

// Covers reports whether the set contains all values v with start <= v < end.
func (s *RangeSet[T]) Covers(start, end T) bool {
	if start >= end {
		return true
	}
	r, ok := s.RangeContaining(start)
	return ok && end <= r.End
}

// NumRanges returns the number of ranges.
func (s *RangeSet[T]) NumRanges() int { return s.n }

// IsEmpty reports whether the set has no values.
func (s *RangeSet[T]) IsEmpty() bool { return s.n == 0 }

// Range returns the i-th range in ascending order. It is slower for large i in large sets.
func (s *RangeSet[T]) Range(i int) Range[T] {
	for k := range s.blocks {
		b := &s.blocks[k]
		if i < b.len() {
			return b.r[b.head+i]
		}
		i -= b.len()
	}
	panic("BUG: range index out of bounds")
}

// Last returns the range with the largest values. ok is false if the set is empty.
func (s *RangeSet[T]) Last() (r Range[T], ok bool) {
	if s.n == 0 {
		return r, false
	}
	return s.blocks[len(s.blocks)-1].last(), true
}

// Min returns the smallest value, or 0 if the set is empty.
func (s *RangeSet[T]) Min() T {
	if s.n == 0 {
		return 0
	}
	return s.Range(0).Start
}

// Max returns the largest value, or 0 if the set is empty.
func (s *RangeSet[T]) Max() T {
	if s.n == 0 {
		return 0
	}
	return s.End() - 1
}

// End returns the largest value plus one, or 0 if the set is empty.
func (s *RangeSet[T]) End() T {
	r, _ := s.Last()
	return r.End
}

// Len returns the number of values.
func (s *RangeSet[T]) Len() T {
	var n T
	for k := range s.blocks {
		b := &s.blocks[k]
		for _, r := range b.r[b.head:] {
			n += r.Len()
		}
	}
	return n
}

// RemoveFirst removes the range with the smallest values. The set must not be empty.
func (s *RangeSet[T]) RemoveFirst() { s.remove(s.first(0), 1) }

// Clear empties the set and keeps the memory of one block.
func (s *RangeSet[T]) Clear() {
	if s.n = 0; len(s.blocks) > 0 {
		s.blocks = slices.Delete(s.blocks, 1, len(s.blocks))
		s.blocks[0] = block[T]{r: s.blocks[0].r[:0]}
	}
}

// Release empties the set and frees its memory.
func (s *RangeSet[T]) Release() { *s = RangeSet[T]{} }
