//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// A client that connects again proves its address with the token that the server gave it. The second of two
// connections that begin at once has no token left.
func TestTokenReplacesRetry(t *testing.T) {
	for _, store := range []tlsprovider.ClientStore{nil, tlsprovider.NewClientStore(0, 0)} {
		cfg, client := serverConfig(), clientConfig()
		cfg.AddressValidation, client.TokenStore = ValidateAlways, store
		inBubble(t, cfg, client, func(t *testing.T, w *world) {
			for i := range 3 {
				conn, err := w.client.Dial(t.Context(), serverAddr, nil)
				require.NoError(t, err)
				advance(time.Second)
				require.NoError(t, conn.Close())
				require.Equal(t, i == 0, conn.core.Retried())
				require.EqualValues(t, i, w.server.Stats().ValidatedByToken)
			}
			require.EqualValues(t, 2, w.server.Stats().Drops.Retried, "each half of the first ClientHello")
			other := clientConfig()
			other.TokenStore = tlsprovider.NewClientStore(0, 0)
			conn, err := w.client.Dial(t.Context(), serverAddr, other)
			require.NoError(t, err)
			require.True(t, conn.core.Retried(), "a store of its own has no token")
			if store != nil {
				require.NotNil(t, store.Take("token 00000001 localhost:4433"))
			}
		})
	}
}

// Tokens belong to one server and one version.
//
// "A client MUST NOT include a token that is not applicable to the server that it is connecting to, unless the client has
// the knowledge that the server that issued the token and the server the client is connecting to are jointly managing the
// tokens."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.1.3-6
func TestTokenOfAnotherServer(t *testing.T) {
	store := tlsprovider.NewClientStore(0, 0)
	at := netip.MustParseAddrPort("192.0.2.1:443")
	mine := tokenKeyOf(tokenServer("one.test", at), wire.Version1)
	store.Put(mine, []byte("token"))
	e := &Endpoint{}
	for _, other := range []string{
		tokenKeyOf(tokenServer("two.test", at), wire.Version1),
		tokenKeyOf(tokenServer("one.test", netip.AddrPortFrom(at.Addr(), 444)), wire.Version1),
		tokenKeyOf(tokenServer("one.test", at), wire.Version2),
	} {
		token, _ := e.takeToken(store, other, false)
		require.Nil(t, token, other)
	}
	token, _ := e.takeToken(store, mine, false)
	require.Equal(t, "token", string(token))
}

// A server without a lifetime for tokens, or one that never validates, gives clients none.
func TestNoTokens(t *testing.T) {
	for _, edit := range []func(*Config){
		func(c *Config) { c.TokenLifetime = -1 },
		func(c *Config) { c.AddressValidation = ValidateNever },
	} {
		cfg, client := serverConfig(), clientConfig()
		store := &countingStore{ClientCache: tlsprovider.NewClientStore(0, 0)}
		client.TokenStore = store
		edit(cfg)
		inBubble(t, cfg, client, func(t *testing.T, w *world) {
			w.connect()
			advance(time.Second)
			require.Zero(t, store.puts)
		})
	}
}

type countingStore struct {
	*tlsprovider.ClientCache
	puts int
}

func (s *countingStore) Put(key string, value []byte) {
	s.puts++
	s.ClientCache.Put(key, value)
}

// Tokens stay valid when the Endpoint's own key is replaced, and when secrets are rotated in a fleet. The tokens of a
// secret that was removed are ignored.
func TestTokenKeysRotate(t *testing.T) {
	retried := func(w *world) bool {
		conn, err := w.client.Dial(w.Context(), serverAddr, nil)
		require.NoError(w, err)
		advance(time.Second)
		require.NoError(w, conn.Close())
		return conn.core.Retried()
	}
	cfg := serverConfig()
	cfg.AddressValidation = ValidateAlways
	inBubble(t, cfg, nil, func(t *testing.T, w *world) {
		require.True(t, retried(w))
		advance(ownTokenKeyLife - time.Hour)
		require.False(t, retried(w), "the first key")
		advance(2 * time.Hour)
		require.False(t, retried(w), "the first key still opens; the second seals")
		require.Len(t, w.server.tokens.keys, 2)
		advance(ownTokenKeyLife - time.Hour)
		require.False(t, retried(w), "the second key")

		one, two := pattern(32, 1), pattern(32, 2)
		require.NoError(t, w.server.SetTokenSecrets([][]byte{one}))
		require.True(t, retried(w), "the key of the token is gone")
		require.NoError(t, w.server.SetTokenSecrets([][]byte{two, one}))
		require.False(t, retried(w))
		require.NoError(t, w.server.SetTokenSecrets([][]byte{two}))
		require.False(t, retried(w), "the newer secret has sealed the token")
		require.ErrorContains(t, w.server.SetTokenSecrets(nil), "without a secret")
		require.ErrorContains(t, w.server.SetTokenSecrets([][]byte{one[1:]}), "TokenSecrets[0] has 31 bytes")
		require.NoError(t, w.server.Close())
		require.ErrorIs(t, w.server.SetTokenSecrets([][]byte{one}), ErrEndpointClosed)
	})
}

