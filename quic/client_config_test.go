//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/internal/testcert"
	"github.com/pqquic/pqquic/tlsprovider"
)

// A server chooses limits and TLS for each client by its address, before TLS.
func TestGetConfigForClient(t *testing.T) {
	other := testcert.New("localhost")
	cfg := serverConfig()
	special := &Config{
		MaxIncomingStreams: 1, MaxIncomingUniStreams: -1, MaxDatagramFrameSize: 1000, MaxIdleTimeout: time.Minute,
		TLS: &tlsprovider.Config{NextProtos: []string{testProto}, Certificates: []tlsprovider.Certificate{other.Provider()}},
	}
	var mu sync.Mutex
	var infos []ClientInfo
	cfg.GetConfigForClient = func(info ClientInfo) (*Config, error) {
		mu.Lock()
		defer mu.Unlock()
		infos = append(infos, info)
		if info.RemoteAddr.Addr() == netip.MustParseAddrPort(otherAddr).Addr() {
			return special, nil
		}
		return nil, nil
	}
	inBubble(t, cfg, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		require.Equal(t, infos[0].ID, client.ID())
		require.Equal(t, infos[0].ID, server.ID())
		require.False(t, client.ConnectionState().SendsDatagrams)
		for range 100 {
			_, err := client.TryOpenStream()
			require.NoError(t, err)
		}

		cc := clientConfig()
		cc.TLS.RootCAs = other.Roots()
		e, err := NewEndpoint(w.net.Listen(otherAddr), cc)
		require.NoError(t, err)
		defer e.Close()
		conn, err := e.Dial(t.Context(), serverAddr, nil)
		require.NoError(t, err)
		peer, err := w.listener.Accept(t.Context())
		require.NoError(t, err)
		require.True(t, conn.ConnectionState().SendsDatagrams)
		require.True(t, peer.ConnectionState().ReceivesDatagrams)
		s, err := conn.TryOpenStream()
		require.NoError(t, err)
		_, err = conn.TryOpenStream()
		require.ErrorIs(t, err, ErrStreamLimit)
		_, err = conn.TryOpenUniStream()
		require.ErrorIs(t, err, ErrStreamLimit)
		require.NoError(t, s.Announce())
		ps, err := peer.AcceptStream(t.Context())
		require.NoError(t, err)
		requireTransfer(t, s, ps, 100_000)
		require.Len(t, infos, 2)
	})
}

// The contexts of a server's connection and of its streams have the values that ConnContext has added, and end with the
// connection, not with the context that ConnContext has returned. A panic refuses the client.
func TestConnContext(t *testing.T) {
	type key struct{}
	cfg := serverConfig()
	fails := false
	cfg.ConnContext = func(ctx context.Context, client ClientInfo) context.Context {
		if fails {
			panic("tripwire")
		}
		ended, cancel := context.WithCancel(context.WithValue(ctx, key{}, client.ID))
		cancel()
		return ended
	}
	inBubble(t, cfg, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		require.Equal(t, client.ID(), server.Context().Value(key{}))
		require.Nil(t, client.Context().Value(key{}))
		require.NoError(t, server.Context().Err())
		_, s := w.stream(client, server)
		require.Equal(t, client.ID(), s.Context().Value(key{}))
		require.NoError(t, s.Context().Err())
		require.NoError(t, client.Close())
		<-server.Context().Done()
		fails = true
		_, err := w.client.Dial(t.Context(), serverAddr, nil)
		requireTransportError(t, err, InternalError, true)
		require.EqualValues(t, 1, w.server.Stats().Panics)
	})
}

// Errors of GetConfigForClient refuse the client like those of Accept. Invalid configurations are logged.
func TestGetConfigForClientErrors(t *testing.T) {
	invalid := func(c *Config) func(ClientInfo) (*Config, error) {
		return func(ClientInfo) (*Config, error) { return c, nil }
	}
	for name, tc := range map[string]struct {
		f      func(ClientInfo) (*Config, error)
		code   TransportErrorCode
		reason string
		warns  int
	}{
		"error":       {func(ClientInfo) (*Config, error) { return nil, errors.New("secret") }, ConnectionRefused, "", 0},
		"reason":      {func(ClientInfo) (*Config, error) { return nil, &RefusedError{"too early"} }, ConnectionRefused, "too early", 0},
		"panic":       {func(ClientInfo) (*Config, error) { panic("oops") }, InternalError, "", 0},
		"window":      {invalid(&Config{StreamWindow: -1}), ConnectionRefused, "", 1},
		"no protocol": {invalid(&Config{TLS: new(tlsprovider.Config)}), ConnectionRefused, "", 1},
		"no certificate": {
			invalid(&Config{TLS: &tlsprovider.Config{NextProtos: []string{testProto}}}), ConnectionRefused, "", 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			book := new(logBook)
			cfg := serverConfig()
			cfg.Logger = slog.New(book)
			cfg.GetConfigForClient = tc.f
			inBubble(t, cfg, nil, func(t *testing.T, w *world) {
				_, err := w.client.Dial(t.Context(), serverAddr, nil)
				requireTransportError(t, err, tc.code, true)
				var te *TransportError
				require.ErrorAs(t, err, &te)
				require.Equal(t, tc.reason, te.Reason)
				require.Len(t, book.at(slog.LevelWarn), tc.warns)
			})
		})
	}
	ignoring := serverConfig()
	ignoring.GetConfigForClient = func(ClientInfo) (*Config, error) { return nil, ErrIgnore }
	inBubble(t, ignoring, nil, func(t *testing.T, w *world) {
		_, err := w.client.Dial(t.Context(), serverAddr, nil)
		require.ErrorIs(t, err, ErrHandshakeTimeout)
	})
}

// Accept comes first, and RequirePQ of the Endpoint applies to a client's TLS configuration as well.
func TestGetConfigForClientKeepsPolicies(t *testing.T) {
	cfg := serverConfig()
	cfg.TLS.RequirePQ = true
	lax := serverConfig().TLS
	calls := ""
	cfg.Accept = func(ClientInfo) error { calls += "accept "; return nil }
	cfg.GetConfigForClient = func(ClientInfo) (*Config, error) { calls += "config "; return &Config{TLS: lax}, nil }
	classical := clientConfig()
	classical.TLS.Groups = []tlsprovider.Group{tlsprovider.X25519}
	inBubble(t, cfg, classical, func(t *testing.T, w *world) {
		_, err := w.client.Dial(context.Background(), serverAddr, nil)
		requireTransportError(t, err, 0x100+TransportErrorCode(tlsprovider.AlertInsufficientSecurity), true)
		require.Equal(t, "accept config ", calls)
	})
}
