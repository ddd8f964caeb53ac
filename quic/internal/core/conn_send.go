package core

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/datagram"
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// sendState is scratch space for sending.
type sendState struct {
	d datagramBuilder
	// discardInitial is set if the train contains a client's first Handshake packet. The Initial keys are
	// discarded after it.
	discardInitial bool
	rec            []byte       // record of the packet being built
	sent           []sentPacket // packets of the train being built
	holdAcks       bool         // leave ACK frames for Initial and Handshake packets out of the datagram being built
}

type sentPacket struct {
	space recovery.Space
	p     *recovery.SentPacket
}

// PollTransmit builds the next train of datagrams in buf and seals it. buf must have room for one datagram
// of Config.DatagramSize, and of Config.MaxProbeSize for the connection to use larger ones. The driver sends
// each train before the next call; a train that it cannot send counts as lost.
func (c *Conn) PollTransmit(now monotime.Time, buf []byte) (Transmit, bool) {
	c.clamp(now)
	switch {
	case c.closing.state == stateClosing:
		if c.flushes() {
			c.wake()
			if tx, ok := c.buildTrain(buf); ok {
				return tx, true
			}
		}
		return c.pollClose(buf)
	case c.closing.state == stateGone, c.closing.deferred != nil, c.scratch == nil && !c.HasTransmit(now):
		return Transmit{}, false
	}
	c.wake()
	if c.spaces[recovery.SpaceApp].seal != nil && !c.maybeUpdateKeys() {
		return c.pollClose(buf)
	}
	if c.migrating() {
		if p := c.dueProbe(); p != nil {
			return c.buildPathProbe(p, buf)
		}
	}
	if size := c.mtuProbeSize(len(buf)); size > 0 {
		return c.buildMTUProbe(buf, size)
	}
	return c.buildTrain(buf)
}

// buildTrain builds a train of datagrams of the usual size.
func (c *Conn) buildTrain(buf []byte) (Transmit, bool) {
	quantum, largest := min(len(buf), c.loss.SendQuantum(c.now)), c.loss.DatagramSize()
	c.streams.SetTrain(quantum)
	d := newDatagram(c, buf[:0], 0)
	d.ecn = c.loss.ECN(c.now)
	segment := 0
	for {
		size := min(largest, len(buf)-len(d.b))
		if segment > 0 {
			size = segment
		}
		if len(d.b)+size > max(quantum, size) || len(d.b)+size > len(buf) {
			break
		}
		d.next(size)
		if !c.buildDatagram(d) {
			break
		}
		if segment == 0 {
			segment = d.size()
		}
		if d.size() < segment || segment < largest || d.ecn == datagram.CE {
			break
		}
	}
	if len(d.b) == 0 {
		return Transmit{}, false
	}
	if !d.seal() {
		return c.pollClose(buf)
	}
	// "Endpoints MUST NOT send Initial packets after this point."
	// https://www.rfc-editor.org/rfc/rfc9001#section-4.9.1-2
	if c.send.discardInitial {
		// "[A] client MUST discard Initial keys when it first sends a Handshake packet".
		// https://www.rfc-editor.org/rfc/rfc9001#section-4.9.1-2
		c.discardSpace(recovery.SpaceInitial)
	}
	return c.transmit(d, segment), true
}

// HasTransmit reports whether PollTransmit may have a train to return. If it returns false, there is
// nothing to send, or congestion control, the pacer or the anti-amplification limit allow nothing at this
// time. Call it again after an input or at NextTimeout. If it returns true, PollTransmit may still find
// nothing to send.
func (c *Conn) HasTransmit(now monotime.Time) bool {
	c.clamp(now)
	if c.closing.state != stateOpen {
		return c.closing.state == stateClosing
	}
	if c.closing.deferred != nil {
		return false
	}
	if c.migrating() && c.dueProbe() != nil {
		return true
	}
	limit := c.loss.SendLimit(c.now)
	return limit != recovery.SendNothing && c.mayTransmit(limit)
}

// transmit returns a Transmit for a train and counts its datagrams.
func (c *Conn) transmit(d *datagramBuilder, segment int) Transmit {
	tx := Transmit{Path: c.path, ECN: d.ecn, Data: d.b, SegmentSize: segment}
	c.active = c.now
	c.stats.DatagramsSent += uint64(tx.Segments())
	c.stats.BytesSent += uint64(len(d.b))
	c.loss.Path().DatagramSent(len(d.b))
	if c.trace != nil {
		c.traceChanges()
	}
	return tx
}

