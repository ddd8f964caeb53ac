package core

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// withTokens returns options for a server that issues tokens and asks every client for one.
func withTokens(edit func(*EndpointConfig)) rigOptions {
	used := make(map[TokenID]bool)
	o := rigOptions{validation: ValidateAlways}
	o.endpoint = func(c *EndpointConfig) {
		c.TokenLifetime = time.Hour
		c.UseToken = func(id TokenID, _ int64) bool {
			first := !used[id]
			used[id] = true
			return first
		}
		if edit != nil {
			edit(c)
		}
	}
	o.server = func(c *Config) {
		key, err := c.Provider.NewTokenKey(testSecret)
		if err != nil {
			panic(err)
		}
		c.TokenKey = key
	}
	return o
}

// A server sends one token after the handshake. The token replaces a Retry in one later connection from the same
// IP address, and only for some time. A token that is not valid costs the client no more than a Retry.
//
// "When a server receives an Initial packet with an address validation token, it MUST attempt to validate the token,
// unless it has already completed address validation."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.1.3-10
func TestNewToken(t *testing.T) {
	r := connected(t, withTokens(nil))
	token := r.client.TakeToken()
	// "The token MUST NOT be empty."
	// https://www.rfc-editor.org/rfc/rfc9000#section-19.7-5.4.1
	require.NotEmpty(t, token)
	require.Nil(t, r.client.TakeToken(), "one token for a connection")
	require.Nil(t, r.server.token, "the token is forgotten once it is acknowledged")

	n := 0
	try := func(from netip.AddrPort, token []byte) Routed {
		n++
		return r.receiveFrom(from, r.firstFlight(testID(fmt.Sprintf("%08d", n)), token, partOfHello))
	}
	retried := func(from netip.AddrPort, token []byte, why string) {
		t.Helper()
		got := try(from, token)
		require.Equal(t, RouteReply, got.Kind, why)
		require.Equal(t, wire.PacketRetry, wire.LongPacketType(got.Reply.Data[0], wire.Version1), why)
	}
	// "If the token is invalid, then the server SHOULD proceed as if the client did not have a validated address,
	// including potentially sending a Retry packet."
	// https://www.rfc-editor.org/rfc/rfc9000#section-8.1.3-10
	for i := 1; i < len(token); i++ {
		bad := bytes.Clone(token)
		bad[i] ^= 1
		retried(clientAddr, bad, "tampered with")
		retried(clientAddr, token[:i], "cut")
	}
	// "Tokens sent in NEW_TOKEN frames MUST include information that allows the server to verify that the client
	// IP address has not changed from when the token was issued."
	// https://www.rfc-editor.org/rfc/rfc9000#section-8.1.4-4
	// "If the client IP address has changed, the server MUST adhere to the anti-amplification limit; see Section 8."
	// https://www.rfc-editor.org/rfc/rfc9000#section-8.1.4-4
	retried(serverAddr, token, "another IP address")
	r.now = r.now.Add(time.Minute)
	require.Zero(t, r.endpoint.ValidatedByToken())
	before := r.endpoint.hellos.len()
	got := try(netip.AddrPortFrom(clientAddr.Addr(), 9), token)
	require.Equal(t, DropIncompleteHello, got.Drop, "the port does not matter")
	require.Equal(t, before+1, r.endpoint.hellos.len())
	require.EqualValues(t, 1, r.endpoint.ValidatedByToken())
	for _, h := range r.endpoint.hellos.byKey.m {
		require.True(t, h.in.Validated)
		require.False(t, h.in.Retried)
	}
	// "[...] servers MUST ensure that replay of tokens is prevented or limited."
	// https://www.rfc-editor.org/rfc/rfc9000#section-8.1.4-5
	retried(clientAddr, token, "used before")

	late := connected(t, withTokens(nil))
	token = late.client.TakeToken()
	late.now = late.now.Add(time.Hour + time.Second)
	got = late.receiveFrom(clientAddr, late.firstFlight(testID("12345678"), token, partOfHello))
	require.Equal(t, RouteReply, got.Kind, "expired")
}

// "A token sent in a NEW_TOKEN frame or a Retry packet MUST be constructed in a way that allows the server to
// identify how it was provided to a client."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.1.1-1
func TestKindsOfTokens(t *testing.T) {
	r := connected(t, withTokens(nil))
	fromFrame := r.client.TakeToken()
	got := r.receiveFrom(clientAddr, r.firstFlight(testID("12345678"), nil, partOfHello))
	retry, n := wire.ParseRetry(got.Reply.Data)
	require.Positive(t, n)
	fromRetry := bytes.Clone(retry.Token)
	src := retry.SrcID

	fromFrame[0], fromRetry[0] = byte(retryToken), byte(newToken)
	got = r.receiveFrom(clientAddr, r.firstFlight(src, fromFrame, partOfHello))
	require.Equal(t, RouteReply, got.Kind)
	require.EqualValues(t, 1, r.endpoint.drops[DropInvalidToken], "a NEW_TOKEN token as a Retry token")
	got = r.receiveFrom(clientAddr, r.firstFlight(src, fromRetry, partOfHello))
	require.Equal(t, wire.PacketRetry, wire.LongPacketType(got.Reply.Data[0], wire.Version1), "a Retry token as a NEW_TOKEN token")
}

