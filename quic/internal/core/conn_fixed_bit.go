package core

import (
	"encoding/binary"

	"github.com/pqquic/pqquic/quic/internal/wire"
)

// noise is a generator of random bits that observers need not find random.
type noise uint64

// newNoise returns a noise with a random seed.
func newNoise(fill func([]byte)) noise {
	var b [8]byte
	fill(b[:])
	return noise(binary.LittleEndian.Uint64(b[:]) | 1)
}

// next returns a bit.
func (n *noise) next() bool {
	*n ^= *n << 13
	*n ^= *n >> 7
	*n ^= *n << 17
	return *n&(1<<40) != 0
}

// greaseFixedBit has a connection send a random fixed bit in each packet from now on.
//
// "Endpoints that receive the grease_quic_bit transport parameter from a peer SHOULD set the QUIC Bit to an unpredictable
// value unless another extension assigns specific meaning to the value of the bit."
// https://www.rfc-editor.org/rfc/rfc9287#section-3.1-1
func (c *Conn) greaseFixedBit() {
	if c.ext.fixedBit == nil {
		n := newNoise(c.cfg.Rand)
		c.extend().fixedBit = &n
	}
}

// stopGreasing has a connection send 1 as the fixed bit.
func (c *Conn) stopGreasing() {
	if c.ext.fixedBit != nil {
		c.ext.fixedBit = nil
	}
}

// setPeerFixedBit notes whether the peer accepts any value of the fixed bit. What a client has assumed because of its
// token no longer counts.
//
// "An endpoint MUST NOT set the QUIC Bit to 0 without knowing whether the peer supports the extension."
// https://www.rfc-editor.org/rfc/rfc9287#section-3.1-6
func (c *Conn) setPeerFixedBit(p *wire.TransportParameters) {
	if c.cfg.GreaseFixedBit && p.GreaseQUICBit {
		c.greaseFixedBit()
	} else {
		c.stopGreasing()
	}
}

// PeerGreases reports whether both sides accept any value of the fixed bit.
func (c *Conn) PeerGreases() bool { return c.tls.gotParams && c.ext.fixedBit != nil }

// fixedBitValid reports whether a packet may have its fixed bit.
//
// "An endpoint that advertises the grease_quic_bit transport parameter MUST accept packets with the QUIC Bit set to a
// value of 0."
// https://www.rfc-editor.org/rfc/rfc9287#section-3-2
func (cfg *Config) fixedBitValid(first byte) bool {
	return first&wire.FixedBit != 0 || cfg.GreaseFixedBit
}

// parseLongHeader parses a long header with a fixed bit of 1, or of any value if greased is set.
func parseLongHeader(b []byte, greased bool) (wire.LongHeader, int) {
	if greased {
		return wire.ParseGreasedLongHeader(b)
	}
	return wire.ParseLongHeader(b)
}