// buildDatagram adds one datagram to the train. It returns false if there is nothing to send or nothing may
// be sent.
func (c *Conn) buildDatagram(d *datagramBuilder) bool {
	limit := c.loss.SendLimit(c.now)
	if limit == recovery.SendNothing {
		return false
	}
	// "[...] after receiving packets from an address that is not yet validated, an endpoint MUST limit the amount of
	// data it sends to the unvalidated address to three times the amount of data received from that address."
	// https://www.rfc-editor.org/rfc/rfc9000#section-8-2
	// "The server MUST also limit the number of bytes it sends before validating the address of the client; see
	// Section 8."
	// https://www.rfc-editor.org/rfc/rfc9000#section-14.1-5
	credit := c.loss.Path().AmplificationCredit() - len(d.b)
	d.limit = min(d.limit, credit)
	first := len(c.send.sent)
	ackOnly := limit == recovery.SendAckOnly
	c.send.holdAcks = c.holdsAcks(limit)
	for s := recovery.SpaceInitial; s < recovery.NumSpaces; s++ {
		if !c.maySend(s) {
			continue
		}
		c.buildPacket(d, s, ackOnly, credit)
	}
	if d.packets() == 0 {
		if limit == recovery.SendAll {
			c.loss.AppLimited()
		}
		return false
	}
	d.end()
	eliciting := false
	for _, s := range c.send.sent[first:] {
		eliciting = eliciting || s.p.AckEliciting
		c.packetSent(s.space, s.p)
	}
	if eliciting {
		c.loss.ProbeSent()
	}
	return true
}

// The acknowledgement of an Initial or Handshake packet may wait for something to travel with: until a TLS
// job returns, which usually produces something to send, or until the rest of the peer's flight arrives.
//
// RFC 9000, section 13.2.1, asks for an immediate acknowledgement, because the peer's probe timeout does
// not allow for a delay. Delays this short do no harm: see docs/handshake-datagrams.md.
const (
	maxAckHoldTLS    = 5 * time.Millisecond
	maxAckHoldFlight = time.Millisecond

	// maxHeldPackets is how many packets of both spaces may arrive before an acknowledgement is sent. It is less than
	// an initial congestion window.
	maxHeldPackets = 8
)

// ackTime returns when the packets received in a space must be acknowledged, or zero for never.
func (c *Conn) ackTime(s recovery.Space) monotime.Time {
	t := c.spaces[s].acks.AckDeadline()
	switch {
	case t.IsZero(), s == recovery.SpaceApp:
		return t
	case c.spaces[recovery.SpaceInitial].acks.Unacked()+c.spaces[recovery.SpaceHandshake].acks.Unacked() > maxHeldPackets:
		return t
	case c.tls.busy:
		return t.Add(maxAckHoldTLS)
	case c.serverIsBlocked():
		return t
	}
	return t.Add(maxAckHoldFlight)
}

// serverIsBlocked reports whether the server has probably sent as much as it may before it has validated the client's
// address, with a certificate chain of ML-DSA for example. Nothing more arrives until it receives something, and a
// Handshake packet ends the limit. Afterwards it is not blocked: if it could send more than the limit, the client has a
// token.
func (c *Conn) serverIsBlocked() bool {
	limit, received := 3*c.stats.BytesSent, c.stats.BytesReceived
	return c.side == tlsprovider.Client && c.loss.NextNumber(recovery.SpaceHandshake) == 0 &&
		received <= limit && received+MinInitialSize > limit
}

// holdsAcks reports whether acknowledgements of Initial and Handshake packets should wait: nothing else may
// be sent, and none of them has reached its deadline.
func (c *Conn) holdsAcks(limit recovery.SendLimit) bool {
	return !c.tls.confirmed && !c.mayTransmit(limit)
}

// mayTransmit reports whether there may be something that limit allows to be sent.
func (c *Conn) mayTransmit(limit recovery.SendLimit) bool {
	for s := range c.spaces {
		if c.spaces[s].seal != nil && due(c.ackTime(recovery.Space(s)), c.now) {
			return true
		}
	}
	return limit == recovery.SendAll && (c.loss.ProbesPending() > 0 || c.hasPending())
}

