//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/internal/testcert"
	"github.com/pqquic/pqquic/tlsprovider"
)

// Each outcome of a handshake has its own counter, on both sides.
func TestHandshakeStats(t *testing.T) {
	const internal, unknownCA, noALPN = tlsprovider.AlertInternalError, tlsprovider.AlertUnknownCA, tlsprovider.AlertNoApplicationProtocol
	type alerts = map[tlsprovider.Alert]uint64
	type groups = map[tlsprovider.Group]uint64
	hybrid, classical := groups{tlsprovider.X25519MLKEM768: 1}, groups{tlsprovider.X25519: 1}
	for _, tc := range []struct {
		name           string
		edit           func(server, client *Config)
		drop           bool // drop everything
		cancel         bool
		client, server HandshakeStats
	}{
		{name: "complete", client: HandshakeStats{Completed: 1, Groups: hybrid}, server: HandshakeStats{Completed: 1, Groups: hybrid}},
		{
			name: "Retry", client: HandshakeStats{Completed: 1, Retried: 1, Groups: hybrid}, server: HandshakeStats{Completed: 1, Retried: 1, Groups: hybrid},
			edit: func(s, _ *Config) { s.RequireAddressValidation = func(netip.AddrPort) bool { return true } },
		},
		{
			name: "classical client", client: HandshakeStats{Completed: 1, Groups: classical},
			server: HandshakeStats{Completed: 1, Groups: classical, Downgraded: 1},
			edit:   func(_, c *Config) { c.TLS.Groups = []tlsprovider.Group{tlsprovider.X25519} },
		},
		{
			name: "classical server", client: HandshakeStats{Completed: 1, Groups: classical, Downgraded: 1},
			server: HandshakeStats{Completed: 1, Groups: classical},
			edit:   func(s, _ *Config) { s.TLS.Groups = []tlsprovider.Group{tlsprovider.X25519} },
		},
		{
			name: "GetTLSConfig", client: HandshakeStats{Failed: 1, PeerAlerts: alerts{internal: 1}},
			server: HandshakeStats{Failed: 1, LocalAlerts: alerts{internal: 1}},
			edit: func(s, _ *Config) {
				s.GetTLSConfig = func(*tlsprovider.ClientHello) (*tlsprovider.Config, error) { return nil, errors.New("no") }
			},
		},
		{
			name: "untrusted", client: HandshakeStats{Failed: 1, LocalAlerts: alerts{unknownCA: 1}},
			server: HandshakeStats{Failed: 1, PeerAlerts: alerts{unknownCA: 1}},
			edit:   func(_, c *Config) { c.TLS.RootCAs = testcert.New("other").Roots() },
		},
		{
			name: "protocols", client: HandshakeStats{Failed: 1, PeerAlerts: alerts{noALPN: 1}},
			server: HandshakeStats{Failed: 1, LocalAlerts: alerts{noALPN: 1}},
			edit:   func(_, c *Config) { c.TLS.NextProtos = []string{"other"} },
		},
		{
			name: "refused", client: HandshakeStats{Failed: 1, Refused: 1},
			edit: func(s, _ *Config) { s.Accept = func(ClientInfo) error { return errors.New("no") } },
		},
		{name: "silence", drop: true, client: HandshakeStats{Failed: 1, TimedOut: 1}},
		{name: "canceled", drop: true, cancel: true, client: HandshakeStats{Failed: 1, Canceled: 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server, client := serverConfig(), clientConfig()
			if tc.edit != nil {
				tc.edit(server, client)
			}
			inBubble(t, server, client, func(t *testing.T, w *world) {
				if tc.drop {
					w.net.SetDrop(func(netip.AddrPort, netip.AddrPort, []byte) bool { return true })
				}
				ctx, cancel := context.WithTimeoutCause(t.Context(), 15*time.Second, errors.New("the caller has given up"))
				defer cancel()
				if tc.cancel {
					cancel()
					ctx, cancel = context.WithTimeout(t.Context(), time.Second)
					defer cancel()
				}
				_, err := w.client.Dial(ctx, serverAddr, nil)
				require.Equal(t, tc.client.Failed > 0, err != nil)
				advance(time.Second)
				require.Equal(t, tc.client, w.client.Stats().Handshakes)
				require.Equal(t, tc.server, w.server.Stats().Handshakes)
			})
		})
	}
}

