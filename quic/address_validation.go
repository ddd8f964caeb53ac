package quic

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/datagram"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// AddressValidation is a server's policy for the addresses of new clients. A source address can be spoofed. A client
// proves that it receives what is sent to its address by returning the token of a Retry packet, which costs a round
// trip, or a token that it got in an earlier connection, which costs nothing. See docs/address-validation.md.
type AddressValidation uint8

const (
	// ValidateUnderLoad asks for proof while Config.MaxHandshakes handshakes are not complete, while many
	// ClientHellos are incomplete, or while many TLS jobs wait.
	ValidateUnderLoad AddressValidation = iota
	// ValidateAlways asks every client.
	ValidateAlways
	// ValidateNever asks no client. Beyond its limits, the server drops new clients.
	ValidateNever
)

// SetTokenSecrets replaces Config.TokenSecrets. To rotate secrets in a fleet, first append the new secret on every
// server, then move it to the front on every server, and later remove the old one. Tokens that no secret opens are
// ignored.
func (e *Endpoint) SetTokenSecrets(secrets [][]byte) error {
	if len(secrets) == 0 {
		return errors.New("quic: SetTokenSecrets without a secret")
	}
	if err := checkTokenSecrets(secrets); err != nil {
		return err
	}
	if isClosed(e.closed) {
		return ErrEndpointClosed
	}
	err := e.tokens.set(secrets)
	if errors.Is(err, errTokenKeysClosed) {
		return ErrEndpointClosed
	}
	return err
}

// validation returns the policy for a datagram that may be the first packet of a client. It calls
// RequireAddressValidation without holding a lock. If the function panics, the client must validate its address.
func (e *Endpoint) validation(t *datagram.Train) core.Validation {
	switch {
	case !wire.HasLongType(t.Data, wire.PacketInitial) || e.cfg.AddressValidation == ValidateNever:
		return core.ValidateNever
	case e.cfg.AddressValidation == ValidateAlways || e.pool.busy():
		return core.ValidateAlways
	case e.cfg.RequireAddressValidation == nil:
		return core.ValidateUnderLoad
	}
	want := false
	err := tlsprovider.Guard("Config.RequireAddressValidation", func() error {
		want = e.cfg.RequireAddressValidation(t.Path.Remote)
		return nil
	})
	e.notePanic(t.Path.Remote, err)
	if want || err != nil {
		return core.ValidateAlways
	}
	return core.ValidateUnderLoad
}

// useToken reports whether a client's token is used for the first time.
func (g *common) useToken(id core.TokenID, issued int64) bool {
	return g.usedTokens.use(id, issued, g.unixNano())
}

// tokenLifetime returns the lifetime of the tokens that servers issue, or 0 if they issue none.
func (c *Config) tokenLifetime() time.Duration { return max(c.TokenLifetime, 0) }

// tokenServer returns the name of a server in the keys of its tokens.
//
// "A client MUST NOT include a token that is not applicable to the server that it is connecting to [...]".
// https://www.rfc-editor.org/rfc/rfc9000#section-8.1.3-6
func tokenServer(name string, remote netip.AddrPort) string {
	return net.JoinHostPort(name, strconv.Itoa(int(remote.Port())))
}

// tokenKeyOf returns the key of a server's tokens in a TokenStore.
//
// "Clients MAY use tokens obtained on one connection for any connection attempt using the same version."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.1.3-13
func tokenKeyOf(server string, v wire.Version) string {
	return fmt.Sprintf("token %08x %s", uint32(v), server)
}

// tokenStoreFor returns the store for the tokens of a connection, or nil. own means that the Endpoint was made for
// this connection.
func (e *Endpoint) tokenStoreFor(cfg *Config, own bool) tlsprovider.ClientStore {
	switch {
	case cfg.TokenStore != nil:
		return cfg.TokenStore
	case own:
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.tokenStore == nil {
		e.tokenStore = tlsprovider.NewClientStore(maxTokenServers, 0)
	}
	return e.tokenStore
}

// maxGreaseAge is how long a client remembers that a server accepts any value of the fixed bit.
//
// "[...] a client MUST NOT set the QUIC Bit to 0 unless the Initial packets it sends include a token provided by the server
// in a NEW_TOKEN frame [...], received less than 604800 seconds (7 days) prior on a connection where the server also
// included the grease_quic_bit transport parameter."
// https://www.rfc-editor.org/rfc/rfc9287#section-3.1-3
const maxGreaseAge = 7 * 24 * time.Hour

// greasingKey returns the key of those tokens of a server that come from connections with a random fixed bit. The Unix
// time at which they arrived, in eight bytes, goes before each. The other tokens are kept as they are.
func greasingKey(key string) string { return "greasing " + key }

// takeToken returns a token for a server, or nil. With greasing, it prefers tokens that permit a random fixed bit in the
// first packets, and reports whether the token does.
func (e *Endpoint) takeToken(store tlsprovider.ClientStore, key string, greasing bool) (token []byte, greases bool) {
	if store == nil {
		return nil, false
	}
	if greasing {
		if b := e.takeStored(store, greasingKey(key)); len(b) > 8 && len(b) <= 8+core.MaxTokenLen {
			age := time.Since(time.Unix(int64(binary.BigEndian.Uint64(b)), 0))
			return b[8:], age >= 0 && age < maxGreaseAge
		}
	}
	if token = e.takeStored(store, key); len(token) > core.MaxTokenLen {
		return nil, false // a token that long would leave no room for the ClientHello
	}
	return token, false
}

// takeStored takes a copy of a value from a TokenStore.
//
// "A client SHOULD NOT reuse a token from a NEW_TOKEN frame for different connection attempts."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.1.3-8
func (e *Endpoint) takeStored(store tlsprovider.ClientStore, key string) []byte {
	var value []byte
	err := tlsprovider.Guard("Config.TokenStore", func() error { value = store.Take(key); return nil })
	e.notePanic(nil, err)
	return bytes.Clone(value)
}

// storeTokens keeps the tokens that a server has sent. greases reports whether the server accepts any value of the fixed
// bit. No lock is held.
func (c *Conn) storeTokens(tokens [][]byte, greases bool) {
	d := c.dialed
	if d.tokens == nil {
		return
	}
	key := tokenKeyOf(d.server, wire.Version(c.ConnectionState().Version))
	if greases {
		key = greasingKey(key)
	}
	for _, token := range tokens {
		if greases {
			token = append(binary.BigEndian.AppendUint64(nil, uint64(time.Now().Unix())), token...)
		}
		err := tlsprovider.Guard("Config.TokenStore", func() error { d.tokens.Put(key, token); return nil })
		c.ep.notePanic(c.RemoteAddr(), err)
	}
}
