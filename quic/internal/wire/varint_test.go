package wire

import (
	"encoding/hex"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// unhex decodes test vectors and ignores white space in them.
func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		panic(err)
	}
	return b
}

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
		{"ffffffffffffffff", MaxVarint},
	} {
		b := unhex(tt.hex)
		v, n := ConsumeVarint(append(b, 0xff))
		require.Equal(t, tt.v, v, tt.hex)
		require.Equal(t, len(b), n, tt.hex)
		require.Equal(t, b, AppendVarint(nil, v), tt.hex)
		require.Equal(t, len(b), SizeVarint(v), tt.hex)
		for i := range b {
			_, n := ConsumeVarint(b[:i])
			require.Equal(t, -1, n, "%s cut off at %d", tt.hex, i)
		}
	}
}

func TestVarintOfLongerEncodingThanNecessary(t *testing.T) {
	for _, s := range []string{"4025", "80000025", "c000000000000025"} {
		b := unhex(s)
		v, n := ConsumeVarint(b)
		require.Equal(t, uint64(37), v, s)
		require.Equal(t, len(b), n, s)
	}
}

func TestAppendVarintPanicsAboveMax(t *testing.T) {
	require.Panics(t, func() { AppendVarint(nil, MaxVarint+1) })
}

func TestConsumeVarintBytes(t *testing.T) {
	b := unhex("03 010203 ff")
	p, n := ConsumeVarintBytes(b)
	require.Equal(t, 4, n)
	require.Equal(t, unhex("010203"), p)
	require.Equal(t, 3, cap(p), "an append to the result must not overwrite what follows")
	for i := range 4 {
		_, n := ConsumeVarintBytes(b[:i])
		require.Equal(t, -1, n, "cut off at %d", i)
	}
	_, n = ConsumeVarintBytes(AppendVarint(nil, MaxVarint))
	require.Equal(t, -1, n, "a length that does not fit in 32 bits")
}

func FuzzVarint(f *testing.F) {
	for _, s := range []string{"", "25", "4025", "7bbd", "9d7f3e7d", "c2197c5eff14e88c"} {
		f.Add(unhex(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, n := ConsumeVarint(b)
		if n < 0 {
			return
		}
		require.LessOrEqual(t, v, uint64(MaxVarint))
		require.LessOrEqual(t, v, uint64(math.MaxInt64))
		e := AppendVarint(nil, v)
		require.Len(t, e, SizeVarint(v))
		require.LessOrEqual(t, len(e), n)
		w, m := ConsumeVarint(e)
		require.Equal(t, v, w)
		require.Equal(t, len(e), m)
	})
}
