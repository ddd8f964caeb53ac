package core

// minReset is the smallest datagram that can be a stateless reset.
const minReset = 21

// receiveStrangeShort deals with a short header for no connection of ours: a stateless reset from
// the peer, or a packet that deserves one.
func (e *Endpoint) receiveStrangeShort(p Path, d, reply []byte) Routed {
	if len(d) >= minReset {
		// The tokens are random, so looking one up tells an observer of our timing nothing
		// about the others.
		var tail [16]byte
		copy(tail[:], d[len(d)-16:])
		if t, ok := e.tokens[tail]; ok && t.remote == p.Remote {
			return Routed{Kind: RouteReset, Conn: t.ref}
		}
	}
	if len(d) <= minReset || e.cfg.ResetKey == nil {
		return e.drop(DropUnknownConnID)
	}
	if !e.resets.take(e.now) {
		return e.drop(DropResetSuppressed)
	}
	// "An endpoint that sends a Stateless Reset in response to a packet that is 43 bytes or shorter
	// SHOULD send a Stateless Reset that is one byte shorter than the packet it responds to." Each is
	// smaller than its cause, so two endpoints cannot go on forever.
	// https://www.rfc-editor.org/rfc/rfc9000#section-10.3-11
	n := min(len(d)-1, 42)
	b := reply[:n]
	e.cfg.Rand(b)
	b[0] = b[0]&0x3f | 0x40
	token := e.cfg.ResetKey.Token(d[1 : 1+ConnIDLen])
	copy(b[n-16:], token[:])
	e.drops[DropStatelessReset]++
	return e.reply(p, b)
}
