//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"log/slog"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
)

// dialForTicket dials, waits for the server's ticket, and reports whether the session was resumed.
func (w *world) dialForTicket(cfg *Config) bool {
	w.Helper()
	conn, err := w.client.Dial(w.Context(), serverAddr, cfg)
	require.NoError(w, err)
	advance(time.Second)
	require.NoError(w, conn.Close())
	return conn.ConnectionState().TLS.Resumed
}

// Connections that are dialed with the same TLS configuration resume, whether or not it is the Endpoint's.
func TestDialWithItsOwnConfigResumes(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		cfg := clientConfig()
		require.False(t, w.dialForTicket(cfg))
		require.True(t, w.dialForTicket(cfg))
		copied := *cfg
		copied.KeepAlivePeriod = time.Second
		require.True(t, w.dialForTicket(&copied), "the store belongs to the pointer TLS")
		require.False(t, w.dialForTicket(nil), "the Endpoint's own configuration has its own store")
		require.True(t, w.dialForTicket(nil))
	})
}

// An Endpoint that dials with a new configuration each time prepares each one, and closes old ones when
// their handshakes have ended.
func TestDialWithManyConfigs(t *testing.T) {
	closed := func(e tlsprovider.Endpoint) bool {
		s, err := e.NewSession(tlsprovider.SessionParams{Version: 1, ServerName: "localhost"})
		if err == nil {
			s.Close()
		}
		return err != nil
	}
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		first := clientConfig()
		w.net.SetDrop(func(_, _ netip.AddrPort, _ []byte) bool { return true })
		dialed := start(func() error { _, err := w.client.Dial(t.Context(), serverAddr, first); return err })
		synctest.Wait()
		held, err := w.client.tls.client(first.TLS)
		require.NoError(t, err)
		held.Close()
		w.net.SetDrop(nil)
		var prepared []tlsprovider.Endpoint
		for range maxClientTLS + 1 {
			cfg := clientConfig()
			p, err := w.client.tls.client(cfg.TLS)
			require.NoError(t, err)
			_, err = w.client.Dial(t.Context(), serverAddr, cfg)
			require.NoError(t, err)
			prepared = append(prepared, p.te)
			p.Close()
		}
		for i, e := range prepared {
			require.Equal(t, i == 0, closed(e), "of those without a handshake, the newest %d stay", maxClientTLS)
		}
		require.False(t, closed(held.te), "a handshake holds it")
		require.NoError(t, <-dialed)
		require.True(t, closed(held.te))
	})
}

func TestDialRefusesAnotherProvider(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		cfg := clientConfig()
		cfg.Provider = native.New()
		_, err := w.client.Dial(t.Context(), serverAddr, cfg)
		require.ErrorContains(t, err, "quic: Config.Provider (native) is not the Endpoint's (native)")
		cfg.Provider = struct {
			tlsprovider.Provider
			uncomparable []int
		}{Provider: w.client.cfg.Provider}
		_, err = w.client.Dial(t.Context(), serverAddr, cfg)
		require.ErrorContains(t, err, "quic: Config.Provider")
		cfg.Provider = w.client.cfg.Provider
		_, err = w.client.Dial(t.Context(), serverAddr, cfg)
		require.NoError(t, err)
	})
}

// If a server reloads its configuration without TicketKeys, a message warns that its clients lose their
// sessions.
func TestReloadWithoutTicketKeys(t *testing.T) {
	for _, keys := range [][][]byte{nil, {pattern(32, 1)}} {
		current, book := serverConfig().TLS, new(logBook)
		current.TicketKeys = keys
		cfg := &Config{Logger: slog.New(book)}
		cfg.GetTLSConfig = func(*tlsprovider.ClientHello) (*tlsprovider.Config, error) { return current, nil }
		inBubble(t, cfg, nil, func(t *testing.T, w *world) {
			require.False(t, w.dialForTicket(nil))
			require.True(t, w.dialForTicket(nil))
			require.Empty(t, book.at(slog.LevelWarn))
			reloaded := *current
			current = &reloaded
			require.Equal(t, keys != nil, w.dialForTicket(nil))
			if keys != nil {
				require.Empty(t, book.at(slog.LevelWarn))
				return
			}
			warnings := book.at(slog.LevelWarn)
			require.Len(t, warnings, 1)
			require.Contains(t, warnings[0], "without TicketKeys")
		})
	}
}