// A store that panics costs its token and nothing else.
func TestPanicOfTokenStore(t *testing.T) {
	client := clientConfig()
	client.TokenStore = brokenStore{}
	inBubble(t, nil, client, func(t *testing.T, w *world) {
		conn, _ := w.connect()
		advance(time.Second)
		require.NoError(t, conn.Close())
		require.EqualValues(t, 2, w.client.Stats().Panics)
	})
}

type brokenStore struct{}

func (brokenStore) Put(string, []byte) { panic("tripwire") }
func (brokenStore) Take(string) []byte { panic("tripwire") }

// usedOnce accepts everything once while it is valid, however much is used, and stays bounded.
func TestUsedOnce(t *testing.T) {
	const life, limit = 1000, 50
	u := usedOnce{lifetime: life, limit: limit}
	id := func(i int) (id [16]byte) {
		id[0], id[1], id[2] = byte(i), byte(i>>8), byte(i>>16)
		return id
	}
	accepted, refused := 0, 0
	for i := range 3000 {
		now := int64(i * 7)
		issued := now - int64(i%13)
		if u.use(id(i), issued, now) {
			accepted++
		} else {
			refused++
		}
		for back := range min(i, life) {
			issued, at := int64((i-back)*7)-int64((i-back)%13), now
			if at-issued > life {
				break
			}
			require.False(t, u.use(id(i-back), issued, at), "%d again at %d", i-back, i)
		}
		require.LessOrEqual(t, len(u.newer.ids), limit)
		require.LessOrEqual(t, len(u.old.ids), limit)
	}
	require.Greater(t, accepted, 2900, "what is new is accepted although the memory is full: %d refused", refused)

	u = usedOnce{lifetime: life, limit: limit}
	for i := 1; i < 10; i++ {
		require.True(t, u.use(id(i), int64(i*life), int64(i*life)))
	}
	require.True(t, u.use(id(99), 9*life-life+1, 9*life), "few uses: nothing that is valid is refused")
}

// A token is accepted once. A store that returns one again costs its client a Retry.
//
// "Tokens that are provided in NEW_TOKEN frames (Section 19.7) need to be valid for longer but SHOULD NOT be accepted
// multiple times."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.1.4-5
func TestTokenReplayed(t *testing.T) {
	cfg, client := serverConfig(), clientConfig()
	cfg.AddressValidation = ValidateAlways
	client.TokenStore = new(stubbornStore)
	inBubble(t, cfg, client, func(t *testing.T, w *world) {
		for i := range 4 {
			conn, err := w.client.Dial(t.Context(), serverAddr, nil)
			require.NoError(t, err)
			advance(time.Second)
			require.NoError(t, conn.Close())
			require.Equal(t, i != 1, conn.core.Retried(), "connection %d", i)
		}
		require.EqualValues(t, 1, w.server.Stats().ValidatedByToken)
	})
}

// A stubbornStore returns the first value again and again.
type stubbornStore struct{ first []byte }

func (s *stubbornStore) Take(string) []byte { return s.first }
func (s *stubbornStore) Put(_ string, value []byte) {
	if s.first == nil {
		s.first = value
	}
}

// SetTokenSecrets that is called while the Endpoint closes leaves no keys, which the s2n provider would keep for ever.
func TestTokenKeysAfterClose(t *testing.T) {
	l, err := Listen("udp", "127.0.0.1:0", serverConfig())
	require.NoError(t, err)
	e := l.Endpoint()
	require.NoError(t, e.Close())
	require.ErrorIs(t, e.tokens.set([][]byte{make([]byte, minSecret)}), errTokenKeysClosed)
	require.Empty(t, e.tokens.keys)
}
