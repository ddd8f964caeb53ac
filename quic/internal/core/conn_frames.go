package core

import (
	"errors"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/streams"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

var packetTypeOf = [recovery.NumSpaces]wire.PacketType{
	recovery.SpaceInitial:   wire.PacketInitial,
	recovery.SpaceHandshake: wire.PacketHandshake,
	recovery.SpaceApp:       wire.Packet1RTT,
}

// checkPacket reports whether the frames of a packet that authenticated are to be processed. If not, it has closed the
// connection or counted the packet as dropped.
func (c *Conn) checkPacket(s recovery.Space, pn wire.PacketNumber, pkt, payload []byte) bool {
	// "An endpoint MUST treat receipt of a packet that has a non-zero value for these bits
	// after removing both packet and header protection as a connection error of type
	// PROTOCOL_VIOLATION."
	// https://www.rfc-editor.org/rfc/rfc9000#section-17.2-8.2.1
	reserved := byte(0x0c)
	if pkt[0]&0x80 == 0 {
		reserved = 0x18
	}
	if pkt[0]&reserved != 0 {
		// "An endpoint MUST treat receipt of a packet that has a non-zero value for these bits, after removing both
		// packet and header protection, as a connection error of type PROTOCOL_VIOLATION."
		// https://www.rfc-editor.org/rfc/rfc9000#section-17.3.1-4.8.1
		c.abortf(wire.ProtocolViolation, 0, "reserved bits are not zero")
		return false
	}
	// "Duplicate suppression MUST happen after removing packet protection for the reasons described in Section 9.5 of
	// [QUIC-TLS]."
	// https://www.rfc-editor.org/rfc/rfc9000#section-12.3-11
	if !c.spaces[s].acks.ShouldProcess(pn) {
		c.drop(DropDuplicate)
		if c.migrating() {
			c.duplicateArrived(pn)
		}
		return false
	}
	if len(payload) == 0 {
		// "An endpoint MUST treat receipt of a packet containing no frames as a connection
		// error of type PROTOCOL_VIOLATION."
		// https://www.rfc-editor.org/rfc/rfc9000#section-12.4-3
		c.abortf(wire.ProtocolViolation, 0, "packet contains no frames")
		return false
	}
	if s == recovery.SpaceApp && !c.streams.Admits(c.now, payload) {
		// The packet is treated as lost, so the peer sends its contents again.
		//
		// "A packet MUST NOT be acknowledged until packet protection has been successfully
		// removed and all frames contained in the packet have been processed."
		// https://www.rfc-editor.org/rfc/rfc9000#section-13.1-1
		c.drop(DropNoMemory)
		c.idle.setStarved(c, true)
		c.idle.received(c) // the peer is there
		return false
	}
	return true
}

// handlePacket processes a packet that authenticated.
func (c *Conn) handlePacket(s recovery.Space, pn wire.PacketNumber, pkt, payload []byte, ecn ECN) {
	if !c.checkPacket(s, pn, pkt, payload) {
		return
	}
	sp := c.spaces[s]
	c.stats.PacketsReceived++
	if c.trace != nil {
		c.traceReceived(s, pn, pkt, payload, ecn)
	}
	if s == recovery.SpaceHandshake && c.side == tlsprovider.Server {
		// "Once an endpoint has successfully processed a Handshake packet from the peer, it
		// can consider the peer address to have been validated."
		// https://www.rfc-editor.org/rfc/rfc9000#section-8.1-1
		c.loss.Path().ValidateAddress()
	}
	if c.recv.other.set {
		c.arriveElsewhere()
	}
	eliciting, probing, ok := c.handleFrames(s, payload, pkt)
	if !ok || c.closing.state != stateOpen {
		return
	}
	if s != recovery.SpaceApp {
		c.stats.HandshakeBytesReceived += uint64(len(pkt))
		c.countFlight(peerFlight, eliciting)
	}
	if c.ext.spin != nil && s == recovery.SpaceApp && pn > sp.acks.Largest() {
		c.ext.spin.received(pkt[0], c.side)
	}
	if c.migrating() {
		if c.mig.unassigned {
			c.removeUnassigned()
		}
		c.followPeer(pn, probing)
		c.endMigration()
	}
	sp.acks.Receive(c.now, pn, eliciting, ecn)
	if eliciting {
		c.elicitedSince++
	}
	c.idle.received(c)
	if s == recovery.SpaceHandshake && c.side == tlsprovider.Server {
		// "[A] server MUST discard Initial keys when it first successfully processes a
		// Handshake packet."
		// https://www.rfc-editor.org/rfc/rfc9001#section-4.9.1-2
		c.discardSpace(recovery.SpaceInitial)
	}
}

// handleFrames processes the frames of a packet in order and stops if one closes the connection. probing reports
// whether all of them are probing frames (RFC 9000, section 9.1).
//
// "An endpoint MUST generate a connection error if processing the contents of these packets prior to discovering an
// error, or fully revert any changes made during that processing."
// https://www.rfc-editor.org/rfc/rfc9000#section-5.2-6
func (c *Conn) handleFrames(s recovery.Space, b, pkt []byte) (eliciting, probing, ok bool) {
	probing = true
	for len(b) > 0 {
		if b[0] == 0 { // a run of PADDING
			n := 1
			for n < len(b) && b[n] == 0 {
				n++
			}
			b = b[n:]
			continue
		}
		t, n := wire.ConsumeFrameType(b)
		switch {
		case n < 0:
			c.abortf(wire.FrameEncodingError, 0, "malformed frame type")
			return eliciting, probing, false
		case !wire.FrameAllowed(t, c.packetType(s)):
			code := wire.ProtocolViolation
			if !wire.FrameKnown(t) {
				code = wire.FrameEncodingError
			}
			c.abortf(code, t, "frame type is not allowed in this packet type")
			return eliciting, probing, false
		}
		eliciting = eliciting || wire.AckEliciting(t)
		probing = probing && wire.Probing(t)
		n = c.handleFrame(s, t, b, pkt)
		if n < 0 {
			c.abortf(wire.FrameEncodingError, t, "malformed frame")
		}
		if c.closing.state != stateOpen {
			return eliciting, probing, false
		}
		b = b[n:]
	}
	return eliciting, probing, true
}

// handleFrame processes one frame and returns its length, or -1 if it is malformed.
func (c *Conn) handleFrame(s recovery.Space, t uint64, b, pkt []byte) (n int) {
	switch t {
	case wire.FramePing:
		return 1
	case wire.FrameAck, wire.FrameAckECN:
		var f wire.Ack
		if f, n = wire.ConsumeAck(b); n > 0 {
			c.handleAck(s, &f)
		}
	case wire.FrameCrypto:
		var f wire.Crypto
		if f, n = wire.ConsumeCrypto(b); n > 0 {
			c.handleCrypto(s, f)
		}
	case wire.FrameConnectionClose, wire.FrameConnectionCloseApp:
		var f wire.ConnectionClose
		if f, n = wire.ConsumeConnectionClose(b); n > 0 {
			c.handleConnectionClose(s, f)
		}
	case wire.FrameNewToken:
		var f wire.NewToken
		if f, n = wire.ConsumeNewToken(b); n > 0 {
			c.handleNewToken(f)
		}
	case wire.FrameNewConnectionID:
		var f wire.NewConnectionID
		if f, n = wire.ConsumeNewConnectionID(b); n > 0 {
			c.handleNewConnID(f)
		}
	case wire.FrameRetireConnectionID:
		if c.recv.zeroRTT {
			// "Note that it is not possible to send the following frames in 0-RTT packets for various reasons: ACK,
			// CRYPTO, HANDSHAKE_DONE, NEW_TOKEN, PATH_RESPONSE, and RETIRE_CONNECTION_ID. A server MAY treat
			// receipt of these frames in 0-RTT packets as a connection error of type PROTOCOL_VIOLATION."
			// https://www.rfc-editor.org/rfc/rfc9000#section-12.5-4
			c.abortf(wire.ProtocolViolation, t, "RETIRE_CONNECTION_ID in a 0-RTT packet")
			return 0
		}
		var f wire.RetireConnectionID
		if f, n = wire.ConsumeRetireConnectionID(b); n > 0 {
			c.handleRetireConnID(f, pkt[1:1+int(c.ids.length)])
		}
	case wire.FramePathChallenge:
		var f wire.PathChallenge
		if f, n = wire.ConsumePathChallenge(b); n > 0 {
			c.handlePathChallenge(f.Data)
		}
	case wire.FramePathResponse:
		var f wire.PathResponse
		if f, n = wire.ConsumePathResponse(b); n > 0 && c.migrating() {
			if c.mig.unassigned {
				c.removeUnassigned()
			}
			c.handlePathResponse(f.Data)
		}
	case wire.FrameHandshakeDone:
		n = 1
		c.handleHandshakeDone()
	case wire.FrameImmediateAck:
		n = 1
		c.handleImmediateAck()
	case wire.FrameAckFrequency:
		var f wire.AckFrequency
		if f, n = wire.ConsumeAckFrequency(b); n > 0 {
			c.handleAckFrequency(&f)
		}
	case wire.FrameDatagram, wire.FrameDatagramLen:
		var f wire.Datagram
		if f, n = wire.ConsumeDatagram(b); n > 0 {
			c.handleDatagramFrame(f, n)
		}
	default:
		return c.handleStreamFrame(t, b)
	}
	return n
}

// handleHandshakeDone handles a HANDSHAKE_DONE frame.
func (c *Conn) handleHandshakeDone() {
	if c.side == tlsprovider.Server {
		// "A server MUST treat receipt of a HANDSHAKE_DONE frame as a connection error
		// of type PROTOCOL_VIOLATION."
		// https://www.rfc-editor.org/rfc/rfc9000#section-19.20-4
		c.abortf(wire.ProtocolViolation, wire.FrameHandshakeDone, "HANDSHAKE_DONE received from a client")
		return
	}
	c.confirmHandshake()
}

// handleCrypto handles a CRYPTO frame.
func (c *Conn) handleCrypto(s recovery.Space, f wire.Crypto) {
	in := &c.spaces[s].in
	switch {
	case !in.receive(f):
		// "If an endpoint does not expand its buffer, it MUST close the connection with a CRYPTO_BUFFER_EXCEEDED
		// error code."
		// https://www.rfc-editor.org/rfc/rfc9000#section-7.5-3
		c.abortf(wire.CryptoBufferExceeded, wire.FrameCrypto, "too much CRYPTO data is out of order")
	case in.have.NumRanges() > 0 && c.readBeyond(s):
		// "If the packet is from a previously installed encryption level, it MUST NOT contain data
		// that extends past the end of previously received data in that flow. Implementations MUST
		// treat any violations of this requirement as a connection error of type
		// PROTOCOL_VIOLATION."
		// https://www.rfc-editor.org/rfc/rfc9001#section-4.1.3-10.2
		c.abortf(wire.ProtocolViolation, wire.FrameCrypto, "CRYPTO data continues at an earlier encryption level")
	}
}

// readBeyond reports whether TLS reads from a later encryption level than that of s.
func (c *Conn) readBeyond(s recovery.Space) bool {
	switch s {
	case recovery.SpaceInitial:
		return c.spaces[recovery.SpaceHandshake].open != nil
	case recovery.SpaceHandshake:
		return c.tls.complete
	}
	return false
}

// handleStreamFrame processes a frame about streams or flow control.
func (c *Conn) handleStreamFrame(t uint64, b []byte) int {
	if t == wire.FrameResetStream || t == wire.FrameResetStreamAt || t&^7 == wire.FrameStream {
		c.idle.setStarved(c, false)
	}
	n, err := c.streams.HandleFrame(c.now, c.rtt(), t, b)
	if t&^7 == wire.FrameStream && c.recv.zeroRTT && err == nil {
		c.markEarly(b)
	}
	if err != nil {
		var se *streams.Error
		if !errors.As(err, &se) {
			panic("BUG: error of unknown type from streams")
		}
		c.abortf(se.Code, t, se.Reason)
	}
	return n
}