// A client sends its token in every Initial packet, until a Retry replaces it, and the handshake needs no Retry.
//
// "The client MUST include the token in all Initial packets it sends, unless a Retry replaces the token with a newer
// one."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.1.3-2
// "This token MUST be repeated by the client in all Initial packets it sends for that connection after it receives
// the Retry packet."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.1.2-1
func TestClientSendsToken(t *testing.T) {
	first := connected(t, withTokens(nil))
	token := first.client.TakeToken()
	for _, valid := range []bool{true, false} {
		o := withTokens(func(c *EndpointConfig) { c.Epoch = int64(time.Minute) })
		o.client = func(c *Config) { c.Token = bytes.Clone(token) }
		if !valid {
			o.endpoint = withTokens(func(c *EndpointConfig) { c.UseToken = func(TokenID, int64) bool { return false } }).endpoint
		}
		r := newRig(t, o)
		initials, own := 0, 0
		r.onDatagram = func(from tlsprovider.Side, d []byte) bool {
			if h, n := wire.ParseLongHeader(d); from == client && n > 0 && h.Type == wire.PacketInitial {
				initials++
				require.NotEmpty(t, h.Token)
				if bytes.Equal(h.Token, token) {
					own++
				}
			}
			return true
		}
		r.pump()
		require.NoError(t, errOf(r.client))
		require.True(t, r.client.tls.confirmed)
		require.Equal(t, !valid, r.client.Retried())
		require.Equal(t, valid, own == initials, "%d of %d Initial packets have the token", own, initials)
		require.GreaterOrEqual(t, own, 2, "both halves of the ClientHello")
	}
}

// What a server makes a client keep is bounded.
//
// "Clients are responsible for discarding duplicate values, which might be used to link connection attempts".
// https://www.rfc-editor.org/rfc/rfc9000#section-19.7-6
func TestTokensOfAServer(t *testing.T) {
	r := connected(t, rigOptions{})
	r.say(client, recovery.SpaceApp, wire.NewToken{Token: make([]byte, MaxTokenLen+1)})
	require.Nil(t, r.client.TakeToken(), "too long")
	for i := range 3 * maxNewTokens {
		r.say(client, recovery.SpaceApp, wire.NewToken{Token: []byte{byte(i / 2)}})
	}
	for i := range maxNewTokens {
		require.Equal(t, []byte{byte(i)}, r.client.TakeToken())
	}
	require.Nil(t, r.client.TakeToken())
	require.NoError(t, errOf(r.client))
}

// Under load, a server asks for a Retry, unless its policy is not to ask. Its limits apply in any case.
func TestValidationPolicies(t *testing.T) {
	for _, tt := range []struct {
		policy Validation
		loaded bool
		retry  bool
	}{
		{ValidateUnderLoad, false, false}, {ValidateUnderLoad, true, true},
		{ValidateAlways, false, true}, {ValidateAlways, true, true},
		{ValidateNever, false, false}, {ValidateNever, true, false},
	} {
		r := newRig(t, rigOptions{validation: tt.policy, endpoint: func(c *EndpointConfig) { c.MaxHandshakes = 4 }})
		add := func(n int) {
			for range n {
				in := &Incoming{DstID: r.connID(), Path: Path{Remote: clientAddr}}
				r.ref++
				r.endpoint.Add(r.now, 100+r.ref, in)
			}
		}
		if tt.loaded {
			add(4)
		}
		got := r.receiveFrom(clientAddr, r.firstFlight(testID("12345678"), nil, partOfHello))
		require.Equal(t, tt.retry, got.Kind == RouteReply, "policy %d, loaded %t", tt.policy, tt.loaded)
		add(8)
		got = r.receiveFrom(clientAddr, r.firstFlight(testID("abcdefgh"), nil, partOfHello))
		require.Equal(t, DropOverload, got.Drop)
	}
}

// Tokens that a server issues at the same time to one address differ, and contain nothing but the time.
//
// "A server MUST ensure that every NEW_TOKEN frame it sends is unique across all clients, with the exception of those sent
// to repair losses of previously sent NEW_TOKEN frames."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.1.3-4
// "A token issued with NEW_TOKEN MUST NOT include information that would allow values to be linked by an observer to the
// connection on which it was issued."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.1.3-4
func TestTokensAreUniqueAndTellNothing(t *testing.T) {
	r := connected(t, withTokens(nil))
	seen := map[string]bool{string(r.client.TakeToken()): true}
	r.endpoint.clamp(r.now)
	for range 50 {
		r.server.token = nil
		r.server.offerToken()
		frames := framesOf[wire.NewToken](r.heard(r.server, r.client))
		require.Len(t, frames, 1)
		token := bytes.Clone(frames[0].Token)
		require.False(t, seen[string(token)])
		seen[string(token)] = true
		rest, _, ok := r.endpoint.openToken(tokenScope{newToken, wire.Version1, clientAddr}, bytes.Clone(token), time.Hour)
		require.True(t, ok)
		require.Empty(t, rest)
		for _, id := range []wire.ConnID{r.client.ids.originalDst, r.client.ids.src(), r.server.ids.src()} {
			require.False(t, bytes.Contains(token, id.Bytes()))
		}
	}
}
