package native

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

// A world is an authority and the tls.Configs of both sides.
type world struct {
	ca             *tlstest.Authority
	client, server *tls.Config
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{ca: tlstest.NewAuthority(t)}
	pool := x509.NewCertPool()
	pool.AddCert(w.ca.Cert)
	w.client = &tls.Config{RootCAs: pool, NextProtos: []string{"test"}}
	w.server = &tls.Config{Certificates: []tls.Certificate{w.certificate(t, "server.test")}, NextProtos: []string{"test"}}
	return w
}

func (w *world) certificate(t *testing.T, name string) tls.Certificate {
	t.Helper()
	leaf := w.ca.Leaf(t, func(c *x509.Certificate) { c.DNSNames = []string{name} })
	key, err := x509.ParsePKCS8PrivateKey(leaf.KeyDER)
	require.NoError(t, err)
	return tls.Certificate{Certificate: leaf.Chain, PrivateKey: key}
}

func (w *world) pair(t *testing.T, name string) *tlstest.Pair {
	t.Helper()
	p := New()
	c, err := tlsprovider.FromTLSConfig(w.client)
	require.NoError(t, err)
	s, err := tlsprovider.FromTLSConfig(w.server)
	require.NoError(t, err)
	ce, err := p.NewClient(c)
	require.NoError(t, err)
	t.Cleanup(ce.Close)
	se, err := p.NewServer(s)
	require.NoError(t, err)
	t.Cleanup(se.Close)
	return tlstest.PairOf(t, ce, se, name)
}

// TestTLSConfigIsHonoured checks that the fields of a tls.Config, and its callbacks for certificates, take effect.
func TestTLSConfigIsHonoured(t *testing.T) {
	t.Run("as it is", func(t *testing.T) {
		cs, _ := newWorld(t).pair(t, "server.test").MustRun(t)
		require.Equal(t, tlsprovider.X25519MLKEM768, cs.Group)
	})
	t.Run("GetCertificate", func(t *testing.T) {
		w := newWorld(t)
		other := w.certificate(t, "other.test")
		w.server.Certificates = nil
		w.server.GetCertificate = func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
			require.Equal(t, "other.test", h.ServerName)
			return &other, nil
		}
		cs, _ := w.pair(t, "other.test").MustRun(t)
		require.Equal(t, other.Certificate, cs.PeerChain)
	})
	t.Run("GetConfigForClient", func(t *testing.T) {
		w := newWorld(t)
		other := w.certificate(t, "other.test")
		w.server.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return &tls.Config{Certificates: []tls.Certificate{other}, NextProtos: []string{"test"}}, nil
		}
		cs, _ := w.pair(t, "other.test").MustRun(t)
		require.Equal(t, other.Certificate, cs.PeerChain)
	})
	t.Run("GetClientCertificate", func(t *testing.T) {
		w := newWorld(t)
		mine := w.certificate(t, "client.test")
		w.client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &mine, nil }
		w.server.ClientAuth, w.server.ClientCAs = tls.RequireAndVerifyClientCert, w.client.RootCAs
		_, ss := w.pair(t, "server.test").MustRun(t)
		require.Equal(t, mine.Certificate, ss.PeerChain)
	})
	t.Run("RequireAnyClientCert", func(t *testing.T) {
		w := newWorld(t)
		stranger := newWorld(t).certificate(t, "stranger.test")
		w.client.Certificates = []tls.Certificate{stranger}
		w.server.ClientAuth = tls.RequireAnyClientCert
		_, ss := w.pair(t, "server.test").MustRun(t)
		require.Equal(t, stranger.Certificate, ss.PeerChain, "asked for and not verified")
	})
	t.Run("CurvePreferences", func(t *testing.T) {
		w := newWorld(t)
		w.client.CurvePreferences = []tls.CurveID{tls.SecP256r1MLKEM768}
		cs, _ := w.pair(t, "server.test").MustRun(t)
		require.Equal(t, tlsprovider.SecP256r1MLKEM768, cs.Group)
	})
	t.Run("Rand", func(t *testing.T) {
		w := newWorld(t)
		w.client.Rand = failingReader{}
		_, err := w.pair(t, "server.test").Run(t)
		require.ErrorContains(t, err, "no randomness today")
		w.client.Rand = rand.Reader
		w.pair(t, "server.test").MustRun(t)
	})
}

