//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cgo/awslc"
	"github.com/pqquic/pqquic/internal/testcert"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/certwatch"
	"github.com/pqquic/pqquic/tlsprovider/native"
)

// An identities has certificates of a server that is replaced, and roots for all of them.
type identities struct {
	old, renewed, other *testcert.Certificate
	roots, otherRoots   *tlsprovider.Roots // otherRoots trust only the certificate other
	pool                *x509.CertPool
}

var testIdentities = sync.OnceValue(func() *identities {
	first, second := testcert.New("first authority"), testcert.New("second authority")
	one, two := testcert.New().Key, testcert.New().Key
	i := &identities{
		old: first.Issue(one, "localhost"), renewed: first.Issue(one, "localhost"), other: second.Issue(two, "localhost"),
		roots: first.Roots(), otherRoots: second.Roots(), pool: first.Pool(),
	}
	i.roots.AddDER(second.X509.Raw)
	return i
})

// serverTLS returns a server's configuration with one certificate. All have the same ticket keys.
func serverTLS(c *testcert.Certificate) *tlsprovider.Config {
	return &tlsprovider.Config{
		NextProtos: []string{testProto}, Certificates: []tlsprovider.Certificate{c.Provider()}, TicketKeys: [][]byte{pattern(32, 1)},
	}
}

// withIdentities runs a test with each provider, a server with the old identity, and a client that trusts all.
func withIdentities(t *testing.T, test func(*testing.T, *world, *identities)) {
	ids := testIdentities()
	eachProvider(t, func(t *testing.T, p tlsprovider.Provider) {
		server, client := &Config{Provider: p, TLS: serverTLS(ids.old)}, clientConfig()
		client.Provider, client.TLS.RootCAs = p, ids.roots
		inBubble(t, server, client, func(t *testing.T, w *world) { test(t, w, ids) })
	})
}

// requireServer dials, waits for a ticket, and requires the certificate of the server, or that a session is resumed if cert
// is nil.
func (w *world) requireServer(cert *testcert.Certificate, why string) {
	w.Helper()
	conn, err := w.client.Dial(w.Context(), serverAddr, nil)
	require.NoError(w, err, why)
	advance(time.Second)
	s := conn.ConnectionState().TLS
	require.Equal(w, cert == nil, s.Resumed, why)
	if cert != nil {
		require.Equal(w, [][]byte{cert.X509.Raw}, s.PeerChain, why)
	}
	require.NoError(w, conn.Close())
}

// collect replaces the client's sessions by one of a full handshake, because a session is used once and a server may send no
// ticket on a resumed connection.
func (w *world) collect(cert *testcert.Certificate) {
	w.Helper()
	own := *w.client.tls.own.Load().cfg.TLS
	require.NoError(w, w.client.SetTLS(&own))
	w.requireServer(cert, "a client without sessions")
}