// A client that closes right after Dial has completed a handshake, and the server's application learns its
// error code.
func TestDialThatClosesAtOnce(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		client, err := w.client.Dial(t.Context(), serverAddr, nil)
		require.NoError(t, err)
		require.NoError(t, client.CloseWithError(7, "changed my mind"))
		server, err := w.listener.Accept(t.Context())
		require.NoError(t, err)
		<-server.Context().Done()
		requireApplicationError(t, context.Cause(server.Context()), 7, "changed my mind", true)
		want := HandshakeStats{Completed: 1, Groups: map[tlsprovider.Group]uint64{tlsprovider.X25519MLKEM768: 1}}
		require.Equal(t, want, w.client.Stats().Handshakes)
		require.Equal(t, want, w.server.Stats().Handshakes)
	})
}

// If the server has not received the client's last flight, the handshake has failed because of the
// client's application.
func TestDialThatClosesBeforeItsFlightArrives(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		up := 0
		w.net.SetDrop(func(from, _ netip.AddrPort, _ []byte) bool {
			if from.String() != clientAddr {
				return false
			}
			up++
			return up == 3 // after two datagrams with the ClientHello
		})
		client, err := w.client.Dial(t.Context(), serverAddr, nil)
		require.NoError(t, err)
		advance(time.Millisecond) // the last flight is sent
		require.NoError(t, client.CloseWithError(7, "changed my mind"))
		advance(time.Second)
		require.Equal(t, 4, up)
		require.Equal(t, HandshakeStats{Failed: 1, Other: 1}, w.server.Stats().Handshakes)
	})
}

func TestHandshakeStatsOfResumption(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		w.dialForTicket(nil)
		w.dialForTicket(nil)
		want := HandshakeStats{Completed: 2, Resumed: 1, Groups: map[tlsprovider.Group]uint64{tlsprovider.X25519MLKEM768: 2}}
		require.Equal(t, want, w.client.Stats().Handshakes)
		require.Equal(t, want, w.server.Stats().Handshakes)
	})
}

// Errors in a server's configuration are logged at Warn, and many clients do not cause many messages.
func TestConfigurationFaultsAreLogged(t *testing.T) {
	for _, tc := range []struct {
		name  string
		edit  func(server, client *Config)
		wants []string
	}{
		{"GetTLSConfig", func(s, _ *Config) {
			s.GetTLSConfig = func(*tlsprovider.ClientHello) (*tlsprovider.Config, error) {
				return nil, errors.New("the vault is sealed")
			}
		}, []string{"because of a server error", "the vault is sealed", "remote=10.0.0.2:5000"}},
		{"certificate", func(_, c *Config) { c.TLS.RootCAs = testcert.New("other").Roots() },
			[]string{"rejects the server's certificate", "unknown_ca", "completed=0"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server, client, book := serverConfig(), clientConfig(), new(logBook)
			tc.edit(server, client)
			server.Logger = slog.New(book)
			inBubble(t, server, client, func(t *testing.T, w *world) {
				fail := func(n int) {
					for range n {
						_, err := w.client.Dial(t.Context(), serverAddr, nil)
						require.Error(t, err)
					}
					advance(100 * time.Millisecond)
				}
				fail(20)
				lines := book.at(slog.LevelWarn)
				require.Len(t, lines, 1)
				for _, want := range tc.wants {
					require.Contains(t, lines[0], want)
				}
				advance(logInterval)
				fail(1)
				lines = book.at(slog.LevelWarn)
				require.Len(t, lines, 2)
				require.Contains(t, lines[1], "suppressed=19")
			})
		})
	}
}

// A server that has no protocol in common with the client reports both lists.
//
// "When using ALPN, endpoints MUST immediately close a connection (see Section 10.2 of [QUIC-TRANSPORT]) with a
// no_application_protocol TLS alert (QUIC error code 0x0178; see Section 4.8) if an application protocol is not
// negotiated."
// https://www.rfc-editor.org/rfc/rfc9001#section-8.1-2
func TestProtocolMismatchNamesBothLists(t *testing.T) {
	server, client, book := serverConfig(), clientConfig(), new(logBook)
	server.Logger = slog.New(book)
	client.TLS.NextProtos = []string{"one", "two"}
	inBubble(t, server, client, func(t *testing.T, w *world) {
		_, err := w.client.Dial(t.Context(), serverAddr, nil)
		require.ErrorContains(t, err, `["one" "two"]`)
		advance(time.Second)
		require.Contains(t, book.at(slog.LevelDebug)[0], `the client offers ["one" "two"], the server has ["pqquic-test"]`)
	})
}