// TestTLSConfigVerifies checks that the callbacks of a tls.Config that verify a peer fail the handshake.
func TestTLSConfigVerifies(t *testing.T) {
	t.Run("VerifyPeerCertificate", func(t *testing.T) {
		w := newWorld(t)
		w.client.VerifyPeerCertificate = func([][]byte, [][]*x509.Certificate) error { return errors.New("not today") }
		side, err := w.pair(t, "server.test").Run(t)
		require.Equal(t, tlsprovider.Client, side)
		tlstest.RequireAlert(t, tlsprovider.AlertBadCertificate, err)
		require.ErrorContains(t, err, "not today")
	})
	t.Run("VerifyConnection", func(t *testing.T) {
		w := newWorld(t)
		w.server.VerifyConnection = func(cs tls.ConnectionState) error {
			require.Equal(t, tls.X25519MLKEM768, cs.CurveID)
			return errors.New("not today")
		}
		side, err := w.pair(t, "server.test").Run(t)
		require.Equal(t, tlsprovider.Server, side)
		require.ErrorContains(t, err, "not today")
	})
}

// TestTLSConfigSessions checks that a tls.Config's cache of sessions is used, and not with another identity.
func TestTLSConfigSessions(t *testing.T) {
	t.Run("ClientSessionCache", func(t *testing.T) {
		w := newWorld(t)
		cache := &countingCache{ClientSessionCache: tls.NewLRUClientSessionCache(1)}
		w.client.ClientSessionCache = cache
		w.pair(t, "server.test").MustRun(t)
		require.NotZero(t, cache.puts)
	})
	t.Run("ClientSessionCache and SetCertificates", func(t *testing.T) {
		w := newWorld(t)
		w.client.ClientSessionCache = tls.NewLRUClientSessionCache(8)
		client, err := tlsprovider.FromTLSConfig(w.client)
		require.NoError(t, err)
		server, err := tlsprovider.FromTLSConfig(w.server)
		require.NoError(t, err)
		ce, se := newEndpoints(t, client, server)
		resumed := func() bool {
			cs, _ := tlstest.PairOf(t, ce, se, "server.test").MustRun(t)
			return cs.Resumed
		}
		require.False(t, resumed())
		require.True(t, resumed())
		require.NoError(t, ce.SetCertificates(nil))
		require.False(t, resumed(), "the session in the program's cache is of the old identity")
		require.True(t, resumed())
	})
}

type countingCache struct {
	tls.ClientSessionCache
	puts int
}

func (c *countingCache) Put(key string, s *tls.ClientSessionState) {
	c.puts++
	c.ClientSessionCache.Put(key, s)
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errors.New("no randomness today") }

// TestGODEBUGDisablesHybrids checks that an endpoint for post-quantum groups cannot be made if
// GODEBUG=tlsmlkem=0 removes them from a tls.Config. Since Go 1.27 it removes them only from the default of crypto/tls,
// which the provider does not use.
func TestGODEBUGDisablesHybrids(t *testing.T) {
	p := New()
	_, server, _ := tlstest.Configs(t)
	client := &tlsprovider.Config{NextProtos: []string{"test"}}
	t.Setenv("GODEBUG", "tlsmlkem=0")
	for _, cfg := range []*tlsprovider.Config{client, server} {
		newEndpoint := p.NewClient
		if cfg == server {
			newEndpoint = p.NewServer
		}
		_, err := newEndpoint(cfg)
		if hasMLDSA { // Go 1.27
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, "tlsmlkem=0")
		require.ErrorContains(t, err, "X25519MLKEM768")
		named := *cfg
		named.Groups = []tlsprovider.Group{tlsprovider.X25519MLKEM768}
		_, err = newEndpoint(&named)
		require.ErrorContains(t, err, "tlsmlkem=0")
		classical := *cfg
		classical.Groups = []tlsprovider.Group{tlsprovider.P256}
		e, err := newEndpoint(&classical)
		require.NoError(t, err, "a configuration without hybrids works")
		e.Close()
	}
	t.Setenv("GODEBUG", "")
	e, err := p.NewClient(client)
	require.NoError(t, err)
	e.Close()
}

