package core

import (
	"bytes"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// maxNewTokens is how many tokens of NEW_TOKEN frames a client takes in a connection.
const maxNewTokens = 4

// MaxTokenLen is the length of the longest token of a NEW_TOKEN frame that a client uses. A longer one would
// leave too little room for a ClientHello in its Initial packets.
const MaxTokenLen = 512

// tokenState is the state of NEW_TOKEN frames: of the one that a server sends, or of those that a client has
// received.
type tokenState struct {
	token []byte
	sent  recovery.SentVal

	received     [maxNewTokens][]byte
	count, taken int // TakeToken has returned the first taken of count tokens
}

// offerToken has a server send a token for the client's next connection.
//
// "A server MUST ensure that every NEW_TOKEN frame it sends is unique across all clients, with the exception of
// those sent to repair losses of previously sent NEW_TOKEN frames."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.1.3-4
func (c *Conn) offerToken() {
	if c.cfg.TokenKey == nil {
		return
	}
	if token, err := c.sealNewToken(); err == nil { // without a token, the client can still connect
		c.token = &tokenState{token: token}
		c.token.sent.Set()
	}
}

// pending reports whether there is a token to send.
func (t *tokenState) pending(probe bool) bool {
	return t != nil && t.token != nil && t.sent.ShouldSend(probe)
}

// appendToken appends the NEW_TOKEN frame if it is due.
func (c *Conn) appendToken(b []byte, room int, pn wire.PacketNumber, rec []byte, probe bool) ([]byte, []byte) {
	if !c.token.pending(probe) {
		return b, rec
	}
	f := wire.NewToken{Token: c.token.token}
	if f.Size() > room {
		return b, rec
	}
	c.token.sent.SetSent(pn)
	return f.Append(b), appendRecord0(rec, recNewToken)
}

func (c *Conn) tokenFate(pn wire.PacketNumber, fate recovery.Fate) {
	if c.token == nil {
		return
	}
	c.token.sent.AckOrLoss(pn, fate)
	if fate == recovery.Acked {
		c.token = nil
	}
}

// handleNewToken handles a NEW_TOKEN frame of a server.
//
// "Clients are responsible for discarding duplicate values, which might be used to link connection attempts".
// https://www.rfc-editor.org/rfc/rfc9000#section-19.7-6
func (c *Conn) handleNewToken(f wire.NewToken) {
	if c.side == tlsprovider.Server {
		// "A server MUST treat receipt of a NEW_TOKEN frame as a connection error of type
		// PROTOCOL_VIOLATION."
		// https://www.rfc-editor.org/rfc/rfc9000#section-19.7-7
		c.abortf(wire.ProtocolViolation, wire.FrameNewToken, "NEW_TOKEN received from a client")
		return
	}
	if c.token == nil {
		c.token = new(tokenState)
	}
	t := c.token
	if t.count == maxNewTokens || len(f.Token) > MaxTokenLen {
		return
	}
	for _, old := range t.received[:t.count] {
		if bytes.Equal(old, f.Token) {
			return
		}
	}
	t.received[t.count] = bytes.Clone(f.Token)
	t.count++
	c.events.add(Event{Kind: EventToken})
}

// TakeToken returns a token that EventToken has announced.
func (c *Conn) TakeToken() []byte {
	t := c.token
	if t == nil || t.taken == t.count {
		return nil
	}
	t.taken++
	return t.received[t.taken-1]
}
