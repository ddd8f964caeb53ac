package wire

import "github.com/pqquic/pqquic/internal/varint"

// A reader consumes fields one after the other. After a failure, all further reads fail.
type reader struct {
	b   []byte
	n   int
	bad bool
}

func (r *reader) varint() uint64 {
	if r.bad {
		return 0
	}
	v, n := varint.Consume(r.b[r.n:])
	if n < 0 {
		r.bad = true
		return 0
	}
	r.n += n
	return v
}

func (r *reader) bytes(n uint64) []byte {
	if r.bad || n > uint64(len(r.b)-r.n) {
		r.bad = true
		return nil
	}
	p := r.b[r.n : r.n+int(n) : r.n+int(n)]
	r.n += int(n)
	return p
}

func (r *reader) byte() byte {
	if p := r.bytes(1); p != nil {
		return p[0]
	}
	return 0
}

// done returns the number of bytes consumed, or -1 after a failure.
func (r *reader) done() int {
	if r.bad {
		return -1
	}
	return r.n
}
