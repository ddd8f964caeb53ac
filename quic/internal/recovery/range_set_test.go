package recovery

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRangeSet(t *testing.T) {
	type r = Range[int64]
	for _, test := range []struct {
		name string
		do   func(s *RangeSet[int64])
		want []r
	}{
		{"empty range", func(s *RangeSet[int64]) { s.Add(3, 3) }, nil},
		{"one", func(s *RangeSet[int64]) { s.Add(3, 5) }, []r{{3, 5}}},
		{"apart", func(s *RangeSet[int64]) { s.Add(6, 8); s.Add(3, 5) }, []r{{3, 5}, {6, 8}}},
		{"touching below", func(s *RangeSet[int64]) { s.Add(5, 8); s.Add(3, 5) }, []r{{3, 8}}},
		{"touching above", func(s *RangeSet[int64]) { s.Add(3, 5); s.Add(5, 8) }, []r{{3, 8}}},
		{"bridging", func(s *RangeSet[int64]) { s.Add(1, 2); s.Add(3, 4); s.Add(5, 6); s.Add(2, 5) }, []r{{1, 6}}},
		{"covering", func(s *RangeSet[int64]) { s.Add(2, 3); s.Add(5, 6); s.Add(1, 9) }, []r{{1, 9}}},
		{"within", func(s *RangeSet[int64]) { s.Add(1, 9); s.Add(3, 4) }, []r{{1, 9}}},
		{"cut out", func(s *RangeSet[int64]) { s.Add(1, 9); s.Sub(3, 4) }, []r{{1, 3}, {4, 9}}},
		{"cut front", func(s *RangeSet[int64]) { s.Add(1, 9); s.Sub(0, 4) }, []r{{4, 9}}},
		{"cut end", func(s *RangeSet[int64]) { s.Add(1, 9); s.Sub(4, 12) }, []r{{1, 4}}},
		{"cut across", func(s *RangeSet[int64]) { s.Add(1, 4); s.Add(5, 6); s.Add(7, 9); s.Sub(3, 8) }, []r{{1, 3}, {8, 9}}},
		{"cut nothing", func(s *RangeSet[int64]) { s.Add(1, 4); s.Sub(4, 5); s.Sub(0, 1) }, []r{{1, 4}}},
		{"cut all", func(s *RangeSet[int64]) { s.Add(1, 4); s.Add(6, 7); s.Sub(1, 7) }, nil},
		{"remove first", func(s *RangeSet[int64]) { s.Add(1, 4); s.Add(6, 7); s.RemoveFirst() }, []r{{6, 7}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var s RangeSet[int64]
			test.do(&s)
			var got []r
			for i := range s.NumRanges() {
				got = append(got, s.Range(i))
			}
			require.Equal(t, test.want, got)
		})
	}
}

// rangeModel is a set of the integers 0 to 63 with one bit for each.
type rangeModel uint64

func (m rangeModel) mask(start, end int64) rangeModel {
	var bits rangeModel
	for v := start; v < end; v++ {
		bits |= 1 << v
	}
	return bits
}

func (m rangeModel) requireEqual(t *testing.T, s *RangeSet[int64]) {
	t.Helper()
	var got rangeModel
	size := int64(0)
	for i := range s.NumRanges() {
		r := s.Range(i)
		require.Less(t, r.Start, r.End, "no range is empty")
		if i > 0 {
			require.Less(t, s.Range(i-1).End, r.Start, "ranges ascend and do not touch")
		}
		got |= m.mask(r.Start, r.End)
		size += r.Len()
	}
	require.Equal(t, m, got)
	require.Equal(t, size, s.Len())
	require.Equal(t, m == 0, s.IsEmpty())
	for v := range int64(64) {
		require.Equal(t, m>>v&1 == 1, s.Contains(v), "contains %d", v)
	}
	if last, ok := s.Last(); ok {
		require.Equal(t, s.Max(), last.End-1)
		require.Equal(t, s.End(), last.End)
		require.True(t, s.Contains(s.Min()) && !s.Contains(s.Min()-1))
	}
}

