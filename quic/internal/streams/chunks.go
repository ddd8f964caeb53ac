package streams

import "sync"

// chunkSize is the unit in which stream bytes are kept.
const chunkSize = 4 << 10

type chunk [chunkSize]byte

var chunkPool = sync.Pool{New: func() any { return new(chunk) }}

// chunks keeps the bytes of a stream from base on, in chunks aligned to their size; chunks that
// nothing was written to are nil.
type chunks struct {
	base int64 // bytes below are gone
	c    []*chunk
}

func (b *chunks) first() int64 { return b.base / chunkSize }

// write copies p to offset off, which is not below base.
func (b *chunks) write(off int64, p []byte) {
	for len(p) > 0 {
		i := int(off/chunkSize - b.first())
		for i >= len(b.c) {
			b.c = append(b.c, nil)
		}
		if b.c[i] == nil {
			b.c[i] = chunkPool.Get().(*chunk)
		}
		n := copy(b.c[i][off%chunkSize:], p)
		p, off = p[n:], off+int64(n)
	}
}

// read copies from offset off, where all bytes have been written.
func (b *chunks) read(p []byte, off int64) {
	for len(p) > 0 {
		n := copy(p, b.c[off/chunkSize-b.first()][off%chunkSize:])
		p, off = p[n:], off+int64(n)
	}
}

// discard forgets bytes below off.
func (b *chunks) discard(off int64) {
	if off <= b.base {
		return
	}
	n := int(off/chunkSize - b.first())
	for i := range min(n, len(b.c)) {
		b.free(i)
	}
	b.c = b.c[min(n, len(b.c)):]
	if len(b.c) == 0 {
		b.c = nil
	}
	b.base = off
}

func (b *chunks) free(i int) {
	if b.c[i] != nil {
		chunkPool.Put(b.c[i])
		b.c[i] = nil
	}
}

// release forgets everything.
func (b *chunks) release() {
	for i := range b.c {
		b.free(i)
	}
	b.c = nil
}