// New connections have the certificates of SetTLS. Sessions resume only if the new certificate has the same key and names,
// and a configuration that is not valid changes nothing.
func TestSetTLS(t *testing.T) {
	withIdentities(t, func(t *testing.T, w *world, ids *identities) {
		client, server := w.connect()
		c, s := w.stream(client, server)
		w.collect(ids.old)
		w.requireServer(nil, "the same configuration")
		w.collect(ids.old)
		require.NoError(t, w.server.SetTLS(serverTLS(ids.renewed)))
		w.requireServer(nil, "renewed with the same key")
		w.collect(ids.renewed)
		require.NoError(t, w.server.SetTLS(serverTLS(ids.other)))
		w.requireServer(ids.other, "the session was with another identity")
		w.requireServer(nil, "and this one with the present identity")
		w.collect(ids.other)

		wrong := serverTLS(ids.old)
		wrong.Certificates[0].KeyDER = ids.other.KeyDER
		noProto := serverTLS(ids.old)
		noProto.NextProtos = nil
		shortKey := serverTLS(ids.old)
		shortKey.TicketKeys = [][]byte{{1}}
		for _, tc := range []struct {
			cfg  *tlsprovider.Config
			want string
		}{
			{nil, "is nil"}, {wrong, "does not belong"}, {noProto, "no application protocol"}, {shortKey, "ticket key 0 has 1 bytes"},
			{&tlsprovider.Config{NextProtos: []string{testProto}}, "Certificates is empty"},
			{&tlsprovider.Config{NextProtos: []string{testProto}, DeferCertificates: true}, "GetTLSConfig is nil"},
		} {
			require.ErrorContains(t, w.server.SetTLS(tc.cfg), tc.want)
		}
		w.requireServer(nil, "nothing has changed")
		w.collect(ids.other)
		require.NoError(t, w.server.SetTicketKeys([][]byte{pattern(32, 2)}))
		w.requireServer(ids.other, "the key of the ticket is gone")
		w.requireServer(nil, "SetTicketKeys applies to the configuration of SetTLS")
		requireTransfer(t, c, s, 100_000) // the first connection has not noticed anything
		require.NoError(t, w.server.Close())
		require.ErrorIs(t, w.server.SetTLS(serverTLS(ids.old)), ErrEndpointClosed)
	})
}

// A client trusts the roots of SetTLS and SetClientTLS for new connections. Its sessions belong to the roots with which the
// server was verified, even if they are in a store that all configurations share.
func TestSetTLSOfClient(t *testing.T) {
	for name, set := range map[string]func(*Endpoint, *tlsprovider.Config) error{
		"SetTLS": (*Endpoint).SetTLS, "SetClientTLS": (*Endpoint).SetClientTLS,
	} {
		t.Run(name, func(t *testing.T) {
			withIdentities(t, func(t *testing.T, w *world, ids *identities) {
				store := tlsprovider.NewClientStore(0, 0)
				trust := func(roots *tlsprovider.Roots) error {
					return set(w.client, &tlsprovider.Config{NextProtos: []string{testProto}, RootCAs: roots, ClientStore: store})
				}
				w.requireServer(ids.old, "at first")
				require.NoError(t, trust(ids.roots))
				w.requireServer(ids.old, "the sessions are in another store")
				w.requireServer(nil, "and now in this one")
				require.NoError(t, trust(ids.otherRoots))
				_, err := w.client.Dial(t.Context(), serverAddr, nil)
				var te *TransportError
				require.ErrorAs(t, err, &te)
				require.False(t, te.Remote, "the client refuses the authority that it trusted before: %v", err)

				require.ErrorContains(t, trust(new(tlsprovider.Roots)), "the set is empty")
				require.ErrorContains(t, set(w.client, new(tlsprovider.Config)), "no application protocol")
				require.NoError(t, w.server.SetTLS(serverTLS(ids.other)))
				w.requireServer(ids.other, "the authority that the last valid configuration trusts")
			})
		})
	}
}

// The sessions in a program's cache, which several configurations of crypto/tls may have, belong to the client's certificate.
func TestSetTLSWithSharedSessionCache(t *testing.T) {
	ids := testIdentities()
	cache := tls.NewLRUClientSessionCache(8)
	cfg := func(c *testcert.Certificate) *tlsprovider.Config {
		own := &tls.Config{NextProtos: []string{testProto}, RootCAs: ids.pool, ClientSessionCache: cache}
		if c != nil {
			own.Certificates = []tls.Certificate{c.TLS()}
		}
		out, err := tlsprovider.FromTLSConfig(own)
		require.NoError(t, err)
		return out
	}
	inBubble(t, &Config{TLS: serverTLS(ids.old)}, &Config{TLS: cfg(nil), ServerName: "localhost"}, func(t *testing.T, w *world) {
		w.requireServer(ids.old, "at first")
		require.NoError(t, w.client.SetTLS(cfg(nil)))
		w.requireServer(nil, "the same again")
		require.NoError(t, w.client.SetTLS(cfg(ids.other)))
		w.requireServer(ids.old, "another client")
	})
}

