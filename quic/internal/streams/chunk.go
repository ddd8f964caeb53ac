package streams

import (
	"math/bits"
	"sync"
)

// A Chunk is a pooled piece of memory for the data of one stream.
//
// Chunks are not cleared between uses. They hold data that applications send and receive, not keys, and Go
// does not clear freed memory either. No stream can see the data of another: a buffer returns only what was
// written to it.
type Chunk struct {
	mem []byte // its length is one of the sizes
}

// The sizes of chunks are powers of two. Those from minChunk to maxChunk are used for data that a Set copies.
// The largest is only for data that the application reads into a chunk itself: see NewChunk.
const (
	minChunk     = 1 << 7
	maxChunk     = 1 << 14
	numClasses   = 8
	largestChunk = 1 << 16
	largestClass = 9
)

var chunkPools [largestClass + 1]sync.Pool

// sizeClass returns the class of the smallest chunk that holds n bytes, or of a chunk of maxChunk bytes.
func sizeClass(n int) int {
	if n <= minChunk {
		return 0
	}
	return min(bits.Len(uint(n-1))-bits.Len(minChunk-1), numClasses-1)
}

func newChunk(class int) *Chunk {
	if c, ok := chunkPools[class].Get().(*Chunk); ok {
		return c
	}
	return &Chunk{make([]byte, minChunk<<class)}
}

// free returns a chunk to its pool.
func (c *Chunk) free() { chunkPools[bits.Len(uint(len(c.mem)))-bits.Len(minChunk)].Put(c) }

// NewChunk returns a chunk for WriteChunk: one of 64 KiB if large is set, and one of 16 KiB otherwise.
func NewChunk(large bool) *Chunk {
	if large {
		return newChunk(largestClass)
	}
	return newChunk(numClasses - 1)
}

// Bytes returns the memory of a chunk, which the application fills from its beginning.
func (c *Chunk) Bytes() []byte { return c.mem }

// Free returns a chunk that was not written.
func (c *Chunk) Free() { c.free() }
