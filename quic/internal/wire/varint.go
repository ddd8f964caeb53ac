package wire

import "encoding/binary"

// MaxVarint is the largest value of a variable-length integer.
const MaxVarint = 1<<62 - 1

// SizeVarint returns the length of v's shortest encoding.
func SizeVarint(v uint64) int {
	switch {
	case v < 1<<6:
		return 1
	case v < 1<<14:
		return 2
	case v < 1<<30:
		return 4
	}
	return 8
}

// AppendVarint appends v, which must not exceed MaxVarint, in its shortest encoding.
func AppendVarint(b []byte, v uint64) []byte {
	switch {
	case v < 1<<6:
		return append(b, byte(v))
	case v < 1<<14:
		return append(b, byte(v>>8)|0x40, byte(v))
	case v < 1<<30:
		return binary.BigEndian.AppendUint32(b, uint32(v)|0x80<<24)
	case v <= MaxVarint:
		return binary.BigEndian.AppendUint64(b, v|0xc0<<56)
	}
	panic("BUG: integer too large for its encoding")
}

// ConsumeVarint reads a variable-length integer in any encoding. n is -1 if b is too short.
func ConsumeVarint(b []byte) (v uint64, n int) {
	if len(b) == 0 {
		return 0, -1
	}
	switch n = 1 << (b[0] >> 6); {
	case len(b) < n:
		return 0, -1
	case n == 1:
		return uint64(b[0]), 1
	case n == 2:
		return uint64(b[0]&0x3f)<<8 | uint64(b[1]), 2
	case n == 4:
		return uint64(binary.BigEndian.Uint32(b) &^ (0xc0 << 24)), 4
	}
	return binary.BigEndian.Uint64(b) &^ (0xc0 << 56), 8
}

// ConsumeVarintBytes reads a length and that many bytes.
func ConsumeVarintBytes(b []byte) (p []byte, n int) {
	l, n := ConsumeVarint(b)
	if n < 0 || l > uint64(len(b)-n) {
		return nil, -1
	}
	return b[n : n+int(l) : n+int(l)], n + int(l)
}

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
	v, n := ConsumeVarint(r.b[r.n:])
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