// run interprets bytes as operations on a set and on its model.
func (m rangeModel) run(t *testing.T, ops []byte) {
	var s RangeSet[int64]
	for len(ops) >= 3 {
		op, start, end := ops[0]%8, int64(ops[1]%64), int64(ops[2]%65)
		ops = ops[3:]
		switch {
		case op < 4:
			s.Add(start, end)
			m |= m.mask(start, end)
		case op < 7:
			s.Sub(start, end)
			m &^= m.mask(start, end)
		default:
			bits := m.mask(start, end)
			require.Equal(t, m&bits == bits, s.Covers(start, end), "covers %d to %d", start, end)
		}
		m.requireEqual(t, &s)
	}
}

func TestRangeSetAgainstModel(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		ops := make([]byte, 3*60)
		for i := range ops {
			ops[i] = byte(rnd.Uint32())
		}
		rangeModel(0).run(t, ops)
	}
}

func FuzzRangeSet(f *testing.F) {
	f.Add([]byte{0, 1, 9, 4, 3, 4, 7, 1, 3})
	f.Add([]byte{0, 1, 4, 0, 5, 6, 0, 7, 9, 4, 3, 8, 0, 0, 64, 4, 63, 64})
	f.Fuzz(func(t *testing.T, ops []byte) {
		if len(ops) > 3*200 {
			return
		}
		rangeModel(0).run(t, ops)
	})
}

func TestRangeSetReusesMemory(t *testing.T) {
	var s RangeSet[int64]
	require.Zero(t, testing.AllocsPerRun(100, func() {
		for v := range int64(20) {
			s.Add(2*v, 2*v+1)
		}
		s.Sub(0, 100)
	}))
}

func TestRangeSetBehind(t *testing.T) {
	var s RangeSet[int64]
	_, ok := s.Behind(5)
	require.False(t, ok)
	for i := range int64(4) {
		s.Add(10*i, 10*i+3)
	}
	for v := int64(-1); v < 50; v++ {
		want := 0
		for want < s.NumRanges() && s.Range(want).End <= v {
			want++
		}
		r, ok := s.Behind(v)
		require.Equal(t, want < s.NumRanges(), ok, "%d", v)
		if ok {
			require.Equal(t, s.Range(want), r, "%d", v)
		}
	}
}

// TestLargeRangeSet compares a set of thousands of ranges, in many blocks, with a model of one bit for each
// value.
func TestLargeRangeSet(t *testing.T) {
	const size = 1 << 14
	rng := rand.New(rand.NewPCG(5, 6))
	var s RangeSet[int64]
	model := make([]bool, size+1)
	for round := range 40 {
		for range 2000 {
			start := rng.Int64N(size)
			end := min(size, start+1+rng.Int64N(1<<rng.IntN(3)))
			if round%8 == 7 { // now and then larger pieces, until the set is almost empty or full
				end = min(size, start+rng.Int64N(200))
			}
			add := rng.IntN(4) > round/2%4
			if add {
				s.Add(start, end)
			} else {
				s.Sub(start, end)
			}
			for v := start; v < end; v++ {
				model[v] = add
			}
		}
		checkLarge(t, &s, model)
	}
	s.Clear()
	checkLarge(t, &s, make([]bool, size+1))
}

func checkLarge(t *testing.T, s *RangeSet[int64], model []bool) {
	t.Helper()
	n, start := 0, int64(-1)
	for v, in := range model {
		v := int64(v)
		require.Equal(t, in, s.Contains(v), "%d", v)
		switch {
		case in && start < 0:
			start = v
		case !in && start >= 0:
			require.Equal(t, Range[int64]{start, v}, s.Range(n))
			n, start = n+1, -1
		}
	}
	require.Equal(t, n, s.NumRanges())
	require.Equal(t, n == 0, s.IsEmpty())
	for i := range s.blocks {
		require.LessOrEqual(t, s.blocks[i].len(), maxBlock)
		require.True(t, s.blocks[i].len() > 0 || len(s.blocks) == 1, "an empty block among others")
		if i > 0 {
			require.Greater(t, s.blocks[i-1].len()+s.blocks[i].len(), maxBlock/2, "two neighbors with few ranges")
		}
	}
}

