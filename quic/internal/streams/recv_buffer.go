package streams

import "math/bits"

// A recvBuffer holds the data of a stream from an offset on, in chunks that cover fixed ranges of offsets
// and are allocated when the first byte of their range arrives. It can be written out of order. Its memory
// is bounded by the window, however the peer splits and orders its frames.
type recvBuffer struct {
	chunks []*Chunk // chunks[head:] are in use, from index first on
	head   int
	first  int
	mem    int64 // bytes in all chunks
	// lent is the number of chunks, from the first on, of which the application may use bytes that peek has
	// returned. If they are dropped meanwhile, they are left to the garbage collector.
	lent int
}

// The first chunk of a stream has the smallest size, and each further one is of the next larger class. A
// short stream therefore uses little memory, and a long one has few chunks.
const (
	rampIndex = numClasses - 1 // index of the first chunk of the largest size
	rampEnd   = maxChunk - minChunk
)

// chunkAt returns the index of the chunk that covers an offset and the offset at which it begins.
func chunkAt(off int64) (index int, start int64) {
	if off < rampEnd {
		index = bits.Len64(uint64(off/minChunk+1)) - 1
		return index, minChunk<<index - minChunk
	}
	n := (off - rampEnd) / maxChunk
	return rampIndex + int(n), rampEnd + n*maxChunk
}

// slot returns the slot of the chunk with an index, which must not be below first.
func (b *recvBuffer) slot(index int) **Chunk {
	i := b.head + index - b.first
	if i >= cap(b.chunks) && b.head > len(b.chunks)/2 {
		// Move the slots in use to the front instead of growing.
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

// write copies p to the range that begins at off. The range must not have been released.
func (b *recvBuffer) write(off int64, p []byte) {
	for len(p) > 0 {
		index, start := chunkAt(off)
		c := b.slot(index)
		if *c == nil {
			*c = newChunk(min(index, rampIndex))
			b.mem += int64(len((*c).mem))
		}
		n := copy((*c).mem[off-start:], p)
		p, off = p[n:], off+int64(n)
	}
}

// read copies data from off on to p. All of it must have been written and not released.
func (b *recvBuffer) read(p []byte, off int64) {
	for len(p) > 0 {
		index, start := chunkAt(off)
		n := copy(p, b.chunks[b.head+index-b.first].mem[off-start:])
		p, off = p[n:], off+int64(n)
	}
}

// peek returns the data from off to end, or as much of it as is in the chunk that covers off. All of it
// must have been written and not released. It stays valid until reclaim is called, even if it is released
// before.
func (b *recvBuffer) peek(off, end int64) []byte {
	index, start := chunkAt(off)
	mem := b.chunks[b.head+index-b.first].mem
	mem = mem[off-start : min(end-start, int64(len(mem)))]
	b.lent = max(b.lent, index-b.first+1)
	return mem[:len(mem):len(mem)]
}

// reclaim is called when the application does not use what peek has returned any more.
func (b *recvBuffer) reclaim() { b.lent = 0 }

// release frees the chunks that end at or below off. end is the end of the written data: if there is none
// from off on, the chunk that covers off is freed as well.
func (b *recvBuffer) release(off, end int64) {
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

// drop frees the first chunk and keeps its slot.
func (b *recvBuffer) drop() {
	if c := b.chunks[b.head]; c != nil {
		b.mem -= int64(len(c.mem))
		if b.lent == 0 {
			c.free()
		}
		b.chunks[b.head] = nil
	}
	b.lent = max(b.lent-1, 0)
}

// keptSlots is the number of slots that free keeps.
const keptSlots = 4

// free frees everything. It keeps a short array of slots, which are nil.
func (b *recvBuffer) free() {
	for ; b.head < len(b.chunks); b.head++ {
		b.drop()
	}
	slots := b.chunks[:0]
	if cap(slots) > keptSlots {
		slots = nil
	}
	*b = recvBuffer{chunks: slots}
}

// size returns the memory in use.
func (b *recvBuffer) size() int64 { return b.mem }
