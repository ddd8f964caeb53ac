package streams

import (
	"math/bits"
	"sync"
)

// A chunk is a pooled piece of memory for the data of one stream.
//
// Chunks are not cleared between uses. They hold data that applications send and receive, not keys, and Go
// does not clear freed memory either. No stream can see the data of another: a buffer returns only what was
// written to it.
type chunk struct {
	mem []byte // len(mem) is its size class
}

// The sizes of chunks are powers of two.
const (
	minChunk   = 1 << 7
	maxChunk   = 1 << 14
	numClasses = 8
)

var chunkPools [numClasses]sync.Pool

// sizeClass returns the class of the smallest chunk that holds n bytes, or of the largest chunk.
func sizeClass(n int) int {
	if n <= minChunk {
		return 0
	}
	return min(bits.Len(uint(n-1))-bits.Len(minChunk-1), numClasses-1)
}

func newChunk(class int) *chunk {
	if c, ok := chunkPools[class].Get().(*chunk); ok {
		return c
	}
	return &chunk{make([]byte, minChunk<<class)}
}

// free returns a chunk to its pool.
func (c *chunk) free() { chunkPools[sizeClass(len(c.mem))].Put(c) }