// The client receives the reason of Config.Accept only if the error is a RefusedError.
func TestAcceptSendsItsReason(t *testing.T) {
	cfg := serverConfig()
	refusal := errors.New("secret")
	cfg.Accept = func(ClientInfo) error { return refusal }
	inBubble(t, cfg, nil, func(t *testing.T, w *world) {
		_, err := w.client.Dial(t.Context(), serverAddr, nil)
		requireTransportError(t, err, ConnectionRefused, true)
		require.NotContains(t, err.Error(), "secret")
		refusal = errors.Join(errors.New("secret"), &RefusedError{Reason: "down for maintenance"})
		_, err = w.client.Dial(t.Context(), serverAddr, nil)
		requireTransportError(t, err, ConnectionRefused, true)
		require.ErrorContains(t, err, "down for maintenance")
		require.NotContains(t, err.Error(), "secret")
		refusal = &RefusedError{Reason: string(make([]byte, 2000))}
		_, err = w.client.Dial(t.Context(), serverAddr, nil)
		var te *TransportError
		require.ErrorAs(t, err, &te)
		require.Len(t, te.Reason, 256)
	})
}

// A GetTLSConfig error that carries an alert fails the handshake with it.
func TestGetTLSConfigChoosesItsAlert(t *testing.T) {
	cfg := serverConfig()
	cfg.GetTLSConfig = func(*tlsprovider.ClientHello) (*tlsprovider.Config, error) {
		return nil, &tlsprovider.Error{Alert: tlsprovider.AlertUnrecognizedName}
	}
	inBubble(t, cfg, nil, func(t *testing.T, w *world) {
		_, err := w.client.Dial(t.Context(), serverAddr, nil)
		requireTransportError(t, err, 0x100+TransportErrorCode(tlsprovider.AlertUnrecognizedName), true)
	})
}

// A GetTLSConfig that returns a nil *tlsprovider.Error as its error, as is easily done with a variable of that
// type, fails the handshake that called it.
func TestGetTLSConfigReturnsNilError(t *testing.T) {
	cfg := serverConfig()
	cfg.GetTLSConfig = func(*tlsprovider.ClientHello) (*tlsprovider.Config, error) {
		var failure *tlsprovider.Error
		return nil, failure
	}
	inBubble(t, cfg, nil, func(t *testing.T, w *world) {
		_, err := w.client.Dial(t.Context(), serverAddr, nil)
		requireTransportError(t, err, 0x100+TransportErrorCode(tlsprovider.AlertInternalError), true)
	})
}

// The error of a failed Dial contains the address and what was received from it.
func TestDialErrorNamesTheCause(t *testing.T) {
	for _, tc := range []struct {
		name  string
		drop  func(from netip.AddrPort) bool
		ctx   time.Duration
		is    error
		wants []string
	}{
		{"silence", func(netip.AddrPort) bool { return true }, 0, ErrHandshakeTimeout,
			[]string{"quic: dial 10.0.0.1:4433: handshake timeout", "no QUIC packet was received"}},
		{"silence, with a context", func(netip.AddrPort) bool { return true }, time.Second, context.DeadlineExceeded,
			[]string{"10.0.0.1:4433", "context deadline exceeded", "no QUIC packet was received"}},
		{"half a handshake", nil, time.Second, context.DeadlineExceeded, []string{"datagrams were received, but"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := serverConfig()
			hang := make(chan struct{})
			if tc.drop == nil {
				cfg.GetTLSConfig = func(*tlsprovider.ClientHello) (*tlsprovider.Config, error) { <-hang; return nil, nil }
			}
			inBubble(t, cfg, nil, func(t *testing.T, w *world) {
				hang = make(chan struct{}) // made inside the bubble
				defer func() { close(hang) }()
				if tc.drop != nil {
					w.net.SetDrop(func(from, _ netip.AddrPort, _ []byte) bool { return tc.drop(from) })
				}
				ctx := t.Context()
				if tc.ctx > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tc.ctx)
					defer cancel()
				}
				_, err := w.client.Dial(ctx, serverAddr, nil)
				require.ErrorIs(t, err, tc.is)
				require.True(t, isTimeout(err))
				for _, want := range tc.wants {
					require.ErrorContains(t, err, want)
				}
			})
		})
	}
}
