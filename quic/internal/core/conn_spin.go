package core

import (
	"encoding/binary"

	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// spinState is the latency spin bit (RFC 9000, section 17.4), with which observers on the path measure the round-trip
// time. A connection has one if its configuration enables the bit.
type spinState struct {
	// off is set on some of the connections that could use the bit. The bit is then random.
	off   bool
	noise noise
	value bool
	id    wire.ConnID // the peer's connection ID with which the value is used
}

// initSpin draws whether the connection uses the spin bit.
//
// "Even when the spin bit is not disabled by the administrator, endpoints MUST disable their use of the spin bit for a
// random selection of at least one in every 16 network paths, or for one in every 16 connection IDs, in order to ensure
// that QUIC connections that disable the spin bit are commonly observed on the network."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.4-4
// "Implementations MUST allow administrators of clients and servers to disable the spin bit either globally or on a
// per-connection basis."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.4-4
func (c *Conn) initSpin() {
	if !c.cfg.SpinBit {
		return
	}
	var b [9]byte
	c.cfg.Rand(b[:])
	c.extend().spin = &spinState{off: b[8]&15 == 0, noise: noise(binary.LittleEndian.Uint64(b[:]) | 1)}
}

// received notes the spin bit of a 1-RTT packet whose number is the largest received so far.
//
// "When a server receives a 1-RTT packet that increases the highest packet number seen by the server from the client on
// a given network path, it sets the spin value for that path to be equal to the spin bit in the received packet."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.4-7
// "When a client receives a 1-RTT packet that increases the highest packet number seen by the client from the server on a
// given network path, it sets the spin value for that path to the inverse of the spin bit in the received packet."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.4-8
func (s *spinState) received(first byte, side tlsprovider.Side) {
	s.value = (first&0x20 != 0) != (side == tlsprovider.Client)
}

// next returns the bit of a packet to a connection ID of the peer.
//
// "An endpoint resets the spin value for a network path to 0 when changing the connection ID being used on that network
// path."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.4-9
// "When the spin bit is disabled, endpoints MAY set the spin bit to any value and MUST ignore any incoming value. It is
// RECOMMENDED that endpoints set the spin bit to a random value either chosen independently for each packet or chosen
// independently for each connection ID."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.4-5
func (s *spinState) next(dst wire.ConnID) bool {
	if s.off {
		return s.noise.next()
	}
	if s.id != dst {
		s.id, s.value = dst, false
	}
	return s.value
}