// SetTLS without TicketKeys warns as well, unless the server has no sessions that end by it.
func TestSetTLSWithoutTicketKeys(t *testing.T) {
	for name, tt := range map[string]struct {
		old, now func(*tlsprovider.Config)
		ends     bool
	}{
		"without":          {ends: true},
		"without any more": {old: func(c *tlsprovider.Config) { c.TicketKeys = [][]byte{pattern(32, 1)} }, ends: true},
		"with":             {now: func(c *tlsprovider.Config) { c.TicketKeys = [][]byte{pattern(32, 1)} }},
		"no tickets":       {now: func(c *tlsprovider.Config) { c.DisableTickets = true }},
		"there were none":  {old: func(c *tlsprovider.Config) { c.DisableTickets = true }},
		"of another role":  {now: func(c *tlsprovider.Config) { c.Certificates = nil }},
	} {
		t.Run(name, func(t *testing.T) {
			book, old := new(logBook), *serverConfig().TLS
			if tt.old != nil {
				tt.old(&old)
			}
			now := *serverConfig().TLS
			if tt.now != nil {
				tt.now(&now)
			}
			inBubble(t, &Config{Logger: slog.New(book), TLS: &old}, nil, func(t *testing.T, w *world) {
				set := w.server.SetTLS
				if now.Certificates == nil {
					set = w.server.SetClientTLS
				}
				require.NoError(t, set(&now))
				warnings := book.at(slog.LevelWarn)
				if !tt.ends {
					require.Empty(t, warnings)
					return
				}
				require.Len(t, warnings, 1)
				require.Contains(t, warnings[0], "SetTLS with a Config without TicketKeys")
			})
		})
	}
}

// The function Dial, which makes an Endpoint for each connection, resumes with a ClientStore.
func TestDialWithStoreResumes(t *testing.T) {
	cfg := serverConfig()
	l, err := Listen("udp", "127.0.0.1:0", cfg)
	require.NoError(t, err)
	defer l.Endpoint().Close()
	store := tlsprovider.NewClientStore(0, 0)
	tls := *clientConfig().TLS
	tls.ClientStore = store
	for i := range 3 {
		conn, err := Dial(t.Context(), "udp", l.Addr().String(), &Config{TLS: &tls, ServerName: "localhost"})
		require.NoError(t, err)
		require.Equal(t, i > 0, conn.ConnectionState().TLS.Resumed)
		// The server's first bytes follow its ticket.
		accepted, err := l.Accept(t.Context())
		require.NoError(t, err)
		stream, err := accepted.OpenUniStream(t.Context())
		require.NoError(t, err)
		require.NoError(t, stream.Close())
		_, err = conn.AcceptUniStream(t.Context())
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			saved, err := store.MarshalBinary()
			return err == nil && len(saved) > 1
		}, 10*time.Second, time.Millisecond)
		require.NoError(t, conn.Close())
	}
}

// Servers replace their ticket keys without a restart. Sessions stay valid while their key is known.
func TestSetTicketKeys(t *testing.T) {
	one, two := pattern(32, 1), pattern(32, 2)
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		require.NoError(t, w.server.SetTicketKeys([][]byte{one}))
		require.False(t, w.dialForTicket(nil))
		require.NoError(t, w.server.SetTicketKeys([][]byte{two, one}))
		require.True(t, w.dialForTicket(nil))
		require.NoError(t, w.server.SetTicketKeys([][]byte{two}))
		require.True(t, w.dialForTicket(nil), "the newer key sealed the last ticket")
		require.NoError(t, w.server.SetTicketKeys([][]byte{one}))
		require.False(t, w.dialForTicket(nil))
		require.ErrorContains(t, w.server.SetTicketKeys([][]byte{{1}}), "ticket key 0 has 1 bytes")
		require.NoError(t, w.server.Close())
		require.ErrorIs(t, w.server.SetTicketKeys([][]byte{one}), ErrEndpointClosed)
	})
}
