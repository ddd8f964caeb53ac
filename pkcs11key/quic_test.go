package pkcs11key

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/s2n"
)

const proto = "pkcs11key-test"

// patience is a timeout that no machine is too slow for.
const patience = 10 * time.Minute

// eachProvider runs a test with every provider that is linked.
func eachProvider(t *testing.T, test func(*testing.T, tlsprovider.Provider)) {
	t.Run("native", func(t *testing.T) { test(t, native.New()) })
	t.Run("s2n", func(t *testing.T) {
		p, err := s2n.New()
		if errors.Is(err, s2n.ErrNotLinked) && os.Getenv("PQQUIC_REQUIRE_LINKED") == "" {
			t.Skip("NOT CHECKED: the s2n provider is not linked: run scripts/build")
		}
		require.NoError(t, err)
		test(t, p)
	})
}

// echoServer echoes the streams of clients until the test ends.
func echoServer(t *testing.T, cfg *quic.Config) *quic.Listener {
	l, err := quic.Listen("udp", "127.0.0.1:0", cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Endpoint().Close()) })
	go func() {
		for {
			conn, err := l.Accept(context.Background())
			if err != nil {
				return
			}
			conn.HandleStreams(func(s *quic.Stream) {
				defer s.Close()
				_, _ = io.Copy(s, s)
			}, nil)
		}
	}()
	return l
}

// echo sends a line through a connection and back.
func echo(conn *quic.Conn) error {
	stream, err := conn.OpenStream(context.Background())
	if err != nil {
		return err
	}
	if _, err := io.WriteString(stream, "hello"); err != nil {
		return err
	}
	if err := stream.CloseWrite(); err != nil {
		return err
	}
	got, err := io.ReadAll(stream)
	if err == nil && string(got) != "hello" {
		err = fmt.Errorf("the server echoed %q", got)
	}
	return err
}

// The keys of servers and of clients are in a token, of every kind that both providers have.
func TestHandshakes(t *testing.T) {
	s := newSoftToken(t)
	schemes := map[keyKind]tls.SignatureScheme{
		p256: tls.ECDSAWithP256AndSHA256, p384: tls.ECDSAWithP384AndSHA384, p521: tls.ECDSAWithP521AndSHA512, rsa2048: tls.PSSWithSHA256,
	}
	n := byte(0)
	for kind := range schemes {
		s.generate(kind, string(kind), n)
		n++
	}
	token := s.open()
	eachProvider(t, func(t *testing.T, p tlsprovider.Provider) {
		for kind, scheme := range schemes {
			t.Run(string(kind), func(t *testing.T) {
				key, err := token.Key(string(kind), nil)
				require.NoError(t, err)
				cert, roots := identity(t, key)
				l := echoServer(t, &quic.Config{Provider: p, TLS: &tlsprovider.Config{
					NextProtos: []string{proto}, Certificates: []tlsprovider.Certificate{cert},
					ClientAuth: tlsprovider.RequireClientCert, ClientCAs: roots,
				}})
				conn, err := quic.Dial(t.Context(), "udp", l.Addr().String(), &quic.Config{
					Provider: p, ServerName: "localhost",
					TLS: &tlsprovider.Config{NextProtos: []string{proto}, RootCAs: roots, Certificates: []tlsprovider.Certificate{cert}},
				})
				require.NoError(t, err)
				require.NoError(t, echo(conn), "the server has accepted the client's certificate")
				state := conn.ConnectionState().TLS
				require.EqualValues(t, scheme, state.SignatureScheme)
				require.Equal(t, tlsprovider.X25519MLKEM768, state.Group)
				require.Equal(t, cert.Chain, state.PeerChain)
				require.NoError(t, conn.Close())
			})
		}
	})
}

// The key of a tls.Config can be in a token as well.
func TestTLSConfig(t *testing.T) {
	s := newSoftToken(t)
	s.generate(p256, "key", 1)
	key, err := s.open().Key("key", nil)
	require.NoError(t, err)
	cert, roots := identity(t, key)
	cfg, err := tlsprovider.FromTLSConfig(&tls.Config{
		NextProtos: []string{proto}, MinVersion: tls.VersionTLS13,
		Certificates: []tls.Certificate{{Certificate: cert.Chain, PrivateKey: key}},
	})
	require.NoError(t, err)
	l := echoServer(t, &quic.Config{TLS: cfg})
	conn, err := quic.Dial(t.Context(), "udp", l.Addr().String(), &quic.Config{
		ServerName: "localhost", TLS: &tlsprovider.Config{NextProtos: []string{proto}, RootCAs: roots},
	})
	require.NoError(t, err)
	require.NoError(t, echo(conn))
	require.NoError(t, conn.Close())
}

// A gate lets calls of Sign wait until it opens.
type gate struct {
	*Key
	open    chan struct{}
	waiting atomic.Int32
}

