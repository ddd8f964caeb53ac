package qpack

import "golang.org/x/net/http2/hpack"

// maxInt is the largest integer that is accepted.
//
// "QPACK implementations MUST be able to decode integers up to and including 62 bits long."
// https://www.rfc-editor.org/rfc/rfc9204#section-4.1.1-2
const maxInt = 1<<62 - 1

// maxContinuation is the number of bytes after the first one that an integer may have. Nine are enough for 62 bits.
//
// "An implementation has to set a limit for the values it accepts for integers, as well as for the encoded length".
// https://www.rfc-editor.org/rfc/rfc9204#section-7.4-2
const maxContinuation = 10

// appendInt appends v as an integer with a prefix of n bits. The bits before the prefix are those of first.
func appendInt(b []byte, first byte, n uint8, v uint64) []byte {
	limit := uint64(1)<<n - 1
	if v < limit {
		return append(b, first|byte(v))
	}
	b = append(b, first|byte(limit))
	for v -= limit; v >= 0x80; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v))
}

// The sizes that consumeInt and consumeString return if there is no value.
const (
	incomplete = 0
	tooLarge   = -1
)

// consumeInt reads an integer with a prefix of n bits. size is the number of its bytes, or incomplete, or tooLarge.
func consumeInt(b []byte, n uint8) (v uint64, size int) {
	if len(b) == 0 {
		return 0, incomplete
	}
	limit := uint64(1)<<n - 1
	v = uint64(b[0]) & limit
	if v < limit {
		return v, 1
	}
	for i, c := range b[1:] {
		low := uint64(c & 0x7f)
		if i >= maxContinuation || i == maxContinuation-1 && low != 0 {
			return 0, tooLarge
		}
		if v += low << (7 * i); v > maxInt {
			return 0, tooLarge
		}
		if c&0x80 == 0 {
			return v, i + 2
		}
	}
	if len(b) > maxContinuation {
		return 0, tooLarge
	}
	return 0, incomplete
}

// A literal is a string as it is encoded.
type literal struct {
	data    []byte
	huffman bool
}

// minLen returns a lower bound of the length of the string that n bytes encode. The longest code of a symbol has 30
// bits, and the padding at most 7.
func minLen(n uint64, huffman bool) uint64 {
	if !huffman || n == 0 {
		return n
	}
	return (8*n - 7 + 29) / 30
}

// maxLen returns an upper bound of the length of the decoded string. The shortest code of a symbol has 5 bits.
func (l literal) maxLen() int {
	if !l.huffman {
		return len(l.data)
	}
	return len(l.data) * 8 / 5
}

// appendString appends s as a string literal, whose length has a prefix of n bits. The bits before the bit 'H' are
// those of first. The Huffman code is used if it is shorter.
func appendString(b []byte, first byte, n uint8, s string) []byte {
	if size := hpack.HuffmanEncodeLength(s); size < uint64(len(s)) {
		b = appendInt(b, first|1<<n, n, size)
		return hpack.AppendHuffmanString(b, s)
	}
	b = appendInt(b, first, n, uint64(len(s)))
	return append(b, s...)
}

// consumeString reads a string literal whose length has a prefix of n bits. size is the number of its bytes, or
// incomplete, or tooLarge. If only the length is complete, declared is its value and the literal has no data.
func consumeString(b []byte, n uint8) (l literal, declared uint64, size int) {
	declared, size = consumeInt(b, n)
	if size <= 0 {
		return l, 0, size
	}
	l.huffman = b[0]&(1<<n) != 0
	if declared > uint64(len(b)-size) {
		return l, declared, incomplete
	}
	end := size + int(declared)
	l.data = b[size:end]
	return l, declared, end
}