// A blockedKey is a private key whose methods wait until open is closed.
type blockedKey struct {
	crypto.Signer
	asked chan struct{} // receives a value for each call
	open  chan struct{}
}

func newBlockedKey(c *testcert.Certificate) blockedKey {
	return blockedKey{c.Key, make(chan struct{}, 100), make(chan struct{})}
}

func (k blockedKey) Public() crypto.PublicKey {
	k.asked <- struct{}{}
	<-k.open
	return k.Signer.Public()
}

// A blockedSigner is a blockedKey that blocks only when it signs.
type blockedSigner struct{ blockedKey }

func (k blockedSigner) Public() crypto.PublicKey { return k.Signer.Public() }

func (k blockedSigner) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	k.asked <- struct{}{}
	<-k.open
	return k.Signer.Sign(r, digest, opts)
}

// SetTLS prepares a configuration outside of locks: connections are accepted meanwhile, and later changes do not wait.
func TestSetTLSPreparesOutsideOfLocks(t *testing.T) {
	withIdentities(t, func(t *testing.T, w *world, ids *identities) {
		key := newBlockedKey(ids.other)
		cfg := serverTLS(ids.other)
		cfg.Certificates[0].KeyDER, cfg.Certificates[0].Signer = nil, key
		done := start(func() error { return w.server.SetTLS(cfg) })
		<-key.asked
		w.requireServer(ids.old, "the preparation is not complete")
		require.NoError(t, w.server.SetTLS(serverTLS(ids.renewed)))
		require.NoError(t, w.server.SetTicketKeys([][]byte{pattern(32, 3)}))
		w.requireServer(ids.renewed, "another change was faster")
		close(key.open)
		require.NoError(t, <-done)
		w.requireServer(ids.other, "the last change to be prepared holds")
	})
}

// Handshakes that have begun are completed with the configuration before, which is released with the last of them.
func TestSetTLSDuringHandshakes(t *testing.T) {
	withIdentities(t, func(t *testing.T, w *world, ids *identities) {
		key := blockedSigner{newBlockedKey(ids.old)}
		cfg := serverTLS(ids.old)
		cfg.Certificates[0].KeyDER, cfg.Certificates[0].Signer = nil, key
		require.NoError(t, w.server.SetTLS(cfg))
		old := w.server.serving.Load().tls
		dialed := start(func() [][]byte {
			c, err := w.client.Dial(t.Context(), serverAddr, nil)
			require.NoError(t, err)
			return c.ConnectionState().TLS.PeerChain
		})
		<-key.asked
		require.NoError(t, w.server.SetTLS(serverTLS(ids.other)))
		require.Equal(t, int64(1), old.refs.Load(), "the handshake's")
		w.requireServer(ids.other, "a handshake that began later")
		close(key.open)
		require.Equal(t, [][]byte{ids.old.X509.Raw}, <-dialed)
		advance(time.Second)
		require.Zero(t, old.refs.Load())
		_, err := old.te.NewSession(tlsprovider.SessionParams{Version: 1})
		require.ErrorContains(t, err, "closed")
	})
}

// A configuration of SetTLS can demand more than the one before, also of the configurations of GetTLSConfig, and can change
// the application protocol.
func TestSetTLSDemandsMore(t *testing.T) {
	other := serverConfig().TLS
	server, client := serverConfig(), clientConfig()
	server.GetTLSConfig = func(*tlsprovider.ClientHello) (*tlsprovider.Config, error) { return other, nil }
	client.TLS.Groups = []tlsprovider.Group{tlsprovider.P256}
	inBubble(t, server, client, func(t *testing.T, w *world) {
		w.connect()
		strict := serverConfig().TLS
		strict.RequirePQ = true
		require.NoError(t, w.server.SetTLS(strict))
		_, err := w.client.Dial(t.Context(), serverAddr, nil)
		requireTransportError(t, err, 0x147, true) // insufficient_security
		require.NoError(t, w.server.SetTLS(serverConfig().TLS))
		w.connect()
	})
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		w.connect()
		next := serverConfig().TLS
		next.NextProtos = []string{"next"}
		require.NoError(t, w.server.SetTLS(next))
		_, err := w.client.Dial(t.Context(), serverAddr, nil)
		requireTransportError(t, err, 0x178, true) // no_application_protocol
		own := *clientConfig().TLS
		own.NextProtos = []string{"next"}
		require.NoError(t, w.client.SetTLS(&own))
		c, _ := w.connect()
		require.Equal(t, "next", c.ConnectionState().TLS.ALPN)
		verifies := serverConfig().TLS
		verifies.VerifyPeer = func(*tlsprovider.State) error { return nil }
		w.server.tls.own.Load().cfg.EnableHalfRTT = true
		require.ErrorContains(t, w.server.SetTLS(verifies), "EnableHalfRTT")
	})
}