// TestPanicsInTLSConfig checks that a panic in a callback of a tls.Config, which crypto/tls calls on its own
// goroutine, fails the handshake that called it and no other.
func TestPanicsInTLSConfig(t *testing.T) {
	for field, set := range map[string]func(t *testing.T, w *world){
		"tls.Config.GetCertificate": func(t *testing.T, w *world) {
			w.server.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { panic("mistake") }
			w.server.Certificates = nil
		},
		"tls.Config.GetConfigForClient": func(t *testing.T, w *world) {
			w.server.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { panic("mistake") }
		},
		"tls.Config.VerifyConnection": func(t *testing.T, w *world) {
			server := w.server.Clone()
			server.VerifyConnection = func(tls.ConnectionState) error { panic("mistake") }
			w.server.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return server, nil }
		},
		"tls.Config.VerifyPeerCertificate": func(t *testing.T, w *world) {
			w.client.VerifyPeerCertificate = func([][]byte, [][]*x509.Certificate) error { panic("mistake") }
		},
		"tls.Config.GetClientCertificate": func(t *testing.T, w *world) {
			w.server.ClientAuth = tls.RequestClientCert
			w.client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { panic("mistake") }
		},
		"tls.Config.WrapSession": func(t *testing.T, w *world) {
			w.server.WrapSession = func(tls.ConnectionState, *tls.SessionState) ([]byte, error) { panic("mistake") }
		},
		"tls.Config.ClientSessionCache": func(t *testing.T, w *world) { w.client.ClientSessionCache = panickyCache{} },
		"tls.Config.Rand":               func(t *testing.T, w *world) { w.client.Rand = panickyReader{} },
		"Certificate.Signer": func(t *testing.T, w *world) {
			c := w.server.Certificates[0]
			c.PrivateKey = panickySigner{c.PrivateKey.(crypto.Signer)}
			w.server.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &c, nil }
			w.server.Certificates = nil
		},
		"Config.Time": func(t *testing.T, w *world) {
			w.client.Time = func() time.Time {
				if strings.Contains(string(debug.Stack()), "(*Config).CurrentTime") { // not by crypto/tls
					return time.Now()
				}
				panic("mistake")
			}
		},
	} {
		t.Run(field, func(t *testing.T) {
			w := newWorld(t)
			set(t, w)
			_, err := w.pair(t, "server.test").Run(t)
			tlstest.RequireAlert(t, tlsprovider.AlertInternalError, err)
			var pe *tlsprovider.PanicError
			require.ErrorAs(t, err, &pe)
			require.Equal(t, field, pe.Callback)
		})
	}
}

// TestGoexitInTLSConfig checks that a callback of a tls.Config that calls runtime.Goexit, as testing.T.FailNow does,
// fails its handshake. It would end crypto/tls's own goroutine, for whose result the session waits.
func TestGoexitInTLSConfig(t *testing.T) {
	for field, set := range map[string]func(w *world){
		"tls.Config.GetCertificate": func(w *world) {
			w.server.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { runtime.Goexit(); return nil, nil }
			w.server.Certificates = nil
		},
		"tls.Config.VerifyConnection": func(w *world) {
			w.client.VerifyConnection = func(tls.ConnectionState) error { runtime.Goexit(); return nil }
		},
		"Config.KeyLogWriter": func(w *world) { w.server.KeyLogWriter = exitingWriter{} },
	} {
		t.Run(field, func(t *testing.T) {
			w := newWorld(t)
			set(w)
			_, err := w.pair(t, "server.test").Run(t)
			tlstest.RequireAlert(t, tlsprovider.AlertInternalError, err)
			require.ErrorContains(t, err, field+" called runtime.Goexit")
		})
	}
}

type exitingWriter struct{}

func (exitingWriter) Write([]byte) (int, error) { runtime.Goexit(); return 0, nil }

type panickyCache struct{}

func (panickyCache) Get(string) (*tls.ClientSessionState, bool) { panic("mistake") }
func (panickyCache) Put(string, *tls.ClientSessionState)        { panic("mistake") }

type panickyReader struct{}

func (panickyReader) Read([]byte) (int, error) { panic("mistake") }

type panickySigner struct{ crypto.Signer }

