//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"bytes"
	"context"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
)

// A program may return a new configuration for each client. The most recent ones are kept, evicted ones are
// freed, and the Endpoint's own is never evicted.
func TestNewTLSConfigForEveryClient(t *testing.T) {
	var made []*tlsprovider.Config
	fresh := func() *tlsprovider.Config {
		made = append(made, serverConfig().TLS)
		return made[len(made)-1]
	}
	cfg := serverConfig()
	cfg.GetTLSConfig = func(h *tlsprovider.ClientHello) (*tlsprovider.Config, error) {
		if h.ServerName == "own.example" {
			return nil, nil
		}
		return fresh(), nil
	}
	inBubble(t, cfg, nil, func(t *testing.T, w *world) {
		dial := func(name string) {
			t.Helper()
			c := clientConfig()
			c.ServerName = name
			c.TLS.InsecureSkipVerify = true
			_, err := w.client.Dial(t.Context(), serverAddr, c)
			require.NoError(t, err)
		}
		dial("any.example")
		first, err := w.server.tls.server(made[0])
		require.NoError(t, err)
		first.Close()
		prepared := []tlsprovider.Endpoint{first.te}
		for range maxTLSConfigs + 5 {
			p, err := w.server.tls.server(fresh())
			require.NoError(t, err)
			p.Close()
			prepared = append(prepared, p.te)
		}
		closed := len(prepared) - (maxTLSConfigs - 1) // the Endpoint's own is the other one that is kept
		for i, e := range prepared {
			s, err := e.NewSession(tlsprovider.SessionParams{Version: uint32(Version1)})
			require.Equal(t, i < closed, err != nil, "the oldest ones are closed")
			if err == nil {
				s.Close()
			}
		}
		dial("any.example")
		dial("own.example")

		// Configurations in use are kept. These are the oldest of made that remain.
		kept := made[len(made)-maxTLSConfigs+10]
		want, err := w.server.tls.server(kept)
		require.NoError(t, err)
		want.Close()
		for range maxTLSConfigs - 2 {
			p, err := w.server.tls.server(fresh())
			require.NoError(t, err)
			p.Close()
		}
		got, err := w.server.tls.server(kept)
		require.NoError(t, err)
		require.Same(t, want, got)
		got.Close()
	})
}

// An Endpoint that listens and dials does not show its server's certificate to the servers that it dials,
// and does not trust the certificate authorities of its clients for servers.
func TestEndpointOfBothRoles(t *testing.T) {
	mutual := serverConfig()
	mutual.TLS.ClientAuth, mutual.TLS.ClientCAs = tlsprovider.VerifyClientCertIfGiven, testPKI().Roots()
	inBubble(t, mutual, nil, func(t *testing.T, w *world) {
		both := func(addr string, client *tlsprovider.Config) *Endpoint {
			cfg := *mutual
			cfg.ClientTLS, cfg.ServerName = client, "localhost"
			e, err := NewEndpoint(w.net.Listen(addr), &cfg)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, e.Close()) })
			_, err = e.Listen()
			require.NoError(t, err)
			return e
		}
		peerChain := func() [][]byte {
			c, err := w.listener.Accept(t.Context())
			require.NoError(t, err)
			return c.ConnectionState().TLS.PeerChain
		}

		one := both("10.0.0.3:1", nil)
		for _, cfg := range []*Config{nil, {TLS: mutual.TLS, ServerName: "localhost"}} {
			_, err := one.Dial(t.Context(), serverAddr, cfg)
			require.ErrorContains(t, err, "ClientTLS")
		}
		_, err := one.Dial(t.Context(), serverAddr, clientConfig())
		require.NoError(t, err)
		require.Empty(t, peerChain())

		two := both("10.0.0.4:1", clientConfig().TLS)
		_, err = two.Dial(t.Context(), serverAddr, nil)
		require.NoError(t, err)
		require.Empty(t, peerChain())

		// ClientTLS may have the same certificate, and may even be the same pointer.
		three := *mutual.TLS
		three.RootCAs = testPKI().Roots()
		mutual = &Config{TLS: &three}
		_, err = both("10.0.0.5:1", &three).Dial(t.Context(), serverAddr, nil)
		require.NoError(t, err)
		require.Equal(t, testPKI().Provider().Chain, peerChain())
	})
}