// GetConfigForClient follows SetTLS if it returns no TLS of its own.
func TestSetTLSWithGetConfigForClient(t *testing.T) {
	ids := testIdentities()
	server, client := &Config{TLS: serverTLS(ids.old)}, clientConfig()
	client.TLS.RootCAs, client.TLS.DisableTickets = ids.roots, true
	chosen := new(Config)
	server.GetConfigForClient = func(ClientInfo) (*Config, error) { return chosen, nil }
	inBubble(t, server, client, func(t *testing.T, w *world) {
		w.requireServer(ids.old, "at first")
		require.NoError(t, w.server.SetTLS(serverTLS(ids.other)))
		w.requireServer(ids.other, "no TLS of its own")
		chosen = &Config{TLS: serverTLS(ids.renewed)}
		w.requireServer(ids.renewed, "a TLS of its own")
	})
}

// SetTLS permits early data and forbids them. Early data that come with a session of another identity are rejected, sent
// again by the client, and not lost.
func TestSetTLSAndEarlyData(t *testing.T) {
	ids := testIdentities()
	early := func(c *testcert.Certificate) *tlsprovider.Config {
		cfg := serverTLS(c)
		cfg.EarlyData = true
		return cfg
	}
	client := clientConfig()
	client.TLS.RootCAs, client.TLS.EarlyData = ids.roots, true
	inBubble(t, &Config{TLS: serverTLS(ids.old)}, client, func(t *testing.T, w *world) {
		request := func(want tlsprovider.EarlyDataState) {
			t.Helper()
			c, _, _, s := w.earlyStream()
			got, err := io.ReadAll(s)
			require.NoError(t, err)
			require.Equal(t, "request", string(got))
			advance(time.Second)
			require.Equal(t, want, c.ConnectionState().TLS.EarlyData)
			require.NoError(t, c.Close())
		}
		require.NoError(t, w.server.SetTLS(early(ids.old)))
		request(tlsprovider.EarlyDataNone)
		request(tlsprovider.EarlyDataAccepted)
		require.NoError(t, w.server.SetTLS(early(ids.other)))
		request(tlsprovider.EarlyDataRejected)
		request(tlsprovider.EarlyDataAccepted)
		require.NoError(t, w.server.SetTLS(serverTLS(ids.other)))
		request(tlsprovider.EarlyDataRejected)
	})
}

// SetTLS may be called at any time by several goroutines, also while the Endpoint begins to listen, dials and closes.
func TestSetTLSConcurrently(t *testing.T) {
	ids := testIdentities()
	eachProvider(t, func(t *testing.T, p tlsprovider.Provider) {
		before := awslc.Live().Handles
		for range 10 {
			l, err := Listen("udp", "127.0.0.1:0", &Config{Provider: p, TLS: serverTLS(ids.old)})
			require.NoError(t, err)
			e := l.Endpoint()
			var wg sync.WaitGroup
			for _, c := range []*testcert.Certificate{ids.old, ids.other} {
				wg.Go(func() {
					for range 5 {
						if err := errors.Join(e.SetTLS(serverTLS(c)), e.SetClientTLS(clientConfig().TLS)); err != nil &&
							!errors.Is(err, ErrEndpointClosed) {
							t.Error(err)
						}
						_, _ = e.Dial(canceled(), "127.0.0.1:1", nil)
					}
				})
			}
			wg.Go(func() {
				require.NoError(t, l.Close())
				if _, err := e.Listen(); err != nil && !errors.Is(err, net.ErrClosed) {
					t.Error(err)
				}
				e.Close()
			})
			wg.Wait()
			e.Close()
		}
		require.Equal(t, before, awslc.Live().Handles)
	})
}

