package streams

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBuffers(t *testing.T) {
	for _, test := range []struct{ n, room int }{
		{0, smallBuffer}, {smallBuffer, smallBuffer}, {smallBuffer + 1, largeBuffer}, {largeBuffer, largeBuffer},
		{largeBuffer + 1, largeBuffer + 1},
	} {
		for range 2 { // a new one, and one that was used
			b := NewBuffer(test.n)
			require.Empty(t, b)
			require.Equal(t, test.room, cap(b))
			FreeBuffer(append(b, "used"...))
		}
	}
	FreeBuffer(nil)
	FreeBuffer(make([]byte, 7))

	b := GrowBuffer(nil, 100)
	b = append(b, bytes.Repeat([]byte{1}, 100)...)
	require.Same(t, &b[0], &GrowBuffer(b, smallBuffer)[0], "there is room")
	for _, n := range []int{largeBuffer, 3 * largeBuffer} {
		b = GrowBuffer(b, n)
		require.Equal(t, bytes.Repeat([]byte{1}, 100), b)
		require.Equal(t, n, cap(b))
	}
}
