package core

import "github.com/pqquic/pqquic/quic/internal/wire"

// A Validation is the policy by which an Endpoint asks a client to prove its address with a Retry packet.
type Validation uint8

const (
	// ValidateUnderLoad asks while there are MaxHandshakes clients whose handshake is not complete, or while
	// half of HelloBytes is in use.
	ValidateUnderLoad Validation = iota
	// ValidateAlways asks every client that has no token.
	ValidateAlways
	// ValidateNever asks no client.
	ValidateNever
)

// admitAddress sends a Retry packet if the client must prove its address. If done is set, r is the answer to
// the datagram.
func (e *Endpoint) admitAddress(in *Incoming, h *wire.LongHeader, d []byte, v Validation, reply []byte) (r Routed, done bool) {
	if len(h.Token) > 0 {
		switch tokenMark(h.Token[0]) {
		case retryToken:
			if e.openRetryToken(in, h.Token) {
				return e.admitValidated()
			}
			// "[...] the server SHOULD immediately close [...] the connection with an INVALID_TOKEN
			// error."
			// https://www.rfc-editor.org/rfc/rfc9000#section-8.1.2-5
			return e.rejectToken(in, h, d, reply), true
		case newToken:
			// "When a server receives an Initial packet with an address validation token, it MUST attempt
			// to validate the token [...]. If the token is invalid, then the server SHOULD proceed as if
			// the client did not have a validated address, including potentially sending a Retry packet."
			// https://www.rfc-editor.org/rfc/rfc9000#section-8.1.3-10
			if e.acceptNewToken(in, h.Token) {
				return e.admitValidated()
			}
		}
		// Any other token was issued by another server or by an older version of this one. It is ignored.
	}
	over := e.handshakes + e.hellos.len()
	loaded := over >= e.cfg.MaxHandshakes || e.hellos.bytes > e.cfg.HelloBytes/2
	switch {
	case over >= 2*e.cfg.MaxHandshakes:
		return e.drop(DropOverload), true
	case v == ValidateAlways || v == ValidateUnderLoad && loaded:
		return e.sendRetry(in, reply), true
	}
	return Routed{}, false
}

func (e *Endpoint) admitValidated() (Routed, bool) {
	if e.handshakes+e.hellos.len() >= 2*e.cfg.MaxHandshakes {
		return e.drop(DropOverload), true
	}
	return Routed{}, false
}

// sendRetry answers an Initial packet with a Retry packet. It keeps no state: the token contains what is
// needed later.
//
// "This value MUST NOT be equal to the Destination Connection ID field of the packet sent by the client."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.5.1-2
func (e *Endpoint) sendRetry(in *Incoming, reply []byte) Routed {
	if e.cfg.TokenKey == nil {
		return e.drop(DropOverload)
	}
	src, ok := e.retryConnID()
	if !ok {
		return e.drop(DropNoConnID)
	}
	token, err := e.sealRetryToken(in, src)
	if err != nil {
		return e.drop(DropOverload)
	}
	// "A server MUST NOT send more than one Retry packet in response to a single UDP datagram."
	// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.5.1-3
	b := wire.AppendRetry(reply[:0], in.Version, in.PeerID, src, token)
	odcid := in.OriginalDstID
	tag, err := e.cfg.Provider.RetryTag(uint32(in.Version), odcid.Bytes(), b)
	if err != nil {
		return e.drop(DropOverload)
	}
	e.drops[DropRetried]++
	return e.reply(in.Path, append(b, tag[:]...))
}

// retryConnID returns the source connection ID of a Retry packet. The client sends to it and derives Initial keys from it,
// so it has the length that the RFC requires of the connection IDs that clients choose. A load balancer that reads the
// first bytes of a connection ID finds in it what NewConnID has written.
func (e *Endpoint) retryConnID() (id wire.ConnID, ok bool) {
	id, err := e.cfg.NewConnID()
	if missing := minClientDstID - id.Len(); err == nil && missing > 0 {
		b := make([]byte, missing)
		e.cfg.Rand(b)
		id, _ = wire.MakeConnID(append(id.AppendTo(nil), b...))
	}
	return id, err == nil
}

// rejectToken sends INVALID_TOKEN to a client whose Initial packet is authentic.
func (e *Endpoint) rejectToken(in *Incoming, h *wire.LongHeader, d, reply []byte) Routed {
	pkt := append(e.scratch[:0], d[:h.Len]...)
	id := in.DstID
	if _, ok := e.cfg.Provider.OpenInitial(uint32(in.Version), id.Bytes(), pkt, h.PNOffset); !ok {
		return e.drop(DropUndecryptable)
	}
	in.LocalID = in.DstID // the client knows no other connection ID of ours
	b, ok := e.refusal(in, wire.InvalidToken, "", reply)
	in.closeKeys()
	if !ok {
		return e.drop(DropInvalidToken)
	}
	e.drops[DropInvalidToken]++
	return e.reply(in.Path, b)
}