// maySendApp reports whether 0-RTT or 1-RTT packets may be sent. A server has the keys before the handshake is
// complete, but its application has the connection at that time only if there are early data or Config.HalfRTT is set.
func (c *Conn) maySendApp() bool {
	return c.tls.complete || c.sendsZeroRTT() || c.side == tlsprovider.Server && c.app.seal != nil && c.isEarly()
}

// maySend reports whether packets of a space may be sent.
func (c *Conn) maySend(s recovery.Space) bool {
	if s == recovery.SpaceApp {
		return c.maySendApp() && !c.keys.spent() && (c.app.seal != nil || c.sendsZeroRTT())
	}
	return c.spaces[s].seal != nil
}

// buildPacket adds a packet of one space if the space has something to send.
func (c *Conn) buildPacket(d *datagramBuilder, s recovery.Space, ackOnly bool, credit int) {
	// A datagram with an ack-eliciting Initial packet is padded to full size, so the remaining credit must
	// cover it.
	if s == recovery.SpaceInitial && credit < MinInitialSize {
		ackOnly = true
	}
	if !d.start(s) {
		return
	}
	c.send.rec = c.send.rec[:0]
	sp := c.spaces[s]
	probe := c.loss.ProbesPending() > 0
	ackDue := sp.acks.ShouldSendAck(c.now) && !(s != recovery.SpaceApp && c.send.holdAcks)
	var info sentInfo
	if ackDue {
		c.appendAck(d, s)
	}
	afterAck := len(d.payload)
	if !ackOnly {
		c.appendFrames(d, s, probe && s == c.loss.ProbeSpace())
		info.eliciting = len(d.payload) > afterAck
		if info.eliciting && !ackDue && sp.acks.HasUnacked() && d.room() > 32 {
			c.appendAck(d, s) // include an acknowledgement that is not due yet
		}
		if !info.eliciting && c.wantsPing(s, probe, ackDue) && d.room() > 0 {
			d.payload = append(d.payload, byte(wire.FramePing))
			c.send.rec = appendRecord0(c.send.rec, recPing)
			info.eliciting = true
		}
	}
	// "The payload of a packet that contains frames MUST contain at least one frame, and MAY contain multiple frames
	// and multiple frame types."
	// https://www.rfc-editor.org/rfc/rfc9000#section-12.4-3
	if !d.empty() {
		d.finish(info)
	}
}

// wantsPing reports whether a packet without ack-eliciting frames should carry a PING frame.
//
// "All probe packets sent on a PTO MUST be ack-eliciting."
// https://www.rfc-editor.org/rfc/rfc9002#section-6.2.4-1
func (c *Conn) wantsPing(s recovery.Space, probe, ackDue bool) bool {
	if probe && s == c.loss.ProbeSpace() {
		return true
	}
	if s != recovery.SpaceApp {
		return false
	}
	if c.idle.ping || probe && c.awaitsConfirmation() {
		return true
	}
	// "A receiver that sends only non-ack-eliciting packets [...] might not receive an
	// acknowledgment for a long period of time. [...] could send a PING [...] once per round
	// trip". Only after a number of packets, or two such receivers would keep each other awake.
	// https://www.rfc-editor.org/rfc/rfc9000#section-13.2.4-2
	return ackDue && c.elicitedSince >= 16 && c.now.Sub(c.lastEliciting) >= c.loss.Path().SmoothedRTT()
}

// awaitsConfirmation reports whether a client probes because the server has not acknowledged the end of its handshake. If a
// NAT has changed the client's address meanwhile, the server has it, but sends to the old address and has discarded the
// keys of Handshake packets: only a 1-RTT packet shows it the new address. See handleMovedHandshake.
func (c *Conn) awaitsConfirmation() bool {
	return c.side == tlsprovider.Client && c.tls.complete && !c.tls.confirmed && c.loss.ProbeSpace() == recovery.SpaceHandshake
}

// "ACK frames MUST only be carried in a packet that has the same packet number space as the packet being
// acknowledged; see Section 12.1."
// https://www.rfc-editor.org/rfc/rfc9000#section-13.2.6-1
// "For instance, packets that are protected with 1-RTT keys MUST be acknowledged in packets that are also protected
// with 1-RTT keys."
// https://www.rfc-editor.org/rfc/rfc9000#section-13.2.6-1
// "An acknowledgment for a 1-RTT packet MUST be carried in a 1-RTT packet."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.3-7
func (c *Conn) appendAck(d *datagramBuilder, s recovery.Space) {
	acks := &c.spaces[s].acks
	before := len(d.payload)
	d.payload = acks.AppendAck(d.payload, c.now, d.room())
	if len(d.payload) > before {
		acks.SentAck()
		if s == recovery.SpaceApp {
			c.keys.sentAck(acks.Largest())
		}
		c.send.rec = appendRecord1(c.send.rec, recAck, uint64(acks.Largest()))
	}
}

