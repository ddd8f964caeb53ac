package streams

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestChunkAt: chunks cover all offsets, in order, without holes.
func TestChunkAt(t *testing.T) {
	next := int64(0)
	for index := range 40 {
		size := int64(chunkSize(index))
		for _, off := range []int64{next, next + 1, next + size - 1} {
			i, start := chunkAt(off)
			require.Equal(t, index, i, "offset %d", off)
			require.Equal(t, next, start, "offset %d", off)
		}
		next += size
	}
	i, start := chunkAt(1<<62 - 1)
	require.Less(t, int64(1<<62-1)-start, int64(chunkSize(i)))
}

// TestBuffer compares a buffer with a slice, while a window moves over it.
func TestBuffer(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		var b buffer
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

// TestChunksAreClean: no stream sees the bytes of another.
func TestChunksAreClean(t *testing.T) {
	for index := range numClasses {
		c := newChunk(index)
		require.Len(t, c, chunkSize(index))
		copy(c, "secret")
		freeChunk(c)
		require.Equal(t, make([]byte, len(c)), c)
	}
	require.Panics(t, func() { freeChunk(make([]byte, 5)) })
}