// A panic in VerifyPeer ends only its handshake, and its stack is logged.
func TestPanicInVerifyPeer(t *testing.T) {
	var log bytes.Buffer
	panics := true
	client, server := clientConfig(), serverConfig()
	server.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))
	server.TLS.VerifyPeer = func(st *tlsprovider.State) error {
		if panics {
			_ = st.PeerChain[0] // no client has a certificate
		}
		return nil
	}
	inBubble(t, server, client, func(t *testing.T, w *world) {
		c, err := w.client.Dial(t.Context(), serverAddr, nil)
		if err == nil { // the client completes before the server
			<-c.Context().Done()
			err = context.Cause(c.Context())
		}
		requireTransportError(t, err, 0x150, true) // internal_error
		panics = false
		w.connect()
	})
	require.Contains(t, log.String(), "Config.VerifyPeer")
	require.Contains(t, log.String(), "index out of range")
	require.Contains(t, log.String(), "TestPanicInVerifyPeer")
}

// A configuration from GetTLSConfig cannot disable the RequirePQ of Config.TLS.
func TestGetTLSConfigKeepsRequirePQ(t *testing.T) {
	server, client := serverConfig(), clientConfig()
	server.TLS.RequirePQ = true
	other := serverConfig().TLS
	server.GetTLSConfig = func(*tlsprovider.ClientHello) (*tlsprovider.Config, error) { return other, nil }
	client.TLS.Groups = []tlsprovider.Group{tlsprovider.P256}
	inBubble(t, server, client, func(t *testing.T, w *world) {
		_, err := w.client.Dial(t.Context(), serverAddr, nil)
		requireTransportError(t, err, 0x147, true) // insufficient_security
		pq := clientConfig()
		_, err = w.client.Dial(t.Context(), serverAddr, pq)
		require.NoError(t, err)
	})
	// The same holds if Config.TLS has no certificate, so that no session begins with it.
	server.TLS.Certificates = nil
	var tls tlsConfigs
	full, err := server.withDefaults()
	require.NoError(t, err)
	tls.init(full)
	defer tls.close()
	classical := *other
	classical.Groups = []tlsprovider.Group{tlsprovider.P256}
	_, err = tls.server(&classical)
	require.ErrorContains(t, err, "RequirePQ")
}

// A configuration from GetTLSConfig cannot disable the RequirePQAuth of Config.TLS, also by requesting no certificate.
func TestGetTLSConfigKeepsRequirePQAuth(t *testing.T) {
	other := serverConfig().TLS
	for _, required := range []bool{true, false} {
		server := serverConfig()
		server.TLS.RequirePQAuth = required
		full, err := server.withDefaults()
		require.NoError(t, err)
		var tls tlsConfigs
		tls.init(full)
		_, err = tls.server(other)
		if required {
			require.ErrorContains(t, err, "RequirePQAuth of a server that requests no client certificates")
		} else {
			require.NoError(t, err)
		}
		tls.close()
		require.False(t, other.RequirePQAuth, "the program's configuration is not changed")
	}
}

// The server's log says that a configuration from GetTLSConfig is unusable, and not Config.TLS.
func TestGetTLSConfigReturnsUnusable(t *testing.T) {
	for _, tc := range []struct {
		name string
		cfg  *tlsprovider.Config
		want string
	}{
		{"no protocol", &tlsprovider.Config{Certificates: serverConfig().TLS.Certificates}, "names no application protocol"},
		{"no certificate", &tlsprovider.Config{NextProtos: serverConfig().TLS.NextProtos}, "Certificates is empty"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var log bytes.Buffer
			server := serverConfig()
			server.Logger = slog.New(slog.NewTextHandler(&log, nil))
			server.GetTLSConfig = func(*tlsprovider.ClientHello) (*tlsprovider.Config, error) { return tc.cfg, nil }
			inBubble(t, server, nil, func(t *testing.T, w *world) {
				_, err := w.client.Dial(t.Context(), serverAddr, nil)
				requireTransportError(t, err, 0x150, true) // internal_error
			})
			require.Contains(t, log.String(), "the Config that GetTLSConfig returned: quic: ")
			require.Contains(t, log.String(), tc.want)
		})
	}
}
