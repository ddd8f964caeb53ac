package qpack

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestIntegers(t *testing.T) {
	for _, c := range []struct {
		v   uint64
		n   uint8
		hex string
	}{ // those of RFC 7541, appendix C.1, and limits
		{10, 5, "0a"}, {1337, 5, "1f9a0a"}, {42, 8, "2a"},
		{0, 8, "00"}, {254, 8, "fe"}, {255, 8, "ff00"}, {6, 3, "06"}, {7, 3, "0700"}, {134, 3, "077f"}, {135, 3, "078001"},
		{maxInt, 8, "ff80feffffffffffff3f"}, {maxInt, 3, "07f8ffffffffffffff3f"},
	} {
		require.Equal(t, unhex(t, c.hex), appendInt(nil, 0, c.n, c.v))
		b := appendInt(nil, byte(0xff<<c.n), c.n, c.v)
		require.Equal(t, byte(0xff<<c.n), b[0]&byte(0xff<<c.n))
		for i := range b {
			_, size := consumeInt(b[:i], c.n)
			require.Equal(t, incomplete, size)
		}
		v, size := consumeInt(append(b, 0xff), c.n)
		require.Equal(t, c.v, v)
		require.Len(t, b, size)
	}
}

// TestLargeIntegers checks the limits for values and lengths.
//
// "QPACK implementations MUST be able to decode integers up to and including 62 bits long."
// https://www.rfc-editor.org/rfc/rfc9204#section-4.1.1-2
func TestLargeIntegers(t *testing.T) {
	for n := uint8(3); n <= 8; n++ {
		v, size := consumeInt(appendInt(nil, 0, n, maxInt), n)
		require.Equal(t, uint64(maxInt), v)
		require.Positive(t, size)
		for _, v := range []uint64{maxInt + 1, 1 << 63, math.MaxUint64} {
			_, size = consumeInt(appendInt(nil, 0, n, v), n)
			require.Equal(t, tooLarge, size)
		}
		// Zeros may follow, but not without end.
		long := append([]byte{1<<n - 1, 0x85}, strings.Repeat("\x80", maxContinuation-2)...)
		_, size = consumeInt(long, n)
		require.Equal(t, incomplete, size)
		v, size = consumeInt(append(long, 0), n)
		require.EqualValues(t, 1<<n-1+5, v)
		require.Equal(t, maxContinuation+1, size)
		_, size = consumeInt(append(long, 0x80), n)
		require.Equal(t, tooLarge, size)
		_, size = consumeInt(append(long, 0x80, 0), n)
		require.Equal(t, tooLarge, size)
	}
}

func TestStrings(t *testing.T) {
	for _, s := range []string{"", "a", "custom-key", "www.example.com", "\x00\xff\x80", strings.Repeat("x", 1000),
		strings.Repeat("\xfe", 1000), "Mon, 21 Oct 2013 20:13:21 GMT"} {
		for _, n := range []uint8{3, 5, 7} {
			b := appendString(nil, 0, n, s)
			for i := range b {
				_, _, size := consumeString(b[:i], n)
				require.Equal(t, incomplete, size)
			}
			l, declared, size := consumeString(append(b, 'x'), n)
			require.Len(t, b, size)
			require.EqualValues(t, len(l.data), declared)
			require.LessOrEqual(t, minLen(declared, l.huffman), uint64(len(s)))
			require.GreaterOrEqual(t, l.maxLen(), len(s))
			got, err := new(Decoder).decode(l, false)
			require.NoError(t, err)
			require.Equal(t, s, got)
		}
	}
}
