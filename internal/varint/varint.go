// Package varint encodes and parses the variable-length integers of QUIC (RFC 9000, 16), which HTTP/3 uses too.
package varint

import "encoding/binary"

// Max is the largest value of a variable-length integer.
const Max = 1<<62 - 1

// Size returns the length of v's shortest encoding.
func Size(v uint64) int {
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

// Append appends v, which must not exceed Max, in its shortest encoding.
func Append(b []byte, v uint64) []byte {
	switch {
	case v < 1<<6:
		return append(b, byte(v))
	case v < 1<<14:
		return append(b, byte(v>>8)|0x40, byte(v))
	case v < 1<<30:
		return binary.BigEndian.AppendUint32(b, uint32(v)|0x80<<24)
	case v <= Max:
		return binary.BigEndian.AppendUint64(b, v|0xc0<<56)
	}
	panic("BUG: integer too large for its encoding")
}

// Consume reads a variable-length integer in any encoding. n is -1 if b is too short.
func Consume(b []byte) (v uint64, n int) {
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

// ConsumeBytes reads a length and that many bytes.
func ConsumeBytes(b []byte) (p []byte, n int) {
	l, n := Consume(b)
	if n < 0 || l > uint64(len(b)-n) {
		return nil, -1
	}
	return b[n : n+int(l) : n+int(l)], n + int(l)
}
