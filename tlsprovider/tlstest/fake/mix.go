package fake

import (
	"encoding/binary"
	"math/bits"
)

// The functions below compute a fast checksum. Two inputs collide with a probability of 2^-64, unless an attacker
// chooses them.

const (
	m0 = 0xa0761d6478bd642f
	m1 = 0xe7037ed1a0b428db
	m2 = 0x8ebc6af09c88c6e3
)

func mum(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^m0, b^m1)
	return hi ^ lo ^ a
}

// sum mixes data, and its length, into h.
func sum(h uint64, data []byte) uint64 {
	h = mum(h, uint64(len(data))^m2)
	for len(data) >= 16 {
		h = mum(h^binary.LittleEndian.Uint64(data), binary.LittleEndian.Uint64(data[8:]))
		data = data[16:]
	}
	if len(data) >= 8 {
		h = mum(h, binary.LittleEndian.Uint64(data))
		data = data[8:]
	}
	if len(data) > 0 {
		var tail uint64
		for i, b := range data {
			tail |= uint64(b) << (8 * i)
		}
		h = mum(h, tail)
	}
	return h
}

// fill fills out with bytes that depend on h.
func fill(out []byte, h uint64) {
	for len(out) >= 8 {
		h = mum(h, m2)
		binary.LittleEndian.PutUint64(out, h)
		out = out[8:]
	}
	h = mum(h, m2)
	for i := range out {
		out[i] = byte(h >> (8 * i))
	}
}
