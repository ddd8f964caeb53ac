package streams

import (
	"math/bits"
	"sync"
)

// A buffer holds the bytes of a stream from some offset on, in chunks that cover fixed ranges of
// offsets and come into being when they are written to. A chunk is never moved or shared.
type buffer struct {
	chunks [][]byte // chunks[head:] are those from index first on; nil where nothing was written
	head   int
	first  int
}

// Chunk sizes double from 1 KiB for the first chunk of a stream to 16 KiB: short streams are cheap,
// long ones are not cut up.
const (
	minChunk   = 1 << 10
	maxChunk   = 16 << 10
	numClasses = 5
	// rampEnd is where chunks of the full size begin.
	rampEnd   = maxChunk - minChunk
	rampIndex = numClasses - 1
)

// chunkAt returns the index of the chunk that covers an offset, and where it begins.
func chunkAt(off int64) (index int, start int64) {
	if off < rampEnd {
		index = bits.Len64(uint64(off/minChunk+1)) - 1
		return index, minChunk<<index - minChunk
	}
	n := (off - rampEnd) / maxChunk
	return rampIndex + int(n), rampEnd + n*maxChunk
}

func chunkSize(index int) int { return minChunk << min(index, rampIndex) }

var chunkPools = [numClasses]sync.Pool{
	{New: func() any { return new([minChunk]byte) }},
	{New: func() any { return new([minChunk << 1]byte) }},
	{New: func() any { return new([minChunk << 2]byte) }},
	{New: func() any { return new([minChunk << 3]byte) }},
	{New: func() any { return new([maxChunk]byte) }},
}

func newChunk(index int) []byte {
	switch p := chunkPools[min(index, rampIndex)].Get().(type) {
	case *[minChunk]byte:
		return p[:]
	case *[minChunk << 1]byte:
		return p[:]
	case *[minChunk << 2]byte:
		return p[:]
	case *[minChunk << 3]byte:
		return p[:]
	case *[maxChunk]byte:
		return p[:]
	}
	panic("BUG: foreign chunk in the pool")
}

// freeChunk gives a chunk back, without the bytes of its last owner.
func freeChunk(c []byte) {
	clear(c)
	switch len(c) {
	case minChunk:
		chunkPools[0].Put((*[minChunk]byte)(c))
	case minChunk << 1:
		chunkPools[1].Put((*[minChunk << 1]byte)(c))
	case minChunk << 2:
		chunkPools[2].Put((*[minChunk << 2]byte)(c))
	case minChunk << 3:
		chunkPools[3].Put((*[minChunk << 3]byte)(c))
	case maxChunk:
		chunkPools[4].Put((*[maxChunk]byte)(c))
	default:
		panic("BUG: chunk of a size that no pool has")
	}
}

// slot returns the place of a chunk that is not below the first one.
func (b *buffer) slot(index int) *[]byte {
	i := b.head + index - b.first
	if i >= cap(b.chunks) && b.head > len(b.chunks)/2 {
		// Move down what is left, rather than grow for ever.
		n := copy(b.chunks, b.chunks[b.head:])
		clear(b.chunks[n:])
		b.chunks, b.head = b.chunks[:n], 0
		i = index - b.first
	}
	for i >= len(b.chunks) {
		b.chunks = append(b.chunks, nil)
	}
	return &b.chunks[i]
}

// write copies p to the range that begins at off, which nothing below was released.
func (b *buffer) write(off int64, p []byte) {
	for len(p) > 0 {
		index, start := chunkAt(off)
		c := b.slot(index)
		if *c == nil {
			*c = newChunk(index)
		}
		n := copy((*c)[off-start:], p)
		p, off = p[n:], off+int64(n)
	}
}

// read copies to p from off. All of it was written, and not released.
func (b *buffer) read(p []byte, off int64) {
	for len(p) > 0 {
		index, start := chunkAt(off)
		n := copy(p, b.chunks[b.head+index-b.first][off-start:])
		p, off = p[n:], off+int64(n)
	}
}

// release frees the chunks that lie below off as a whole. end is where the bytes that were written
// end: when nothing lies between the two, the chunk that covers them goes as well.
func (b *buffer) release(off, end int64) {
	index, start := chunkAt(off)
	for ; b.first < index && b.head < len(b.chunks); b.first, b.head = b.first+1, b.head+1 {
		b.drop()
	}
	b.first = max(b.first, index)
	if off >= end && off > start && b.head < len(b.chunks) {
		b.drop()
	}
	if b.head == len(b.chunks) {
		b.chunks, b.head = b.chunks[:0], 0
	}
}

// drop frees the first chunk and leaves its slot.
func (b *buffer) drop() {
	if c := b.chunks[b.head]; c != nil {
		freeChunk(c)
		b.chunks[b.head] = nil
	}
}

// free gives everything back.
func (b *buffer) free() {
	for ; b.head < len(b.chunks); b.head++ {
		b.drop()
	}
	*b = buffer{}
}

// size is the memory in use.
func (b *buffer) size() (n int64) {
	for _, c := range b.chunks[b.head:] {
		n += int64(len(c))
	}
	return n
}
