package streams

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// bufferModel compares a sendBuffer with a slice that contains everything that was written.
type bufferModel struct {
	t    testing.TB
	buf  sendBuffer
	all  []byte
	sent int
	rel  int // everything below this offset is released

	lent     []*Loan // not returned
	returned loanList
	fill     byte
}

// bytes returns n bytes that differ from their neighbors.
func (m *bufferModel) bytes(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		m.fill = m.fill*5 + 3
		p[i] = m.fill ^ byte(i>>8)
	}
	return p
}

func (m *bufferModel) write(n int) {
	p := m.bytes(n)
	m.buf.write(int64(len(m.all)), p)
	m.all = append(m.all, p...)
	clear(p) // the buffer has its own copy
}

// lend lends n bytes in one or two parts.
func (m *bufferModel) lend(n int) {
	if n == 0 {
		return
	}
	l := NewLoan(m.bytes(n), nil)
	m.lent = append(m.lent, l)
	for _, part := range []int{n / 3, n - n/3} {
		if part > 0 {
			m.buf.lend(int64(len(m.all)), l, part)
			m.all = append(m.all, l.p[n-len(l.rest)-part:n-len(l.rest)]...)
		}
	}
	l.ended = true
}

// add adds n bytes in a chunk of their own.
func (m *bufferModel) add(n int) {
	if n == 0 {
		return
	}
	c := NewChunk(n > maxChunk)
	n = copy(c.Bytes(), m.bytes(n))
	m.buf.add(int64(len(m.all)), c, n)
	m.all = append(m.all, c.Bytes()[:n]...)
}

// take checks the loans that were returned.
func (m *bufferModel) take() {
	for l := m.returned.take(); l != nil; l = l.Next() {
		require.Same(m.t, m.lent[0], l, "loans are returned in order")
		m.lent = m.lent[1:]
		clear(l.Bytes()) // the application reuses it
	}
}

// read reads up to n bytes from an offset.
func (m *bufferModel) read(off, n int) {
	p := make([]byte, min(n, len(m.all)-off))
	m.buf.read(p, int64(off))
	require.True(m.t, bytes.Equal(m.all[off:off+len(p)], p), "bytes at %d", off)
}

// send reads data that was not read before.
func (m *bufferModel) send(n int) {
	n = min(n, len(m.all)-m.sent)
	m.read(m.sent, n)
	m.sent += n
}

// release releases up to n bytes of those that were sent.
func (m *bufferModel) release(n int) {
	m.rel = min(m.rel+n, m.sent)
	m.buf.release(int64(m.rel), &m.returned)
	m.take()
}

func (m *bufferModel) check() {
	require.NoError(m.t, m.buf.check(int64(m.rel), int64(len(m.all))))
	lent := 0
	for _, l := range m.lent {
		lent += len(l.p)
	}
	require.GreaterOrEqual(m.t, lent, len(m.all)-m.rel-int(m.buf.size()), "data that was lent is missing")
}

// dirtyChunks fills the pools with chunks that contain other data.
func dirtyChunks() {
	for class := range numClasses {
		var held []*Chunk
		for range 4 {
			c := newChunk(class)
			for i := range c.mem {
				c.mem[i] = 0xdd
			}
			held = append(held, c)
		}
		for _, c := range held {
			c.free()
		}
	}
}

// TestSendBuffer compares a buffer with a slice while data is written, lent, added, sent, sent again and
// released in pieces of random sizes.
func TestSendBuffer(t *testing.T) {
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 3))
		size := func() int { return rng.IntN(1 << rng.IntN(17)) }
		m := bufferModel{t: t}
		dirtyChunks()
		for range 400 {
			switch rng.IntN(7) {
			case 0, 1:
				m.write(size())
			case 2:
				m.lend(size())
			case 3:
				m.send(size())
			case 4:
				m.read(m.rel+rng.IntN(len(m.all)-m.rel+1), size())
			case 5:
				m.release(size())
			case 6:
				m.add(size())
			}
			m.check()
		}
		m.send(len(m.all))
		m.release(len(m.all))
		m.check()
		require.Zero(t, m.buf.size())
		require.Empty(t, m.lent)
		require.LessOrEqual(t, cap(m.buf.segs), 400, "the list of segments does not grow with the stream")
	}
}