func (panickySigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { panic("mistake") }

// TestKeysOfCallbacks checks that the transport makes the signatures of external keys that callbacks return. crypto/tls
// would block its caller, a TLS worker, for as long as a token takes.
func TestKeysOfCallbacks(t *testing.T) {
	for field, set := range map[string]func(w *world, c *tls.Certificate){
		"GetCertificate": func(w *world, c *tls.Certificate) {
			w.server.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c, nil }
			w.server.Certificates = nil
		},
		"GetConfigForClient": func(w *world, c *tls.Certificate) {
			other := w.server.Clone()
			other.Certificates = []tls.Certificate{*c}
			w.server.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return other, nil }
		},
		"GetCertificate of GetConfigForClient": func(w *world, c *tls.Certificate) {
			other := w.server.Clone()
			other.Certificates = nil
			other.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c, nil }
			w.server.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return other, nil }
		},
		"GetClientCertificate": func(w *world, c *tls.Certificate) {
			w.server.ClientAuth = tls.RequestClientCert
			w.client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c, nil }
		},
	} {
		t.Run(field, func(t *testing.T) {
			w := newWorld(t)
			c := w.server.Certificates[0]
			c.PrivateKey = &secretive{c.PrivateKey.(crypto.Signer), true}
			set(w, &c)
			p := w.pair(t, "server.test")
			p.MustRun(t)
			require.Equal(t, 1, p.Signs)
		})
	}
}

// TestPanicInPublic checks that a Signer whose Public panics, which crypto/tls calls on its own goroutine, does not
// end the process.
func TestPanicInPublic(t *testing.T) {
	t.Run("tls.Config.GetCertificate", func(t *testing.T) {
		w := newWorld(t)
		c := w.server.Certificates[0]
		c.PrivateKey = &secretive{c.PrivateKey.(crypto.Signer), false}
		w.server.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &c, nil }
		w.server.Certificates = nil
		_, err := w.pair(t, "server.test").Run(t)
		tlstest.RequireAlert(t, tlsprovider.AlertInternalError, err)
		var pe *tlsprovider.PanicError
		require.ErrorAs(t, err, &pe)
		require.Equal(t, "tls.Certificate.PrivateKey", pe.Callback)
	})
	t.Run("Certificate.Signer", func(t *testing.T) {
		client, server, ca := tlstest.Configs(t)
		key := &secretive{tlstest.RSAKey(t), true}
		server.Certificates = []tlsprovider.Certificate{{Chain: ca.Issue(t, key, nil), Signer: key}}
		p := New()
		ce, err := p.NewClient(client)
		require.NoError(t, err)
		se, err := p.NewServer(server)
		require.NoError(t, err)
		key.open = false
		tlstest.PairOf(t, ce, se, "server.test").MustRun(t) // the certificate has the public key
	})
}

// A secretive signer panics when it is asked for its public key, unless it is open.
type secretive struct {
	crypto.Signer
	open bool
}

func (s *secretive) Public() crypto.PublicKey {
	if !s.open {
		panic("mistake")
	}
	return s.Signer.Public()
}

// TestCertificateExtras checks that SetCertificates uses the staple and the timestamps of a tls.Certificate.
func TestCertificateExtras(t *testing.T) {
	w := newWorld(t)
	key := tlstest.RSAKey(t)
	cert := func(staple string) tls.Certificate {
		return tls.Certificate{
			Certificate: w.ca.Issue(t, key, nil), PrivateKey: key,
			OCSPStaple: []byte(staple), SignedCertificateTimestamps: [][]byte{[]byte("at " + staple)},
			SupportedSignatureAlgorithms: []tls.SignatureScheme{tls.PSSWithSHA512},
		}
	}
	var seen tls.ConnectionState
	w.client.VerifyConnection = func(cs tls.ConnectionState) error { seen = cs; return nil }
	w.server.Certificates = []tls.Certificate{cert("first")}
	client, err := tlsprovider.FromTLSConfig(w.client)
	require.NoError(t, err)
	client.DisableTickets = true
	server, err := tlsprovider.FromTLSConfig(w.server)
	require.NoError(t, err)
	ce, se := newEndpoints(t, client, server)
	check := func(staple string) {
		t.Helper()
		cs, _ := tlstest.PairOf(t, ce, se, "server.test").MustRun(t)
		require.Equal(t, staple, string(seen.OCSPResponse))
		require.Equal(t, [][]byte{[]byte("at " + staple)}, seen.SignedCertificateTimestamps)
		require.Equal(t, tlsprovider.SignatureScheme(tls.PSSWithSHA512), cs.SignatureScheme)
	}
	check("first")
	second, err := tlsprovider.CertificateFromTLS(cert("second"))
	require.NoError(t, err)
	require.NoError(t, se.SetCertificates([]tlsprovider.Certificate{second}))
	check("second")
}
