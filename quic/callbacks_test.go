//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"context"
	"crypto"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
)

// A server's certificates may come only from GetTLSConfig.
func TestCertificatesFromGetTLSConfigAlone(t *testing.T) {
	full := serverConfig().TLS
	for name, own := range map[string]*tlsprovider.Config{
		"protocols only": {NextProtos: []string{testProto}},
		"empty":          {},
		"nil":            nil,
	} {
		t.Run(name, func(t *testing.T) {
			cfg := &Config{TLS: own}
			cfg.GetTLSConfig = func(hello *tlsprovider.ClientHello) (*tlsprovider.Config, error) {
				require.Equal(t, "localhost", hello.ServerName)
				return full, nil
			}
			inBubble(t, cfg, nil, func(t *testing.T, w *world) {
				for range 2 {
					client, server := w.connect()
					w.stream(client, server)
				}
			})
		})
	}
}

// A logBook records the messages of an Endpoint's Logger.
type logBook struct {
	mu      sync.Mutex
	records []slog.Record
}

func (b *logBook) Enabled(context.Context, slog.Level) bool { return true }
func (b *logBook) WithAttrs([]slog.Attr) slog.Handler       { return b }
func (b *logBook) WithGroup(string) slog.Handler            { return b }

func (b *logBook) Handle(_ context.Context, r slog.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.records = append(b.records, r)
	return nil
}

// at returns the messages of a level with their attributes, one per line.
func (b *logBook) at(level slog.Level) (lines []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, r := range b.records {
		if r.Level == level {
			line := r.Message
			r.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
			lines = append(lines, line)
		}
	}
	return lines
}

// A tripwire panics where it is installed while it is armed.
type tripwire struct{ armed atomic.Bool }

func (w *tripwire) touch() {
	if w.armed.Load() {
		panic("tripwire")
	}
}

func (w *tripwire) Write(p []byte) (int, error) { w.touch(); return len(p), nil }

func (w *tripwire) Public() crypto.PublicKey { return testPKI().Key.Public() }

func (w *tripwire) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	w.touch()
	return testPKI().Key.Sign(r, digest, opts)
}

// A panic in any code that a handshake calls ends only that handshake.
func TestPanicEndsOneHandshake(t *testing.T) {
	localhost := func() *tls.Config {
		cert := tls.Certificate{Certificate: testPKI().Provider().Chain, PrivateKey: testPKI().Key}
		return &tls.Config{NextProtos: []string{testProto}, Certificates: []tls.Certificate{cert}}
	}
	fromTLS := func(c *Config, edit func(*tls.Config)) {
		tc := localhost()
		edit(tc)
		var err error
		c.TLS, err = tlsprovider.FromTLSConfig(tc)
		must(err)
	}
	for name, hang := range map[string]func(*Config, *tripwire){
		"Accept": func(c *Config, w *tripwire) {
			c.Accept = func(ClientInfo) error { w.touch(); return nil }
		},
		"GetTLSConfig": func(c *Config, w *tripwire) {
			c.GetTLSConfig = func(*tlsprovider.ClientHello) (*tlsprovider.Config, error) { w.touch(); return nil, nil }
		},
		"VerifyPeer": func(c *Config, w *tripwire) {
			c.TLS.VerifyPeer = func(*tlsprovider.State) error { w.touch(); return nil }
		},
		"Signer": func(c *Config, w *tripwire) {
			c.TLS.Certificates = []tlsprovider.Certificate{{Chain: testPKI().Provider().Chain, Signer: w}}
		},
		"KeyLogWriter": func(c *Config, w *tripwire) { c.TLS.KeyLogWriter = w },
		"Time": func(c *Config, w *tripwire) {
			c.TLS.Time = func() time.Time { w.touch(); return time.Now() }
		},
		"provider": func(c *Config, w *tripwire) {
			c.Provider = &steppedProvider{Provider: native.New(), side: tlsprovider.Server, beforeContinue: w.touch, afterClose: w.touch}
		},
		"tls.Config.VerifyConnection": func(c *Config, w *tripwire) {
			fromTLS(c, func(tc *tls.Config) {
				tc.VerifyConnection = func(tls.ConnectionState) error { w.touch(); return nil }
			})
		},
		"tls.Config.GetConfigForClient": func(c *Config, w *tripwire) {
			fromTLS(c, func(tc *tls.Config) {
				tc.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
					other := localhost()
					other.Time = func() time.Time { w.touch(); return time.Now() }
					return other, nil
				}
			})
		},
		"key of tls.Config.GetCertificate": func(c *Config, w *tripwire) {
			fromTLS(c, func(tc *tls.Config) {
				tc.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
					return &tls.Certificate{Certificate: testPKI().Provider().Chain, PrivateKey: w}, nil
				}
				tc.Certificates = nil
			})
		},
		"tls.Config.WrapSession": func(c *Config, w *tripwire) {
			fromTLS(c, func(tc *tls.Config) {
				tc.WrapSession = func(cs tls.ConnectionState, s *tls.SessionState) ([]byte, error) {
					w.touch()
					return tc.EncryptTicket(cs, s)
				}
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			code := 0x100 + TransportErrorCode(tlsprovider.AlertInternalError)
			if name == "Accept" {
				code = InternalError
			}
			testPanicEndsOneHandshake(t, hang, code)
		})
	}
}