func (g *gate) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	g.waiting.Add(1)
	<-g.open
	return g.Key.Sign(rand, digest, opts)
}

// While a thousand handshakes wait for a token over real sockets, an established connection exchanges data, and clients
// of another certificate connect. When the token answers, the thousand connect as well.
func TestThousandHandshakesWaitForToken(t *testing.T) {
	s := newSoftToken(t)
	s.generate(p256, "slow", 1)
	s.generate(p256, "other", 2)
	s.cfg.SessionTimeout = patience
	token := s.open()
	slow, err := token.Key("slow", nil)
	require.NoError(t, err)
	other, err := token.Key("other", nil)
	require.NoError(t, err)
	slowCert, slowRoots := identity(t, slow)
	otherCert, otherRoots := identity(t, other)
	waiting := 1000
	if testing.Short() {
		waiting = 100
	}
	eachProvider(t, func(t *testing.T, p tlsprovider.Provider) {
		g := &gate{Key: slow, open: make(chan struct{})}
		slowCert.Signer = g
		config := func(proto string, cert tlsprovider.Certificate) *tlsprovider.Config {
			return &tlsprovider.Config{NextProtos: []string{proto}, Certificates: []tlsprovider.Certificate{cert}}
		}
		slowTLS := config("slow", slowCert)
		l := echoServer(t, &quic.Config{
			Provider: p, TLS: config(proto, otherCert), SignTimeout: patience, HandshakeTimeout: patience, MaxIdleTimeout: patience,
			MaxSigners: 200, AcceptBacklog: 2 * waiting,
			GetTLSConfig: func(h *tlsprovider.ClientHello) (*tlsprovider.Config, error) {
				if h.ALPN[0] == "slow" {
					return slowTLS, nil
				}
				return nil, nil
			},
		})
		dial := func(proto string, roots *tlsprovider.Roots) (*quic.Conn, error) {
			return quic.Dial(t.Context(), "udp", l.Addr().String(), &quic.Config{
				Provider: p, ServerName: "localhost", HandshakeTimeout: patience, MaxIdleTimeout: patience,
				TLS: &tlsprovider.Config{NextProtos: []string{proto}, RootCAs: roots},
			})
		}
		established, err := dial(proto, otherRoots)
		require.NoError(t, err)
		results := make(chan error, waiting)
		const batch = 50 // a server refuses clients that wait for TLS for too long, as many would on a slow machine
		for n := batch; n <= waiting; n += batch {
			for range batch {
				go func() {
					conn, err := dial("slow", slowRoots)
					if err == nil {
						err = errors.Join(echo(conn), conn.CloseWithError(0, ""))
					}
					results <- err
				}()
			}
			require.Eventually(t, func() bool { return l.Endpoint().Stats().Signing == n || len(results) > 0 }, patience, time.Millisecond)
			require.Empty(t, results, "a handshake has ended")
		}
		require.EqualValues(t, 100, g.waiting.Load(), "half of MaxSigners")
		for range 10 {
			require.NoError(t, echo(established))
			conn, err := dial(proto, otherRoots)
			require.NoError(t, err)
			require.NoError(t, echo(conn))
			require.NoError(t, conn.Close())
		}
		require.Equal(t, waiting, l.Endpoint().Stats().Signing, "all of them have waited meanwhile")
		close(g.open)
		for range waiting {
			require.NoError(t, <-results)
		}
		require.Zero(t, l.Endpoint().Stats().Signing)
		require.NoError(t, established.Close())
	})
}

// A handshake whose token fails ends with the token's error.
func TestHandshakeWithoutToken(t *testing.T) {
	s := newSoftToken(t)
	s.generate(p256, "key", 1)
	token := s.open()
	key, err := token.Key("key", nil)
	require.NoError(t, err)
	cert, roots := identity(t, key)
	token.Close()
	eachProvider(t, func(t *testing.T, p tlsprovider.Provider) {
		var log lockedBuffer
		l := echoServer(t, &quic.Config{Provider: p, Logger: slog.New(slog.NewTextHandler(&log, nil)), TLS: &tlsprovider.Config{
			NextProtos: []string{proto}, Certificates: []tlsprovider.Certificate{cert},
		}})
		_, err = quic.Dial(t.Context(), "udp", l.Addr().String(), &quic.Config{
			Provider: p, ServerName: "localhost", TLS: &tlsprovider.Config{NextProtos: []string{proto}, RootCAs: roots},
		})
		var te *quic.TransportError
		require.ErrorAs(t, err, &te)
		require.Equal(t, 0x100+quic.TransportErrorCode(tlsprovider.AlertInternalError), te.Code)
		require.NoError(t, l.Endpoint().Close())
		require.Contains(t, log.String(), ErrClosed.Error())
	})
}

// A lockedBuffer is the output of a logger that several goroutines use.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
