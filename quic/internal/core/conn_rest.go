package core

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/tlsprovider"
)

// Memory of idle connections
//
// A server may have many connections that are open and exchange nothing. What only the handshake needs and the
// first scratch space for packets are one allocation, so that a short connection allocates once for both. A
// connection without packets rests: it drops that allocation, or the scratch space that replaced it, the buffers
// that it keeps for reuse, and the keys that its provider can derive again. The next packet brings them back.
// `make bench-peers WORKLOADS=memory` measures the memory of an idle connection.

// restAfter is the time without packets after which a connection rests.
const restAfter = 500 * time.Millisecond

// handshake is what a connection needs until the handshake is confirmed, and its first scratch space.
type handshake struct {
	spaces  [recovery.SpaceApp]space
	crypto  [recovery.SpaceApp]cryptoStreams // of spaces
	loss    recovery.HandshakeState
	scratch scratch
}

// scratch is what a connection needs only while it exchanges packets.
type scratch struct {
	recv          recvState
	send          sendState
	crypto        cryptoStreams // of 1-RTT packets: see restCrypto
	pathResponses [][8]byte     // PATH_RESPONSE frames that wait to be sent

	// The first arrays of the slices in recv and send. They are enough for a short connection.
	openDescs [2]tlsprovider.OpenDesc
	tails     [2][16]byte
	sealDescs [recovery.NumSpaces][2]tlsprovider.SealDesc
	rec       [64]byte
	sent      [4]sentPacket
}

func (s *scratch) init() {
	s.recv.descs, s.recv.tails = s.openDescs[:0], s.tails[:0]
	for i := range s.sealDescs {
		s.send.d.descs[i] = s.sealDescs[i][:0]
	}
	s.send.rec, s.send.sent = s.rec[:0], s.sent[:0]
}

// wake allocates what the connection dropped when it rested.
func (c *Conn) wake() {
	if c.scratch == nil {
		c.scratch = new(scratch)
		c.scratch.init()
		c.wakeCrypto()
		c.restAt = c.now.Add(restAfter)
	}
}

// Resting reports whether the connection has dropped what it needs only while it exchanges packets.
func (c *Conn) Resting() bool { return c.scratch == nil }

// maybeRest has the connection rest if it was not active for some time, or else sets the time for the next
// attempt. The timer is not moved with each packet, so that it costs nothing. A connection that does not rest
// frees memory for packets that it has not needed since the attempt before.
func (c *Conn) maybeRest() {
	c.restAt = 0
	c.loss.Trim()
	switch {
	case !c.tls.confirmed || c.tls.busy:
		c.restAt = c.now.Add(restAfter)
	case c.now.Sub(c.active) < restAfter:
		c.restAt = c.active.Add(restAfter)
	case c.missesData():
		c.idle.ping = true
		c.restAt = c.now.Add(restAfter)
	case c.hasPending() || !c.loss.Rest():
		c.restAt = c.now.Add(restAfter)
	default:
		c.restCrypto()
		c.scratch = nil
		c.streams.Rest()
		if c.ext.datagrams != nil {
			c.ext.datagrams.rest()
		}
		if o, ok := c.app.open.(tlsprovider.RestingOpener); ok {
			o.Rest()
		}
		if s, ok := c.app.seal.(tlsprovider.RestingSealer); ok {
			s.Rest()
		}
	}
}

// restCrypto drops the CRYPTO data of 1-RTT packets but for the offsets at which it continues. If the peer has left a gap
// in its data, what follows the gap is kept.
func (c *Conn) restCrypto() {
	s := c.app.cryptoStreams
	if s.crypto.unacked.NumRanges() > 0 || s.in.have.NumRanges() > 0 {
		own := *s
		c.app.cryptoStreams = &own
		return
	}
	c.cryptoSent, c.cryptoRead = s.crypto.base, s.in.base
	c.app.cryptoStreams = &noCrypto
}

func (c *Conn) wakeCrypto() {
	if c.app.cryptoStreams == &noCrypto && c.closing.state == stateOpen {
		c.app.cryptoStreams = &c.scratch.crypto
		c.app.crypto.base, c.app.in.base, c.app.in.limit = c.cryptoSent, c.cryptoRead, maxAppCrypto
	}
}

// maxSilencePings is the number of PING frames that a silent server gets from a client that expects data. The first
// may not show that a NAT has taken the client's address, because that may happen while the server answers it.
const maxSilencePings = 3

// missesData reports whether a client that expects data on a stream has heard nothing for restAfter, and the server owes
// it no acknowledgement. The server may be sending to an address that a NAT has taken from the client. A PING frame shows
// it the new one, and is repeated until it is acknowledged.
//
// "[...] a receiver could send a PING or other small ack-eliciting frame occasionally, such as once per round trip, to
// elicit an ACK from the peer."
// https://www.rfc-editor.org/rfc/rfc9000#section-13.2.4-2
func (c *Conn) missesData() bool {
	if c.side == tlsprovider.Server || c.loss.Path().BytesInFlight() > 0 || !c.streams.Expecting() {
		return false
	}
	if c.elicitedSince > 0 {
		c.idle.silencePings = 0
	}
	c.idle.silencePings = min(c.idle.silencePings+1, maxSilencePings+1)
	return c.idle.silencePings <= maxSilencePings
}