// FuzzSendBuffer performs the operations in its input. Each is two bytes, an operation and a size.
func FuzzSendBuffer(f *testing.F) {
	f.Fuzz(func(t *testing.T, script []byte) {
		m := bufferModel{t: t}
		for ; len(script) >= 2 && len(m.all) < 1<<20; script = script[2:] {
			n := int(script[1]&15) << (script[1] >> 4)
			switch script[0] % 6 {
			case 0:
				m.write(n)
			case 1:
				m.lend(n)
			case 2:
				m.send(n)
			case 3:
				m.read(min(m.rel+n, len(m.all)), 1500)
			case 4:
				m.release(n)
			case 5:
				m.add(n)
			}
			m.check()
		}
		m.buf.free(&m.returned)
		m.take()
		require.Empty(t, m.lent, "free returns what was lent")
	})
}

// TestSmallWrites checks the memory that small writes use. They share a chunk.
func TestSmallWrites(t *testing.T) {
	var b sendBuffer
	b.write(0, make([]byte, 10))
	require.EqualValues(t, minChunk, b.size())
	off := int64(10)
	for ; off < 10000; off += 10 {
		b.write(off, make([]byte, 10))
		require.LessOrEqual(t, b.size(), 3*off+minChunk)
	}
	require.LessOrEqual(t, len(b.segs), 8)
	b.release(off, nil)
	require.Zero(t, b.size(), "an empty buffer holds no chunk")
	b.write(off, make([]byte, 5000))
	require.EqualValues(t, 8192, b.size(), "a large write does not begin with small chunks")
	b.free(nil)
}

// A slice that is lent is neither copied nor appended to, and is returned when its last byte is released.
func TestLend(t *testing.T) {
	var b sendBuffer
	var list loanList
	var returned []string
	release := func(off int64) {
		b.release(off, &list)
		for l := list.take(); l != nil; l = l.Next() {
			returned = append(returned, string(l.Bytes()))
		}
	}
	lend := func(off int64, p []byte, parts ...int) *Loan {
		l := NewLoan(p, nil)
		for _, n := range parts {
			b.lend(off, l, n)
			off += int64(n)
		}
		l.ended = true
		return l
	}
	mem := []byte("first.......")
	lend(0, mem[:5], 5)
	second := lend(5, []byte("second"), 2, 4)
	b.write(11, []byte("copied"))
	lend(17, []byte("third"), 5)
	require.Equal(t, "first.......", string(mem), "the buffer writes to the rest of the array")
	require.EqualValues(t, minChunk, b.size())
	require.Same(t, &mem[0], &b.segs[0].data[0])

	p := make([]byte, 22)
	b.read(p, 0)
	require.Equal(t, "firstsecondcopiedthird", string(p))
	release(4)
	require.Empty(t, returned)
	second.ended = false // its call has not returned yet
	release(11)
	require.Equal(t, []string{"first"}, returned)
	second.ended = true
	list.addIfDone(second)
	release(11)
	require.Equal(t, []string{"first", "second"}, returned)
	b.free(&list)
	release(22)
	require.Equal(t, []string{"first", "second", "third"}, returned, "once")
}

// New data is found without a search, however many segments there are.
func TestSendBufferSteps(t *testing.T) {
	var b sendBuffer
	const segments, size = 1000, 100
	for i := range int64(segments) {
		b.lend(i*size, NewLoan(make([]byte, size), nil), size)
	}
	p := make([]byte, 30)
	for off := int64(0); off+30 <= segments*size; off += 30 {
		require.LessOrEqual(t, off/size-int64(b.cursor), int64(1), "the cursor is at the data or next to it")
		b.read(p, off)
		b.read(p, off/2) // a retransmission does not move the cursor
		require.EqualValues(t, (off+29)/size, b.cursor)
	}
	b.free(&loanList{})
}
