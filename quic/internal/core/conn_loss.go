package core

import (
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// probeBytes is how much of a CRYPTO stream a probe timeout sends again. Two datagrams hold both halves of
// a post-quantum ClientHello.
const probeBytes = 2 * MinInitialSize

// handleAck processes an ACK frame.
func (c *Conn) handleAck(s recovery.Space, f *wire.Ack) {
	if z := c.zero; z != nil && z.rejected && s == recovery.SpaceApp && acksUpTo(f, z.lastSent) {
		// "When 0-RTT was rejected, a client SHOULD treat receipt of an acknowledgment for a 0-RTT packet as a
		// connection error of type PROTOCOL_VIOLATION, if it is able to detect the condition."
		// https://www.rfc-editor.org/rfc/rfc9001#section-4.6.2-2
		c.abortf(wire.ProtocolViolation, wire.FrameAck, "a packet of rejected early data is acknowledged")
		return
	}
	if err := c.loss.HandleAck(c.now, s, f, c.onFate); err != nil {
		// "An endpoint SHOULD treat receipt of an acknowledgment for a packet it did not
		// send as a connection error of type PROTOCOL_VIOLATION"
		// https://www.rfc-editor.org/rfc/rfc9000#section-13.1-3
		c.abortf(wire.ProtocolViolation, wire.FrameAck, err.Error())
		return
	}
	c.updateAckFrequency()
	if s == recovery.SpaceApp && c.keys.ackedTooEarly(f.Largest, c.recv.phase) {
		c.abortf(wire.KeyUpdateError, wire.FrameAck, "a packet is acknowledged under older keys than its own")
	}
}

// acksUpTo reports whether an ACK frame acknowledges a packet up to pn.
func acksUpTo(f *wire.Ack, pn wire.PacketNumber) bool {
	for r := range f.Ranges {
		if r.Start <= pn {
			return true
		}
	}
	return false
}

// packetFate handles the acknowledgement or loss of each piece of information in a packet.
func (c *Conn) packetFate(s recovery.Space, p *recovery.SentPacket, fate recovery.Fate) {
	if fate == recovery.Acked && s == recovery.SpaceApp {
		c.keys.ackedApp(p.Num)
	}
	if fate == recovery.Lost && c.trace != nil {
		c.traceLost(s, p)
	}
	sp := c.spaces[s]
	for rec := p.Record; len(rec) > 0; {
		kind := rec[0]
		if kind >= recStreams {
			rec = rec[c.streams.ConsumeRecord(rec, p.Num, fate):]
			continue
		}
		rec = rec[1:]
		var v, w uint64
		switch kind {
		case recAck:
			v, rec = consumeRecordVarint(rec)
			if fate == recovery.Acked {
				sp.acks.HandleAckOfAck(wire.PacketNumber(v))
			}
		case recCrypto:
			v, rec = consumeRecordVarint(rec)
			w, rec = consumeRecordVarint(rec)
			sp.crypto.fate(int64(v), int64(w), fate)
		case recHandshakeDone:
			// "The HANDSHAKE_DONE frame MUST be retransmitted until it is acknowledged."
			// https://www.rfc-editor.org/rfc/rfc9000#section-13.3-3.16
			c.handshakeDone.AckOrLoss(p.Num, fate)
		case recNewConnID:
			v, rec = consumeRecordVarint(rec)
			c.ids.newIDFate(v, p.Num, fate)
		case recRetireConnID:
			v, rec = consumeRecordVarint(rec)
			c.ids.retireFate(v, p.Num, fate)
		case recNewToken:
			c.tokenFate(p.Num, fate)
		case recPing:
		case recAckFrequency:
			c.ext.ackFreq.fate(c, p.Num, fate)
		case recDatagrams:
			v, rec = consumeRecordVarint(rec)
			c.ext.datagrams.fate(v, fate)
		default:
			panic("BUG: record of unknown kind")
		}
	}
}

// HandleTimeout handles the timers that have expired. It may be called at any time.
func (c *Conn) HandleTimeout(now monotime.Time) {
	c.clamp(now)
	if c.closing.state != stateOpen {
		return
	}
	if c.idle.expire(c); c.closing.state != stateOpen {
		return
	}
	if due(c.keys.dropPrevious, c.now) {
		c.keys.dropPrevious = 0
		if sp := c.spaces[recovery.SpaceApp]; sp.open != nil {
			sp.open.DropPrevious()
			c.traced(TraceEvent{Kind: TraceKeyDiscarded, Space: recovery.SpaceApp, Phase: c.keys.openPhase - 1})
		}
	}
	if c.zero != nil && due(c.zero.dropAt, c.now) {
		c.zero.close()
	}
	if due(c.tls.ticketsUntil, c.now) {
		c.tls.ticketsUntil, c.tls.ignoreTickets = 0, true
	}
	if due(c.streams.NextTimeout(), c.now) {
		c.streams.HandleTimeout(c.now)
	}
	if c.migrating() {
		if c.expirePaths(); c.closing.state != stateOpen {
			return
		}
	}
	if due(c.restAt, c.now) {
		c.maybeRest()
	}
	if c.trace != nil {
		c.traceTimeout()
	}
	before := c.loss.ProbesPending()
	c.loss.HandleTimeout(c.now, c.onFate)
	if c.loss.ProbesPending() > before {
		c.prepareProbes()
	}
	if c.trace != nil {
		c.traceChanges()
	}
}

// prepareProbes queues CRYPTO data that the peer may be missing for the next probes. Every space with
// unacknowledged CRYPTO data takes part, the earliest one first in each datagram: a peer that lacks half of
// a ServerHello cannot use Handshake packets. A ClientHello that is sent again is not scrambled, in case something on the
// path does not expect that.
func (c *Conn) prepareProbes() {
	left := int64(probeBytes)
	if sp := c.spaces[recovery.SpaceInitial]; sp.crypto.cuts != (helloCuts{}) { // discardedSpace must not be written
		sp.crypto.cuts = helloCuts{}
	}
	for s := range c.spaces {
		if sp := c.spaces[s]; sp.seal != nil && left > 0 {
			left -= sp.crypto.probe(left)
		}
	}
}

// UnansweredProbes returns the number of probe timeouts of a client if its ClientHello is still unanswered, and 0
// otherwise. It is unanswered while a part of it is not acknowledged and the server's TLS has sent nothing.
func (c *Conn) UnansweredProbes() uint64 {
	sp := c.spaces[recovery.SpaceInitial]
	if c.closing.state != stateOpen || sp.seal == nil || sp.crypto.unacked.NumRanges() == 0 ||
		sp.in.base > 0 || sp.in.have.NumRanges() > 0 {
		return 0
	}
	return c.loss.Counters().ProbeTimeouts
}

// NextTimeout returns when HandleTimeout must be called, or zero for never. A connection that waits for the
// pacer may send at that time, too.
func (c *Conn) NextTimeout() monotime.Time {
	if c.closing.state != stateOpen {
		return 0
	}
	t := c.loss.NextTimeout()
	for _, other := range [...]monotime.Time{c.idle.next(c), c.streams.NextTimeout(), c.keys.dropPrevious, c.tls.ticketsUntil, c.restAt} {
		t = monotime.Min(t, other)
	}
	if c.migrating() {
		t = monotime.Min(t, c.pathTimeout())
	}
	if c.zero != nil {
		t = monotime.Min(t, c.zero.dropAt)
	}
	if c.closing.deferred != nil || c.loss.SendLimit(c.now) == recovery.SendNothing {
		return t // an acknowledgement that is due has to wait for the peer's next packet
	}
	for s := range c.spaces {
		if c.spaces[s].seal != nil {
			t = monotime.Min(t, c.ackTime(recovery.Space(s)))
		}
	}
	if c.hasPending() {
		t = monotime.Min(t, c.loss.PacedUntil(c.now))
	}
	return t
}

// hasPending reports whether there is something to send other than acknowledgements.
func (c *Conn) hasPending() bool {
	for s := range c.spaces {
		if sp := c.spaces[s]; sp.seal != nil && sp.crypto.hasPending() {
			return true
		}
	}
	if !c.maySendApp() {
		return c.idle.ping
	}
	return c.streams.HasPending() || c.hasDatagrams() || c.ext.ackFreq.pending() || c.handshakeDone.ShouldSend(false) ||
		c.scratch != nil && len(c.pathResponses) > 0 || c.idle.ping || c.ids.hasPending() || c.token.pending(false)
}
