package core

import (
	"encoding/binary"
	"time"

	"github.com/pqquic/pqquic/quic/internal/wire"
)

// retryMark is the first byte of the tokens in our Retry packets. A client that returns such a token
// accepts no second Retry, so it receives INVALID_TOKEN if the token is not valid.
const retryMark = 'R'

// admitAddress sends a Retry packet if the client must validate its address. If done is set, r is the
// answer to the datagram.
func (e *Endpoint) admitAddress(in *Incoming, h *wire.LongHeader, d, reply []byte) (r Routed, done bool) {
	if len(h.Token) > 0 && h.Token[0] == retryMark {
		if e.openRetryToken(in, h.Token[1:]) {
			return e.admitValidated()
		}
		// "[...] the server SHOULD immediately close [...] the connection with an INVALID_TOKEN
		// error."
		// https://www.rfc-editor.org/rfc/rfc9000#section-8.1.2-5
		return e.rejectToken(in, h, d, reply), true
	}
	// Any other token was issued by another server or by an older version of this one. It is ignored.
	over := e.handshakes + e.hellos.len()
	switch {
	case over >= 2*e.cfg.MaxHandshakes:
		return e.drop(DropOverload), true
	case over >= e.cfg.MaxHandshakes || e.hellos.bytes > e.cfg.HelloBytes/2 ||
		e.cfg.RequireRetry != nil && e.cfg.RequireRetry(in.Path.Remote):
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
func (e *Endpoint) sendRetry(in *Incoming, reply []byte) Routed {
	if e.cfg.TokenKey == nil {
		return e.drop(DropOverload)
	}
	src := e.cfg.NewConnID()
	token, err := e.sealRetryToken(in, src)
	if err != nil {
		return e.drop(DropOverload)
	}
	b := wire.AppendRetry(reply[:0], in.Version, in.PeerID, src, token)
	odcid := in.OriginalDstID
	tag, err := e.cfg.Provider.RetryTag(uint32(in.Version), odcid.Bytes(), b)
	if err != nil {
		return e.drop(DropOverload)
	}
	e.drops[DropRetried]++
	return e.reply(in.Path, append(b, tag[:]...))
}

// sealRetryToken returns a token for a client's address. It contains the time, the source connection ID of
// the Retry packet and the client's original destination.
func (e *Endpoint) sealRetryToken(in *Incoming, src wire.ConnID) ([]byte, error) {
	p := binary.BigEndian.AppendUint64(nil, uint64(e.cfg.Epoch+int64(e.now)))
	p = src.AppendTo(append(p, byte(src.Len())))
	p = in.OriginalDstID.AppendTo(p)
	return e.cfg.TokenKey.Seal([]byte{retryMark}, p, tokenAAD(in))
}

// openRetryToken sets the fields of in that sealRetryToken put into a token. It returns false if the token
// is not valid.
func (e *Endpoint) openRetryToken(in *Incoming, token []byte) bool {
	if e.cfg.TokenKey == nil {
		return false
	}
	p, ok := e.cfg.TokenKey.Open(nil, token, tokenAAD(in))
	if !ok || len(p) < 9 || len(p) < 9+int(p[8]) {
		return false
	}
	// The clocks of endpoints that share a key may differ a little in either direction.
	at := int64(binary.BigEndian.Uint64(p))
	if age := time.Duration(e.cfg.Epoch + int64(e.now) - at); age < -e.cfg.TokenLifetime || age > e.cfg.TokenLifetime {
		return false
	}
	var ok1, ok2 bool
	in.RetrySrcID, ok1 = wire.MakeConnID(p[9 : 9+int(p[8])])
	in.OriginalDstID, ok2 = wire.MakeConnID(p[9+int(p[8]):])
	in.Retried, in.Validated = true, true
	// The client sends to the connection ID of our Retry packet.
	return ok1 && ok2 && in.RetrySrcID == in.DstID
}

// tokenAAD binds a token to an address.
func tokenAAD(in *Incoming) []byte {
	b, _ := in.Path.Remote.MarshalBinary()
	return b
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
