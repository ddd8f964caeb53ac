package streams

import (
	"fmt"
	"sort"
)

// A sendBuffer holds the data of a stream that is written but not acknowledged, as a list of segments
// without gaps. It must not be copied.
//
//   - Writing appends to the last segment while it has room.
//   - Reading new data continues at the segment where reading new data stopped; reading older data,
//     which was lost, finds its segment by binary search.
//   - Releasing takes constant time for each segment.
type sendBuffer struct {
	segs   []segment // segs[head:] are in use, in the order of their offsets
	head   int
	cursor int        // index of the furthest segment that was read
	mem    int64      // bytes in the chunks of all segments
	first  [1]segment // the array of segs at first: most streams send one message, and need no other
}

// A segment is a run of data of a stream. The data is either in a chunk, which may have room for more, or a
// part of a Loan.
type segment struct {
	off   int64
	data  []byte // cap(data) is the capacity of the chunk, or len(data) without one
	chunk *Chunk
	loan  *Loan
}

func (g *segment) end() int64 { return g.off + int64(len(g.data)) }

// write appends a copy of p. off is the end of the data in the buffer.
func (b *sendBuffer) write(off int64, p []byte) {
	least := 0
	if n := len(b.segs); n > b.head && b.segs[n-1].chunk != nil {
		// Each chunk that follows another is twice as large, so that many small writes do not make many
		// segments.
		least = 2 * cap(b.segs[n-1].data)
		copied := b.segs[n-1].fill(p)
		p, off = p[copied:], off+int64(copied)
	}
	for len(p) > 0 {
		c := newChunk(sizeClass(max(len(p), least)))
		copied := copy(c.mem, p)
		b.add(off, c, copied)
		p, off = p[copied:], off+int64(copied)
	}
}

// fill copies as much of p as fits into the chunk of a segment.
func (g *segment) fill(p []byte) (copied int) {
	at := len(g.data)
	g.data = g.data[:min(at+len(p), cap(g.data))]
	return copy(g.data[at:], p)
}

// add appends the first n bytes of a chunk, which must not be 0, without copying them.
func (b *sendBuffer) add(off int64, c *Chunk, n int) {
	b.mem += int64(len(c.mem))
	g := b.push()
	g.off, g.data, g.chunk = off, c.mem[:n], c
}

// lend appends the next n bytes of a loan, which must not be 0, without copying them.
func (b *sendBuffer) lend(off int64, l *Loan, n int) {
	g := b.push()
	g.off, g.data, g.loan = off, l.rest[:n:n], l
	l.rest = l.rest[n:]
	l.segments++
}

// push appends an empty segment.
func (b *sendBuffer) push() *segment {
	if b.segs == nil {
		b.segs = b.first[:0]
	}
	if len(b.segs) == cap(b.segs) && b.head > len(b.segs)/2 {
		// Move the segments in use to the front instead of growing.
		n := copy(b.segs, b.segs[b.head:])
		clear(b.segs[n:])
		b.segs = b.segs[:n]
		b.head, b.cursor = 0, b.cursor-b.head
	}
	b.segs = append(b.segs, segment{})
	return &b.segs[len(b.segs)-1]
}

// read copies data from off on to p. All of it must have been written and not released.
func (b *sendBuffer) read(p []byte, off int64) {
	if len(p) == 0 {
		return
	}
	isNew := b.segs[b.cursor].off <= off
	i := b.cursor
	if !isNew {
		i = b.find(off)
	}
	for {
		if g := &b.segs[i]; off < g.end() {
			n := copy(p, g.data[off-g.off:])
			p, off = p[n:], off+int64(n)
		}
		if len(p) == 0 {
			break
		}
		i++
	}
	if isNew {
		b.cursor = i
	}
}

// find returns the index of the segment that holds the byte at off.
func (b *sendBuffer) find(off int64) int {
	return b.head + sort.Search(len(b.segs)-b.head, func(i int) bool { return b.segs[b.head+i].end() > off })
}

// release drops the segments that end at or below off. Segments above off are not changed. It adds loans of
// which no segment is left to returned.
func (b *sendBuffer) release(off int64, returned *loanList) {
	for b.head < len(b.segs) && b.segs[b.head].end() <= off {
		b.drop(returned)
	}
	if b.head == len(b.segs) {
		b.segs, b.head, b.cursor = b.segs[:0], 0, 0
	}
	b.cursor = max(b.cursor, b.head)
}

// drop frees the first segment.
func (b *sendBuffer) drop(returned *loanList) {
	b.freeSegment(&b.segs[b.head], returned)
	b.head++
}

func (b *sendBuffer) freeSegment(g *segment, returned *loanList) {
	if g.chunk != nil {
		b.mem -= int64(len(g.chunk.mem))
		g.chunk.free()
	} else {
		g.loan.segments--
		returned.addIfDone(g.loan)
	}
	*g = segment{}
}

// truncate drops the data from end on. Nothing may be written afterwards. It adds loans to returned, like release.
func (b *sendBuffer) truncate(end int64, returned *loanList) {
	n := len(b.segs)
	for n > b.head && b.segs[n-1].off >= end {
		n--
		b.freeSegment(&b.segs[n], returned)
	}
	b.segs = b.segs[:n]
	if n == b.head {
		b.segs, b.head, b.cursor = b.segs[:0], 0, 0
		return
	}
	if g := &b.segs[n-1]; g.end() > end {
		g.data = g.data[:end-g.off]
	}
	b.cursor = min(b.cursor, n-1)
}

// free drops everything. It adds loans to returned, like release.
func (b *sendBuffer) free(returned *loanList) {
	for b.head < len(b.segs) {
		b.drop(returned)
	}
	*b = sendBuffer{}
}

// size returns the size of the chunks in use. Data that was lent is not included.
func (b *sendBuffer) size() int64 { return b.mem }

// check returns an error unless the buffer holds exactly the data from start to end. start may lie within
// the first segment.
func (b *sendBuffer) check(start, end int64) error {
	segs := b.segs[b.head:]
	if len(segs) == 0 {
		if start != end || b.mem != 0 {
			return fmt.Errorf("the buffer holds nothing of [%d, %d), but uses %d bytes of memory", start, end, b.mem)
		}
		return nil
	}
	mem, at := int64(0), segs[0].off
	for i := range segs {
		g := &segs[i]
		if g.off != at || len(g.data) == 0 {
			return fmt.Errorf("a segment has %d bytes at %d, but data is expected at %d", len(g.data), g.off, at)
		}
		if g.chunk != nil {
			mem += int64(len(g.chunk.mem))
		}
		at = g.end()
	}
	switch {
	case segs[0].off > start || segs[0].end() <= start || at != end:
		return fmt.Errorf("the segments cover [%d, %d) instead of [%d, %d)", segs[0].off, at, start, end)
	case mem != b.mem:
		return fmt.Errorf("%d bytes of memory are counted, but %d are in use", b.mem, mem)
	case b.cursor < b.head || b.cursor >= len(b.segs):
		return fmt.Errorf("the cursor %d is outside [%d, %d)", b.cursor, b.head, len(b.segs))
	}
	return nil
}
