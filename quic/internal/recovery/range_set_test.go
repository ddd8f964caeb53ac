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

// rangeModel is a set of the integers 0 to 63, one bit each.
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

// run reads bytes as operations on a set and on the model of it.
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
	require.Zero(t, s.Behind(5))
	for i := range int64(4) {
		s.Add(10*i, 10*i+3)
	}
	for v := int64(-1); v < 50; v++ {
		want := 0
		for want < s.NumRanges() && s.Range(want).End <= v {
			want++
		}
		require.Equal(t, want, s.Behind(v), "%d", v)
	}
}
