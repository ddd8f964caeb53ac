package streams

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// Chunks cover all offsets in order without gaps.
func TestChunkAt(t *testing.T) {
	next := int64(0)
	for index := range 40 {
		size := int64(minChunk) << min(index, rampIndex)
		for _, off := range []int64{next, next + 1, next + size - 1} {
			i, start := chunkAt(off)
			require.Equal(t, index, i, "offset %d", off)
			require.Equal(t, next, start, "offset %d", off)
		}
		next += size
	}
	_, start := chunkAt(1<<62 - 1)
	require.Less(t, int64(1<<62-1)-start, int64(maxChunk))
}

// TestRecvBuffer compares a buffer with a slice while a window moves over it.
func TestRecvBuffer(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		dirtyChunks()
		var b recvBuffer
		want := make([]byte, 400000)
		for i := range want {
			want[i] = byte(rng.Uint32())
		}
		released, written := int64(0), int64(0)
		for released < int64(len(want)) {
			n := rng.Int64N(min(int64(len(want))-written, 40000) + 1)
			b.write(written, want[written:written+n])
			written += n
			got := make([]byte, rng.Int64N(written-released+1))
			b.read(got, released)
			require.True(t, bytes.Equal(want[released:released+int64(len(got))], got))
			released += int64(len(got))
			b.release(released, written)
			require.LessOrEqual(t, b.size(), written-released+2*maxChunk)
			require.LessOrEqual(t, cap(b.chunks), 64, "the list of chunks does not grow with the stream")
		}
		require.Zero(t, b.size())
		b.free()
	}
}

// The class of a size is the smallest that holds it.
func TestSizeClass(t *testing.T) {
	for n := range maxChunk {
		class := sizeClass(n)
		require.GreaterOrEqual(t, minChunk<<class, n)
		require.True(t, class == 0 || minChunk<<class < 2*n, "%d bytes in class %d", n, class)
	}
	require.Equal(t, numClasses-1, sizeClass(maxChunk))
	require.Equal(t, numClasses-1, sizeClass(1<<30))
	for class := range numClasses {
		c := newChunk(class)
		require.Len(t, c.mem, minChunk<<class)
		require.Equal(t, class, sizeClass(len(c.mem)))
		c.free()
	}
}