// appendFrames appends the ack-eliciting frames that are waiting in a space.
//
// "If packets from a lower encryption level contain CRYPTO frames, frames that retransmit that data MUST be sent at
// the same encryption level."
// https://www.rfc-editor.org/rfc/rfc9001#section-4.9-2
// "Though an endpoint might retain older keys, new data MUST be sent at the highest currently available encryption
// level."
// https://www.rfc-editor.org/rfc/rfc9001#section-4.9-4
func (c *Conn) appendFrames(d *datagramBuilder, s recovery.Space, probe bool) {
	d.payload, c.send.rec = c.spaces[s].crypto.appendFrames(d.payload, d.room(), c.send.rec)
	if s != recovery.SpaceApp {
		return
	}
	if c.sendsZeroRTT() {
		// 0-RTT packets can carry other frames as well, but there are none at this time.
		d.payload, c.send.rec = c.streams.Append(d.payload, d.room(), d.pn, c.send.rec, probe)
		return
	}
	if c.handshakeDone.ShouldSend(probe) && d.room() > 0 {
		d.payload = append(d.payload, byte(wire.FrameHandshakeDone))
		c.send.rec = appendRecord0(c.send.rec, recHandshakeDone)
		c.handshakeDone.SetSent(d.pn)
	}
	for len(c.pathResponses) > 0 && d.room() > 9 {
		// PATH_RESPONSE is sent once: "An endpoint MUST NOT send more than one PATH_RESPONSE frame in
		// response to one PATH_CHALLENGE frame".
		// https://www.rfc-editor.org/rfc/rfc9000#section-8.2.2-4
		d.payload = wire.PathResponse{Data: c.pathResponses[0]}.Append(d.payload)
		// "An endpoint MUST expand datagrams that contain a PATH_RESPONSE frame to at least the
		// smallest allowed maximum datagram size of 1200 bytes."
		// https://www.rfc-editor.org/rfc/rfc9000#section-8.2.2-3
		// "However, an endpoint MUST NOT expand the datagram containing the PATH_RESPONSE if the resulting
		// data exceeds the anti-amplification limit."
		// https://www.rfc-editor.org/rfc/rfc9000#section-8.2.2-3
		d.pad = d.pad || d.limit >= MinInitialSize
		c.pathResponses = c.pathResponses[1:]
	}
	d.payload, c.send.rec = c.appendIDFrames(d.payload, d.room(), d.pn, c.send.rec, probe)
	d.payload, c.send.rec = c.appendToken(d.payload, d.room(), d.pn, c.send.rec, probe)
	c.appendAckFrequency(d, probe)
	c.appendData(d, probe)
}

// packetSent records a packet of the train with loss detection and the idle timer.
func (c *Conn) packetSent(s recovery.Space, p *recovery.SentPacket) {
	c.stats.PacketsSent++
	eliciting := p.AckEliciting
	if s != recovery.SpaceApp {
		c.stats.HandshakeBytesSent += uint64(p.Size)
		c.countFlight(ourFlight, eliciting)
	}
	c.loss.PacketSent(c.now, s, p)
	if eliciting {
		c.lastEliciting, c.elicitedSince = c.now, 0
		c.idle.sent(c)
	}
	if s == recovery.SpaceHandshake && c.side == tlsprovider.Client {
		c.send.discardInitial = true
	}
}

// sealFailed closes the connection because the provider failed to seal a train. The train is not sent.
func (c *Conn) sealFailed(err error) {
	c.abort(&CloseError{Code: uint64(wire.InternalError), Reason: "sealing failed", Cause: err})
}

// HandleSendResult records whether a train was sent. Loss detection treats datagrams that the network stack
// refused like other losses.
func (c *Conn) HandleSendResult(now monotime.Time, tx Transmit, err error) {
	c.clamp(now)
	if err != nil {
		c.stats.SendErrors++
	}
}
