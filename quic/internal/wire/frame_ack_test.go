package wire

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/internal/varint"
)

// collect returns the ranges of a frame in ascending order, as AppendAck takes them.
func collect(f *Ack) (rs []PNRange) {
	for r := range f.Ranges {
		rs = append(rs, r)
	}
	slices.Reverse(rs)
	return rs
}

func TestAppendAck(t *testing.T) {
	for _, tt := range []struct {
		name   string
		ranges []PNRange
		ecn    *ECNCounts
		hex    string
	}{
		{"one packet", []PNRange{{7, 8}}, nil, "02 07 05 00 00"},
		{"one range", []PNRange{{0, 8}}, nil, "02 07 05 00 07"},
		{"smallest gap", []PNRange{{0, 1}, {2, 3}}, nil, "02 02 05 01 00 00 00"},
		{"two ranges", []PNRange{{1, 5}, {10, 12}}, nil, "02 0b 05 01 01 04 03"},
		{"ECN", []PNRange{{7, 8}}, &ECNCounts{1, 2, 3}, "03 07 05 00 00 01 02 03"},
		{"largest number", []PNRange{{0, 1}, {varint.Max, varint.Max + 1}}, nil,
			"02 ffffffffffffffff 05 01 00 fffffffffffffffd 00"},
	} {
		b := AppendAck(nil, tt.ranges, 5, tt.ecn, 1200)
		require.Equal(t, unhex(tt.hex), b, tt.name)
		f, n := ConsumeAck(b)
		require.Equal(t, len(b), n, tt.name)
		require.Equal(t, tt.ranges, collect(&f), tt.name)
		require.Equal(t, tt.ranges[len(tt.ranges)-1].End-1, f.Largest, tt.name)
		require.Equal(t, uint64(5), f.Delay, tt.name)
		require.Equal(t, tt.ecn != nil, f.HasECN, tt.name)
		if tt.ecn != nil {
			require.Equal(t, *tt.ecn, f.ECN, tt.name)
		}
	}
}

func TestAppendAckKeepsTheNewest(t *testing.T) {
	var ranges []PNRange
	for i := range PacketNumber(100) {
		ranges = append(ranges, PNRange{10 * i, 10*i + 3})
	}
	full := len(AppendAck(nil, ranges, 1000, &ECNCounts{}, 1<<16))
	most := 0
	for room := range full + 2 {
		b := AppendAck([]byte("x"), ranges, 1000, &ECNCounts{}, room)[1:]
		require.LessOrEqual(t, len(b), room)
		if len(b) == 0 {
			require.Zero(t, most, "more room, but no frame")
			continue
		}
		f, n := ConsumeAck(b)
		require.Equal(t, len(b), n)
		got := collect(&f)
		require.Equal(t, ranges[len(ranges)-len(got):], got, "with room for %d", room)
		require.GreaterOrEqual(t, len(got), most, "more room, but fewer ranges")
		most = len(got)
	}
	require.Equal(t, len(ranges), most)
	require.Equal(t, []byte("x"), AppendAck([]byte("x"), nil, 0, nil, 1200), "nothing to acknowledge")
}

func TestAppendAckBoundsTheCount(t *testing.T) {
	ranges := make([]PNRange, 20000)
	for i := range ranges {
		ranges[i] = PNRange{PacketNumber(2 * i), PacketNumber(2*i + 1)}
	}
	f, n := ConsumeAck(AppendAck(nil, ranges, 0, nil, 1<<20))
	require.Positive(t, n)
	require.Equal(t, ranges[len(ranges)-maxAckRanges-1:], collect(&f))
}

func TestAckRangesStop(t *testing.T) {
	f, n := ConsumeAck(AppendAck(nil, []PNRange{{0, 1}, {2, 3}, {4, 5}}, 0, nil, 100))
	require.Positive(t, n)
	var got []PNRange
	for r := range f.Ranges {
		if got = append(got, r); len(got) == 2 {
			break
		}
	}
	require.Equal(t, []PNRange{{4, 5}, {2, 3}}, got)
}

// "QUIC implementations MUST properly handle both types"
// https://www.rfc-editor.org/rfc/rfc9000#section-19.3-1
func TestAckRoundTripRandom(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		var ranges []PNRange
		next := PacketNumber(rnd.Int64N(1 << rnd.IntN(30)))
		for range 1 + rnd.IntN(40) {
			end := next + 1 + PacketNumber(rnd.Int64N(1<<rnd.IntN(30)))
			ranges = append(ranges, PNRange{next, end})
			next = end + 1 + PacketNumber(rnd.Int64N(1<<rnd.IntN(30)))
		}
		b := AppendAck(nil, ranges, 0, nil, 1200)
		f, n := ConsumeAck(b)
		require.Equal(t, len(b), n)
		require.Equal(t, ranges, collect(&f))
	}
}

func FuzzAck(f *testing.F) {
	for _, s := range []string{
		"02 00 00 00 00", "02 4040 43e8 02 07 00 00 2d 08", "03 05 02 00 00 01 80004000 00",
		"02 05 00 01 00 ffffffffffffffff 00", "02 4040 00 ffffffffffffffff 00 00 00",
		"02 ffffffffffffffff 05 01 00 fffffffffffffffd 00",
	} {
		f.Add(unhex(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		ack, n := ConsumeAck(b)
		if n < 0 {
			return
		}
		above := ack.Largest + 2
		for r := range ack.Ranges {
			require.Less(t, r.End, above, "ranges descend and do not touch")
			require.Less(t, r.Start, r.End)
			require.GreaterOrEqual(t, r.Start, PacketNumber(0))
			above = r.Start
		}
		ranges := collect(&ack)
		require.Equal(t, ack.Largest, ranges[len(ranges)-1].End-1)
		if len(ranges) > maxAckRanges {
			return
		}
		again, m := ConsumeAck(AppendAck(nil, ranges, ack.Delay, &ack.ECN, 1<<20))
		require.Positive(t, m)
		require.Equal(t, ranges, collect(&again))
		require.Equal(t, ack.Delay, again.Delay)
		require.Equal(t, ack.ECN, again.ECN)
	})
}
