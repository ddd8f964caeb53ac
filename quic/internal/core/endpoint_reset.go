package core

// minReset is the smallest datagram that can be a stateless reset.
const minReset = 21

// minResetID is the length of connection IDs from which on packets to unknown ones are answered with a stateless reset.
// Shorter IDs come back in later connections, and so would their tokens, which a peer of an earlier connection knows. The
// tokens of short IDs are different in each connection (Conn.resetToken), so the Endpoint cannot compute them.
//
// "This method for choosing the stateless reset token means that the combination of connection ID and static key MUST NOT
// be used for another connection."
// https://www.rfc-editor.org/rfc/rfc9000#section-10.3.2-5
const minResetID = 8

// FindReset returns the connection that a stateless reset ends. The Endpoint looks for it itself in datagrams
// that it receives. If several Endpoints serve an address, the driver asks the others about a datagram with
// Routed.MaybeReset: the connection ID of a stateless reset is random, so it may reach any of them.
func (e *Endpoint) FindReset(p Path, d []byte) (ConnRef, bool) {
	if len(d) < minReset {
		return 0, false
	}
	// The tokens are random, so the duration of a lookup reveals nothing about other tokens.
	var tail [16]byte
	copy(tail[:], d[len(d)-16:])
	t, ok := e.tokens.get(tail)
	if !ok || t.remote != p.Remote {
		return 0, false
	}
	return t.ref, true
}

// receiveUnknownShort answers a short header packet that belongs to no connection, unless it may be a stateless reset for
// one of another Endpoint.
func (e *Endpoint) receiveUnknownShort(p Path, d, reply []byte) Routed {
	r := e.answerShort(p, d, reply)
	r.MaybeReset = e.cfg.Shares > 1 && len(d) >= minReset && e.questions.take(e.now)
	return r
}

// answerShort answers a short header packet that belongs to no connection with a stateless reset.
func (e *Endpoint) answerShort(p Path, d, reply []byte) Routed {
	if len(d) <= minReset || e.cfg.ResetKey == nil || e.cfg.ConnIDLen < minResetID {
		return e.drop(DropUnknownConnID)
	}
	if !e.resets.take(e.now) {
		return e.drop(DropResetSuppressed)
	}
	// "An endpoint that sends a Stateless Reset in response to a packet that is 43 bytes or shorter
	// SHOULD send a Stateless Reset that is one byte shorter than the packet it responds to." Each is
	// smaller than the packet that it answers, so two endpoints do not answer each other for ever.
	// https://www.rfc-editor.org/rfc/rfc9000#section-10.3-11
	// "An endpoint MUST ensure that every Stateless Reset that it sends is smaller than the packet that triggered it,
	// unless it maintains state sufficient to prevent looping."
	// https://www.rfc-editor.org/rfc/rfc9000#section-10.3.3-2
	// "An endpoint MUST NOT send a Stateless Reset that is three times or more larger than the packet it receives to
	// avoid being used for amplification."
	// https://www.rfc-editor.org/rfc/rfc9000#section-10.3-13
	// "Endpoints MUST send Stateless Resets formatted as a packet with a short header."
	// https://www.rfc-editor.org/rfc/rfc9000#section-10.3-15
	n := min(len(d)-1, 42)
	b := reply[:n]
	e.cfg.Rand(b)
	b[0] = b[0]&0x3f | 0x40
	token := e.cfg.ResetKey.Token(d[1 : 1+e.cfg.ConnIDLen])
	copy(b[n-16:], token[:])
	e.drops[DropStatelessReset]++
	return e.reply(p, b)
}
