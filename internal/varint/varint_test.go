package varint

import (
	"encoding/hex"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

// The examples of RFC 9000, A.1, and the limits of each length.
func TestVarint(t *testing.T) {
	for _, tt := range []struct {
		hex string
		v   uint64
	}{
		{"c2197c5eff14e88c", 151288809941952652},
		{"9d7f3e7d", 494878333},
		{"7bbd", 15293},
		{"25", 37},
		{"00", 0},
		{"3f", 63},
		{"4040", 64},
		{"7fff", 16383},
		{"80004000", 16384},
		{"bfffffff", 1<<30 - 1},
		{"c000000040000000", 1 << 30},
		{"ffffffffffffffff", Max},
	} {
		b, err := hex.DecodeString(tt.hex)
		require.NoError(t, err)
		v, n := Consume(append(b, 0xff))
		require.Equal(t, tt.v, v, tt.hex)
		require.Equal(t, len(b), n, tt.hex)
		require.Equal(t, b, Append(nil, v), tt.hex)
		require.Equal(t, len(b), Size(v), tt.hex)
		for i := range b {
			_, n := Consume(b[:i])
			require.Equal(t, -1, n, "%s cut off at %d", tt.hex, i)
		}
	}
}

func TestLongerEncodingThanNecessary(t *testing.T) {
	for _, b := range [][]byte{{0x40, 37}, {0x80, 0, 0, 37}, {0xc0, 0, 0, 0, 0, 0, 0, 37}} {
		v, n := Consume(b)
		require.Equal(t, uint64(37), v, "%x", b)
		require.Equal(t, len(b), n, "%x", b)
	}
}

func TestAppendPanicsAboveMax(t *testing.T) {
	require.Panics(t, func() { Append(nil, Max+1) })
}

func TestConsumeBytes(t *testing.T) {
	b := []byte{3, 1, 2, 3, 0xff}
	p, n := ConsumeBytes(b)
	require.Equal(t, 4, n)
	require.Equal(t, []byte{1, 2, 3}, p)
	require.Equal(t, 3, cap(p), "an append to the result must not overwrite what follows")
	for i := range 4 {
		_, n := ConsumeBytes(b[:i])
		require.Equal(t, -1, n, "cut off at %d", i)
	}
	_, n = ConsumeBytes(Append(nil, Max))
	require.Equal(t, -1, n, "a length that does not fit in 32 bits")
}

func FuzzVarint(f *testing.F) {
	for _, s := range []string{"", "\x25", "\x40\x25", "\x7b\xbd", "\x9d\x7f\x3e\x7d", "\xc2\x19\x7c\x5e\xff\x14\xe8\x8c"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, n := Consume(b)
		if n < 0 {
			return
		}
		require.LessOrEqual(t, v, uint64(Max))
		require.LessOrEqual(t, v, uint64(math.MaxInt64))
		e := Append(nil, v)
		require.Len(t, e, Size(v))
		require.LessOrEqual(t, len(e), n)
		w, m := Consume(e)
		require.Equal(t, v, w)
		require.Equal(t, len(e), m)
	})
}
