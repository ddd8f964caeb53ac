package core

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// A token proves that its client received it at some address. A sealed token is a mark, which is also
// authenticated, and what the TokenKey makes of the contents: the Unix time of its issue in nanoseconds and, in
// Retry packets, two connection IDs.
//
// "A token sent in a NEW_TOKEN frame or a Retry packet MUST be constructed in a way that allows the server to
// identify how it was provided to a client."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.1.1-1
type tokenMark byte

const (
	// retryToken marks the tokens of our Retry packets. A client that returns such a token accepts no second
	// Retry, so it receives INVALID_TOKEN if the token is not valid.
	retryToken tokenMark = 'R'
	// newToken marks the tokens of our NEW_TOKEN frames.
	newToken tokenMark = 'N'
)

// A TokenID identifies a token of a NEW_TOKEN frame. It is a part of the token that is random and
// authenticated.
type TokenID [tlsprovider.TagLen]byte

// A tokenScope is what a token is bound to.
type tokenScope struct {
	mark    tokenMark
	version wire.Version
	remote  netip.AddrPort
}

// sealToken seals a token. rest is what follows the time of its issue.
func sealToken(k tlsprovider.TokenKey, scope tokenScope, issued int64, rest []byte) ([]byte, error) {
	// One allocation for all, because a server does this for each connection.
	const room, contentsRoom, aadRoom = 112, 64, 32
	buf := make([]byte, room+contentsRoom+aadRoom)
	contents := binary.BigEndian.AppendUint64(buf[room:room:room+contentsRoom], uint64(issued))
	contents = append(contents, rest...)
	aad := appendTokenAAD(buf[room+contentsRoom:][:0], scope)
	return k.Seal(append(buf[:0:room], byte(scope.mark)), contents, aad)
}

// openToken returns the contents of a token and the time of its issue, if it is authentic and not older than
// lifetime at the time now.
func (e *Endpoint) openToken(scope tokenScope, token []byte, lifetime time.Duration) (rest []byte, issued int64, ok bool) {
	if e.cfg.TokenKey == nil {
		return nil, 0, false
	}
	p, ok := e.cfg.TokenKey.Open(nil, token[1:], appendTokenAAD(nil, scope))
	if !ok || len(p) < 8 {
		return nil, 0, false
	}
	issued = int64(binary.BigEndian.Uint64(p))
	// The clocks of endpoints that share a key may differ a little in either direction.
	age := time.Duration(unixNano(e.cfg.Epoch, e.now) - issued)
	return p[8:], issued, age >= -defaultRetryLifetime && age <= lifetime
}

// unixNano returns the Unix time of a monotonic time, in nanoseconds.
func unixNano(epoch int64, now monotime.Time) int64 { return epoch + int64(now) }

// appendTokenAAD binds a token to its kind and to an address.
//
// "Tokens sent in Retry packets SHOULD include information that allows the server to verify that the source IP
// address and port in client packets remain constant."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.1.4-3
//
// "Tokens sent in NEW_TOKEN frames MUST include information that allows the server to verify that the client IP
// address has not changed from when the token was issued."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.1.4-4
//
// "TLS session tickets and NEW_TOKEN tokens are specific to the QUIC version of the connection that provided them."
// https://www.rfc-editor.org/rfc/rfc9369#section-5-1
func appendTokenAAD(b []byte, scope tokenScope) []byte {
	mark, remote := scope.mark, scope.remote
	b = append(b, byte(mark))
	if scope.version != wire.Version1 {
		b = binary.BigEndian.AppendUint32(b, uint32(scope.version))
	}
	if mark == retryToken {
		b = binary.BigEndian.AppendUint16(b, remote.Port())
	}
	addr := remote.Addr().Unmap()
	if addr.Is4() {
		ip := addr.As4()
		return append(b, ip[:]...)
	}
	ip := addr.As16()
	return append(append(b, ip[:]...), addr.Zone()...)
}

// sealRetryToken returns the token of a Retry packet. It contains the source connection ID of the packet and
// the client's original destination.
func (e *Endpoint) sealRetryToken(in *Incoming, src wire.ConnID) ([]byte, error) {
	rest := src.AppendTo([]byte{byte(src.Len())})
	rest = in.OriginalDstID.AppendTo(rest)
	return sealToken(e.cfg.TokenKey, tokenScope{retryToken, in.Version, in.Path.Remote},
		unixNano(e.cfg.Epoch, e.now), rest)
}

// openRetryToken sets the fields of in that sealRetryToken put into a token. It returns false if the token
// is not valid.
//
// "Servers SHOULD ensure that tokens sent in Retry packets are only accepted for a short time, as they are
// returned immediately by clients."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.1.4-5
func (e *Endpoint) openRetryToken(in *Incoming, token []byte) bool {
	p, _, ok := e.openToken(tokenScope{retryToken, in.Version, in.Path.Remote}, token, e.cfg.RetryLifetime)
	if !ok || len(p) < 1 || len(p) < 1+int(p[0]) {
		return false
	}
	var ok1, ok2 bool
	in.RetrySrcID, ok1 = wire.MakeConnID(p[1 : 1+int(p[0])])
	in.OriginalDstID, ok2 = wire.MakeConnID(p[1+int(p[0]):])
	in.Retried, in.Validated = true, true
	// The client sends to the connection ID of our Retry packet.
	return ok1 && ok2 && in.RetrySrcID == in.DstID
}

// sealNewToken returns the token of a NEW_TOKEN frame.
//
// "A token issued with NEW_TOKEN MUST NOT include information that would allow values to be linked by an
// observer to the connection on which it was issued."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.1.3-4
//
// An observer sees which key sealed it, which all clients have in common. The rest is random or encrypted.
func (c *Conn) sealNewToken() ([]byte, error) {
	return sealToken(c.cfg.TokenKey, tokenScope{newToken, c.version, c.path.Remote}, unixNano(c.cfg.Epoch, c.now), nil)
}

// acceptNewToken reports whether a token of a NEW_TOKEN frame proves the client's address. It does so once.
//
// "[...] servers MUST ensure that replay of tokens is prevented or limited. [...] Tokens that are provided in
// NEW_TOKEN frames (Section 19.7) need to be valid for longer but SHOULD NOT be accepted multiple times."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.1.4-5
func (e *Endpoint) acceptNewToken(in *Incoming, token []byte) bool {
	if e.cfg.TokenLifetime <= 0 || len(token) < len(TokenID{}) {
		return false
	}
	_, issued, ok := e.openToken(tokenScope{newToken, in.Version, in.Path.Remote}, token, e.cfg.TokenLifetime)
	if !ok || !e.cfg.UseToken(TokenID(token[len(token)-len(TokenID{}):]), issued) {
		return false
	}
	in.Validated = true
	e.byToken++
	return true
}

// ValidatedByToken returns the number of clients whose address was validated by a token of a NEW_TOKEN frame.
func (e *Endpoint) ValidatedByToken() uint64 { return e.byToken }