// slots returns the memory of a set, to count how much of it a call changes.
func (s *RangeSet[T]) slots() map[*Range[T]]Range[T] {
	m := make(map[*Range[T]]Range[T])
	for k := range s.blocks {
		b := &s.blocks[k]
		for i := range b.r[:cap(b.r)] {
			m[&b.r[:cap(b.r)][i]] = b.r[:cap(b.r)][i]
		}
	}
	return m
}

// moves returns the number of ranges that do writes.
func (s *RangeSet[T]) moves(do func()) (n int) {
	before := s.slots()
	do()
	for p, r := range s.slots() {
		if old, ok := before[p]; !ok && r != (Range[T]{}) || ok && old != r {
			n++
		}
	}
	return n
}

// A change of a set with 8,192 ranges moves a bounded number of them, wherever it is. A change at the front
// moves none.
func TestRangeSetMoves(t *testing.T) {
	const holes = 8192
	newSet := func() *RangeSet[int64] {
		s := new(RangeSet[int64])
		for i := range int64(holes) {
			s.Add(10*i+5, 10*i+9)
		}
		return s
	}
	for _, test := range []struct {
		name string
		do   func(s *RangeSet[int64], i int64) // called for each i from 0 on
		most int
	}{
		{"the first range is removed", func(s *RangeSet[int64], i int64) { s.RemoveFirst() }, 0},
		{"the front advances", func(s *RangeSet[int64], i int64) { s.Sub(0, 10*i+9) }, 0},
		{"the first range is cut", func(s *RangeSet[int64], i int64) { s.Sub(5+i/2, 6+i/2) }, 1},
		{"the first hole is filled", func(s *RangeSet[int64], i int64) { s.Add(10*i, 10*i+5) }, maxBlock},
		{"ranges in front", func(s *RangeSet[int64], i int64) { s.Add(-2*i-2, -2*i-1) }, maxBlock + 1},
		{"ranges near the front", func(s *RangeSet[int64], i int64) { s.Add(10*i, 10*i+1) }, maxBlock + 1},
		{"ranges near the front, downwards", func(s *RangeSet[int64], i int64) { s.Add(10*(2000-i), 10*(2000-i)+1) }, maxBlock + 1},
		{"ranges in the middle", func(s *RangeSet[int64], i int64) { s.Add(40960+2*i, 40961+2*i) }, maxBlock + 1},
		{"holes everywhere", func(s *RangeSet[int64], i int64) { v := i * 7919 % holes; s.Sub(10*v+6, 10*v+7) }, maxBlock + 1},
		{"ranges are removed everywhere", func(s *RangeSet[int64], i int64) { v := i * 7919 % holes; s.Sub(10*v, 10*v+10) }, maxBlock},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSet()
			for i := range int64(1000) {
				if i%50 != 0 && i%(maxBlock/2) > 1 {
					test.do(s, i)
					continue
				}
				require.LessOrEqual(t, s.moves(func() { test.do(s, i) }), test.most, "call %d", i)
			}
			require.Less(t, len(s.blocks), holes/16)
		})
	}
}

// A peer decides which ranges of a set merge. It cannot make the set keep many blocks with few ranges each: the
// memory of a set is charged to a budget by the number of its ranges.
func TestRangeSetMemory(t *testing.T) {
	for name, merge := range map[string]func(s *RangeSet[int64], first, behind int64){
		"holes are filled": func(s *RangeSet[int64], first, behind int64) { s.Add(first, behind) },
		"ranges go":        func(s *RangeSet[int64], first, behind int64) { s.Sub(first, behind) },
		"one by one": func(s *RangeSet[int64], first, behind int64) {
			for v := first; v < behind; v += 2 {
				s.Sub(v, v+1)
			}
		},
	} {
		var s RangeSet[int64]
		for k := range int64(500) {
			first := 1000 * k
			for v := range int64(maxBlock) {
				s.Add(first+2*v, first+2*v+1)
			}
			merge(&s, first, first+2*(maxBlock-1)-1)
		}
		require.NotZero(t, s.NumRanges())
		slots := 0
		for i := range s.blocks {
			slots += cap(s.blocks[i].r)
		}
		require.LessOrEqual(t, slots, 4*s.NumRanges()+2*maxBlock, "%s: %d blocks for %d ranges", name, len(s.blocks), s.NumRanges())
	}
}
