//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"context"
	"crypto"
	"crypto/tls"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
)

// A slowSigner answers after release.
type slowSigner struct {
	crypto.Signer
	answer         chan struct{}
	released       sync.Once
	calls, running atomic.Int32
}

func (s *slowSigner) release() { s.released.Do(func() { close(s.answer) }) }

func (s *slowSigner) Sign(rand io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	s.calls.Add(1)
	s.running.Add(1)
	defer s.running.Add(-1)
	<-s.answer
	return s.Signer.Sign(rand, digest, opts)
}

// newSlowSigner returns a Signer of the bubble that it is called in, with testPKI's key.
func newSlowSigner() *slowSigner {
	return &slowSigner{Signer: testPKI().Key, answer: make(chan struct{})}
}

// A signingWorld is a world whose server uses the Signer slow for clients of the protocol "slow", the Signer other for
// those of the protocol "other", and a key in memory for the rest.
type signingWorld struct {
	*world
	slow, other *slowSigner
}

func inSigningWorld(t *testing.T, server *Config, test func(*testing.T, *signingWorld)) {
	cc := clientConfig()
	cc.Provider = server.Provider
	var configs map[string]*tlsprovider.Config
	server.GetTLSConfig = func(h *tlsprovider.ClientHello) (*tlsprovider.Config, error) { return configs[h.ALPN[0]], nil }
	inBubble(t, server, cc, func(t *testing.T, w *world) {
		sw := &signingWorld{w, newSlowSigner(), newSlowSigner()}
		configs = make(map[string]*tlsprovider.Config)
		for proto, s := range map[string]crypto.Signer{"slow": sw.slow, "other": sw.other} {
			configs[proto] = &tlsprovider.Config{NextProtos: []string{proto}, Certificates: []tlsprovider.Certificate{
				{Chain: testPKI().Provider().Chain, Signer: s},
			}}
		}
		defer sw.slow.release()
		test(t, sw)
	})
}

// dial begins n connections of a protocol and returns the channel of their results. The server accepts them.
func (w *signingWorld) dial(ctx context.Context, proto string, n int) <-chan error {
	cfg := clientConfig()
	cfg.TLS.NextProtos = []string{proto}
	results := make(chan error, n)
	for range n {
		go func() {
			conn, err := w.client.Dial(ctx, serverAddr, cfg)
			if err == nil {
				_, err = w.listener.Accept(w.Context())
				conn.CloseWithError(0, "")
			}
			results <- err
		}()
	}
	return results
}

// A Signer that never returns keeps as many goroutines as it may have calls, however many handshakes have asked it, and
// other Signers go on.
func TestHungSignerKeepsFewGoroutines(t *testing.T) {
	cfg := serverConfig()
	cfg.MaxSigners = 8
	inSigningWorld(t, cfg, func(t *testing.T, w *signingWorld) {
		w.other.release()
		for range 5 {
			results := w.dial(t.Context(), "slow", 10)
			for range 10 {
				requireTransportError(t, <-results, 0x100+TransportErrorCode(tlsprovider.AlertInternalError), true)
			}
			require.NoError(t, <-w.dial(t.Context(), "other", 1))
			require.EqualValues(t, 4, w.slow.running.Load())
			require.Equal(t, 4, w.server.Stats().StuckSigners)
		}
		require.EqualValues(t, 50, w.server.Stats().SignTimeouts)

		// When the calls return after all, so does the room for others.
		w.slow.release()
		require.NoError(t, <-w.dial(t.Context(), "slow", 1))
		require.Zero(t, w.server.Stats().StuckSigners)
		require.Empty(t, w.server.pool.signers.loads)
	})
}

// A server does not let more than half of its handshakes wait for one Signer. Others fail at once, and so leave room for
// clients that do not need it.
func TestSignerBacklog(t *testing.T) {
	cfg := serverConfig()
	cfg.MaxHandshakes, cfg.AddressValidation = 8, ValidateNever
	inSigningWorld(t, cfg, func(t *testing.T, w *signingWorld) {
		waiting := w.dial(t.Context(), "slow", 8)
		advance(100 * time.Millisecond)
		began := time.Now()
		for range 10 {
			requireTransportError(t, <-w.dial(t.Context(), "slow", 1), 0x100+TransportErrorCode(tlsprovider.AlertInternalError), true)
		}
		require.NoError(t, <-w.dial(t.Context(), testProto, 1))
		require.Less(t, time.Since(began), time.Second)
		require.Equal(t, 8, w.server.Stats().Signing)
		w.slow.release()
		for range 8 {
			require.NoError(t, <-waiting)
		}
	})
}