// swapUnderLoad replaces the certificate n times while others dial and transfer.
func swapUnderLoad(t *testing.T, server *Endpoint, l *Listener, dial func(i int) (*Conn, error), n int) {
	ids := testIdentities()
	var serving, dialing sync.WaitGroup
	serveConns(&serving, l, echoConn)
	done := make(chan struct{})
	chains := make(map[string]bool)
	var mu sync.Mutex
	conns := 0
	for i := range 4 {
		dialing.Go(func() {
			for !isClosed(done) {
				conn, err := dial(i)
				if err != nil {
					t.Errorf("dial: %v", err)
					return
				}
				if err := echo(conn, 20_000, byte(i)); err != nil {
					t.Errorf("echo: %v", err)
				}
				mu.Lock()
				if conns++; !conn.ConnectionState().TLS.Resumed {
					chains[string(conn.ConnectionState().TLS.PeerChain[0])] = true
				}
				mu.Unlock()
				conn.CloseWithError(0, "")
			}
		})
	}
	for i := range n {
		cert := []*testcert.Certificate{ids.other, ids.old}[i%2]
		require.NoError(t, server.SetTLS(serverTLS(cert)))
		time.Sleep(7 * time.Millisecond) // on the fake clock: the handshakes are in every state
	}
	close(done)
	dialing.Wait()
	require.NoError(t, l.Close())
	require.NoError(t, server.Close())
	serving.Wait()
	require.Greater(t, conns, n/2)
	require.Len(t, chains, 2, "connections have seen both certificates")
}

// No handshake and no transfer fails while the certificate is replaced 100 times, whether the Endpoint has one loop or two.
func TestSetTLSUnderLoad(t *testing.T) {
	ids := testIdentities()
	eachProvider(t, func(t *testing.T, p tlsprovider.Provider) {
		server, client := &Config{Provider: p, TLS: serverTLS(ids.old)}, clientConfig()
		client.Provider, client.TLS.RootCAs = p, ids.roots
		t.Run("one loop", func(t *testing.T) {
			inBubble(t, server, client, func(t *testing.T, w *world) {
				swapUnderLoad(t, w.server, w.listener, func(int) (*Conn, error) { return w.client.Dial(t.Context(), serverAddr, nil) }, 100)
			})
		})
		t.Run("two loops", func(t *testing.T) {
			withLoops(t, server, func(t *testing.T, w *loopsWorld) {
				var clients []*Endpoint
				for i := range 4 {
					clients = append(clients, w.clientAt(i, client))
				}
				swapUnderLoad(t, w.server, w.listener, func(i int) (*Conn, error) { return clients[i].Dial(t.Context(), serverAddr, nil) }, 100)
			})
		})
	})
}