// testPanicEndsOneHandshake requires that a tripwire installed by hang fails a handshake with the given code,
// and that another connection and later handshakes are not affected.
func testPanicEndsOneHandshake(t *testing.T, hang func(*Config, *tripwire), code TransportErrorCode) {
	wire, book := new(tripwire), new(logBook)
	cfg := serverConfig()
	hang(cfg, wire)
	cfg.Logger = slog.New(book)
	inBubble(t, cfg, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		wire.armed.Store(true)
		_, err := w.client.Dial(t.Context(), serverAddr, nil)
		var te *TransportError
		if !errors.As(err, &te) {
			// The client completes before the server's ticket, so it learns of the end later.
			conn := w.lastClient()
			<-conn.Context().Done()
			require.ErrorAs(t, context.Cause(conn.Context()), &te)
		}
		require.True(t, te.Remote)
		require.Equal(t, code, te.Code)
		require.NotContains(t, te.Error(), "tripwire", "a peer learns no details")
		w.stream(client, server)
		wire.armed.Store(false)
		w.stream(w.connect())
		require.EqualValues(t, 1, w.server.Stats().Panics)
		lines := book.at(slog.LevelError)
		require.Len(t, lines, 1)
		require.Contains(t, lines[0], "value=tripwire")
		require.Contains(t, lines[0], "callbacks_test.go", "the stack contains the place of the panic")
	})
}

// lastClient returns the client's newest connection.
func (w *world) lastClient() *Conn {
	w.client.mu.Lock()
	defer w.client.mu.Unlock()
	return w.client.conns[w.client.lastRef]
}

// If a client's own callback panics, its Dial fails.
func TestPanicOfClient(t *testing.T) {
	cfg := clientConfig()
	cfg.TLS.VerifyPeer = func(*tlsprovider.State) error { panic("tripwire") }
	inBubble(t, nil, cfg, func(t *testing.T, w *world) {
		_, err := w.client.Dial(t.Context(), serverAddr, nil)
		requireTransportError(t, err, 0x100+TransportErrorCode(tlsprovider.AlertInternalError), false)
		var p *tlsprovider.PanicError
		require.ErrorAs(t, err, &p)
		require.Equal(t, "tripwire", p.Value)
		require.EqualValues(t, 1, w.client.Stats().Panics)
	})
}

// If RequireAddressValidation panics, the address is validated.
func TestPanicOfRequireAddressValidation(t *testing.T) {
	cfg := serverConfig()
	cfg.RequireAddressValidation = func(netip.AddrPort) bool { panic("tripwire") }
	inBubble(t, cfg, nil, func(t *testing.T, w *world) {
		w.stream(w.connect())
		require.NotZero(t, w.server.Stats().Panics)
		require.NotZero(t, w.server.Stats().Drops.Retried)
	})
}

// A callback that ends its goroutine, as require.NoError does in a failing test, costs no worker.
func TestGoexitInGetTLSConfig(t *testing.T) {
	exits := 2*runtime.GOMAXPROCS(0) + 1
	cfg := serverConfig()
	cfg.GetTLSConfig = func(*tlsprovider.ClientHello) (*tlsprovider.Config, error) {
		if exits > 0 {
			exits--
			runtime.Goexit()
		}
		return nil, nil
	}
	inBubble(t, cfg, nil, func(t *testing.T, w *world) {
		for exits > 0 {
			_, err := w.client.Dial(t.Context(), serverAddr, nil)
			requireTransportError(t, err, 0x100+TransportErrorCode(tlsprovider.AlertInternalError), true)
		}
		w.stream(w.connect())
	})
}

// exitingSigner ends the goroutine that asks it to sign.
type exitingSigner struct{ crypto.Signer }

func (exitingSigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	runtime.Goexit()
	return nil, nil
}

// A Signer that ends its goroutine fails its handshake at once, and not after Config.SignTimeout.
func TestGoexitInSigner(t *testing.T) {
	cfg := serverConfig()
	cfg.TLS.Certificates = []tlsprovider.Certificate{{Chain: testPKI().Provider().Chain, Signer: exitingSigner{testPKI().Key}}}
	inBubble(t, cfg, nil, func(t *testing.T, w *world) {
		began := time.Now()
		_, err := w.client.Dial(t.Context(), serverAddr, nil)
		requireTransportError(t, err, 0x100+TransportErrorCode(tlsprovider.AlertInternalError), true)
		require.Less(t, time.Since(began), time.Second)
	})
}

// Accept, GetConfigForClient and RequireAddressValidation run on the goroutine that receives. If they end it, another
// one continues.
func TestGoexitInReceiveLoop(t *testing.T) {
	exits := map[string]int{"Accept": 2, "GetConfigForClient": 2, "RequireAddressValidation": 2}
	exit := func(callback string) {
		if exits[callback] > 0 {
			exits[callback]--
			runtime.Goexit()
		}
	}
	cfg := serverConfig()
	cfg.Accept = func(ClientInfo) error { exit("Accept"); return nil }
	cfg.GetConfigForClient = func(ClientInfo) (*Config, error) { exit("GetConfigForClient"); return nil, nil }
	cfg.RequireAddressValidation = func(netip.AddrPort) bool { exit("RequireAddressValidation"); return false }
	inBubble(t, cfg, nil, func(t *testing.T, w *world) {
		w.stream(w.connect()) // the client repeats its ClientHello
		require.Equal(t, map[string]int{"Accept": 0, "GetConfigForClient": 0, "RequireAddressValidation": 0}, exits)
	})
}