// Clients that have given up while they waited for their turn do not cost a slow Signer a signature each.
func TestSignerIsNotCalledForEndedConns(t *testing.T) {
	cfg := serverConfig()
	cfg.MaxSigners = 1
	inSigningWorld(t, cfg, func(t *testing.T, w *signingWorld) {
		ctx, cancel := context.WithCancel(t.Context())
		first := w.dial(t.Context(), "slow", 1)
		advance(100 * time.Millisecond)
		impatient := w.dial(ctx, "slow", 20)
		advance(100 * time.Millisecond)
		cancel()
		for range 20 {
			require.ErrorIs(t, <-impatient, context.Canceled)
		}
		advance(100 * time.Millisecond)
		last := w.dial(t.Context(), "slow", 1)
		advance(100 * time.Millisecond)
		w.slow.release()
		require.NoError(t, <-first)
		require.NoError(t, <-last)
		require.EqualValues(t, 2, w.slow.calls.Load())
	})
}

// A slow Signer that a callback of a tls.Config returns occupies no TLS worker.
func TestSlowSignerOfTLSConfig(t *testing.T) {
	sc := serverConfig()
	var slow *slowSigner // of the bubble
	cfg, err := tlsprovider.FromTLSConfig(&tls.Config{
		NextProtos: []string{testProto, "slow"}, MinVersion: tls.VersionTLS13,
		GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			c := &tls.Certificate{Certificate: testPKI().Provider().Chain, PrivateKey: testPKI().Key}
			if h.SupportedProtos[0] == "slow" {
				c.PrivateKey = slow
			}
			return c, nil
		},
	})
	require.NoError(t, err)
	sc.TLS = cfg
	inBubble(t, sc, nil, func(t *testing.T, w *world) {
		slow = newSlowSigner()
		defer slow.release()
		sw := &signingWorld{world: w}
		results := sw.dial(t.Context(), "slow", 10*runtime.GOMAXPROCS(0))
		advance(time.Second)
		require.Equal(t, cap(results), w.server.Stats().Signing)
		require.NoError(t, <-sw.dial(t.Context(), testProto, 1))
		slow.release()
		for range cap(results) {
			require.NoError(t, <-results)
		}
	})
}

func TestSignerThatNeverAnswersIsGivenUp(t *testing.T) {
	for _, side := range []tlsprovider.Side{tlsprovider.Server, tlsprovider.Client} {
		t.Run(side.String(), func(t *testing.T) {
			sc, cc := serverConfig(), clientConfig()
			signer := &slowSigner{Signer: testPKI().Key}
			cert := []tlsprovider.Certificate{{Chain: testPKI().Provider().Chain, Signer: signer}}
			cfg := sc
			if side == tlsprovider.Client {
				sc.TLS.ClientAuth, sc.TLS.ClientCAs = tlsprovider.RequireClientCert, testPKI().Roots()
				cfg = cc
			}
			cfg.SignTimeout, cfg.TLS.Certificates = 2*time.Second, cert
			inBubble(t, sc, cc, func(t *testing.T, w *world) {
				signer.answer = make(chan struct{})
				defer close(signer.answer) // otherwise the bubble would report the goroutine
				began := time.Now()
				_, err := w.client.Dial(t.Context(), serverAddr, nil)
				requireTransportError(t, err, 0x100+TransportErrorCode(tlsprovider.AlertInternalError), side == tlsprovider.Server)
				require.InDelta(t, 2*time.Second, time.Since(began), float64(time.Second))
				if side == tlsprovider.Client {
					require.ErrorContains(t, err, "Certificate.Signer did not answer within 2s (Config.SignTimeout)")
				}
			})
		})
	}
}

// A handshake whose time is over just when its turn comes does not keep the place of a call that nothing makes.
func TestTurnThatComesTooLate(t *testing.T) {
	s := signers{most: 1, backlog: 10}
	first, late := s.join("signer", true), s.join("signer", true)
	s.returned(first) // and so begins the turn of late
	<-late.began
	s.leave(first, false)
	s.leave(late, true)
	var st EndpointStats
	s.fillStats(&st)
	require.Zero(t, st.StuckSigners)
	require.EqualValues(t, 1, st.SignTimeouts)
	require.Empty(t, s.loads)
	next := s.join("signer", true)
	select {
	case <-next.began:
	default:
		t.Fatal("the place is not free")
	}
}

// Signers of types that cannot be compared share their limits.
func TestSignerKey(t *testing.T) {
	type uncomparable struct {
		crypto.Signer
		chain [][]byte
	}
	key := testPKI().Key
	require.Equal(t, signerKey(key), signerKey(key))
	require.NotEqual(t, signerKey(newSlowSigner()), signerKey(key))
	require.NotPanics(t, func() {
		seen := map[any]bool{signerKey(uncomparable{key, nil}): true}
		require.True(t, seen[signerKey(uncomparable{key, [][]byte{{1}}})])
	})
}