// Servers that watch the same files resume each other's sessions, while the files are replaced one after the other.
func TestWatchedFilesOfAFleet(t *testing.T) {
	ids := testIdentities()
	dir := t.TempDir()
	cert, key, err := ids.old.Write(dir)
	require.NoError(t, err)
	tickets := filepath.Join(dir, "tickets")
	writeKeys := func(seeds ...byte) {
		var b []byte
		for _, seed := range seeds {
			b = fmt.Appendf(b, "%x\n", pattern(32, seed))
		}
		require.NoError(t, os.WriteFile(tickets, b, 0o600))
	}
	eachProvider(t, func(t *testing.T, p tlsprovider.Provider) {
		writeKeys(1)
		files := certwatch.Config{
			Base:           &tlsprovider.Config{NextProtos: []string{testProto}},
			Certificates:   []certwatch.Certificate{{CertFile: cert, KeyFile: key}},
			TicketKeysFile: tickets,
			Report:         func(err error) { require.NoError(t, err) },
		}
		client := clientConfig()
		client.Provider, client.TLS.RootCAs = p, ids.roots
		initial, err := certwatch.Open(files)
		require.NoError(t, err)
		inBubble(t, &Config{Provider: p, TLS: initial.TLS()}, client, func(t *testing.T, w *world) {
			const secondAddr = "10.0.0.9:4433"
			second, err := certwatch.Open(files)
			require.NoError(t, err)
			e, err := NewEndpoint(w.net.Listen(secondAddr), &Config{Provider: p, TLS: second.TLS()})
			require.NoError(t, err)
			defer e.Close()
			_, err = e.Listen()
			require.NoError(t, err)
			first, err := certwatch.Open(files) // in the bubble
			require.NoError(t, err)
			first.Watch(w.server.SetTLS)
			defer first.Close()
			second.Watch(e.SetTLS)
			defer second.Close()
			resumes := func(from, to string) bool {
				t.Helper()
				own := *w.client.tls.own.Load().cfg.TLS
				require.NoError(t, w.client.SetTLS(&own)) // forget sessions
				conn, err := w.client.Dial(t.Context(), from, nil)
				require.NoError(t, err)
				advance(time.Second)
				require.NoError(t, conn.Close())
				conn, err = w.client.Dial(t.Context(), to, nil)
				require.NoError(t, err)
				defer conn.Close()
				return conn.ConnectionState().TLS.Resumed
			}
			require.True(t, resumes(serverAddr, secondAddr))
			for _, keys := range [][]byte{{1, 2}, {2, 1}, {2}} {
				writeKeys(keys...)
				advance(3 * certwatch.DefaultInterval)
				require.Equal(t, pattern(32, keys[0]), second.TLS().TicketKeys[0])
				require.True(t, resumes(serverAddr, secondAddr))
				require.True(t, resumes(secondAddr, serverAddr))
			}
			second.Close()
			writeKeys(3)
			advance(3 * certwatch.DefaultInterval)
			require.False(t, resumes(secondAddr, serverAddr), "only the first server has the new key")
		})
	})
}

// A thousand changes leave nothing behind.
func TestSetTLSReleasesEverything(t *testing.T) {
	ids := testIdentities()
	eachProvider(t, func(t *testing.T, p tlsprovider.Provider) {
		server, client := &Config{Provider: p, TLS: serverTLS(ids.old)}, clientConfig()
		client.Provider, client.TLS.RootCAs = p, ids.roots
		inBubble(t, server, client, func(t *testing.T, w *world) {
			round := func(i int) footprint {
				own := *client.TLS
				for j := range i {
					require.NoError(t, w.server.SetTLS(serverTLS([]*testcert.Certificate{ids.old, ids.other}[j%2])))
					require.NoError(t, w.client.SetTLS(&own))
					if j%50 == 0 {
						conn, err := w.client.Dial(t.Context(), serverAddr, nil)
						require.NoError(t, err)
						require.NoError(t, conn.Close())
					}
				}
				advance(time.Minute)
				var f footprint
				runtime.GC()
				f.c = awslc.Live()
				if n, ok := p.(*native.Provider); ok {
					f.handles, _ = n.Live()
				}
				return f
			}
			first := round(100)
			last := round(1000)
			require.Equal(t, first.handles, last.handles)
			require.Equal(t, first.c.Handles, last.c.Handles)
			// The library keeps some KB for each thread that has called it. A change that left 100 bytes would leave 100 KB.
			require.InDelta(t, first.c.TLSBytes, last.c.TLSBytes, 64<<10)
			require.InDelta(t, first.c.CryptoBytes, last.c.CryptoBytes, 64<<10)
		})
	})
}
