//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"errors"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/s2n"
)

// eachProvider runs a test with the providers that are linked.
func eachProvider(t *testing.T, test func(*testing.T, tlsprovider.Provider)) {
	t.Run("native", func(t *testing.T) { test(t, native.New()) })
	t.Run("s2n", func(t *testing.T) {
		p, err := s2n.New()
		if errors.Is(err, s2n.ErrNotLinked) {
			t.Skip("the s2n provider is not linked: run scripts/build")
		}
		require.NoError(t, err)
		test(t, p)
	})
}

// With EnableHalfRTT a server's first words arrive with its part of the handshake, one round trip after Dial began, and
// the client's words when its part has arrived.
//
// "Therefore, the server's use of 1-RTT keys before the handshake is complete is limited to sending data. A server MUST
// NOT process incoming 1-RTT protected packets before the TLS handshake is complete."
// https://www.rfc-editor.org/rfc/rfc9001#section-5.7-4
func TestHalfRTT(t *testing.T) {
	eachProvider(t, func(t *testing.T, p tlsprovider.Provider) {
		sc, cc := serverConfig(), clientConfig()
		sc.Provider, cc.Provider, sc.EnableHalfRTT = p, p, true
		inBubble(t, sc, cc, func(t *testing.T, w *world) {
			begin := time.Now()
			dialed := start(func() *Conn {
				c, err := w.client.Dial(t.Context(), serverAddr, nil)
				require.NoError(t, err)
				return c
			})
			server, err := w.listener.Accept(t.Context())
			require.NoError(t, err)
			require.Equal(t, 5*time.Millisecond, time.Since(begin), "half a round trip")
			require.False(t, isClosed(server.HandshakeComplete()))
			state := server.ConnectionState().TLS
			require.False(t, state.HandshakeDone)
			require.Equal(t, testProto, state.ALPN)
			require.Equal(t, "localhost", state.ServerName)
			require.Equal(t, tlsprovider.X25519MLKEM768, state.Group)
			require.NotZero(t, state.CipherSuite)
			_, err = server.ExportKeyingMaterial("label", nil, 32)
			require.ErrorIs(t, err, ErrHandshake)
			require.ErrorIs(t, server.UpdateKeys(), ErrHandshake)

			s, err := server.OpenUniStream(t.Context())
			require.NoError(t, err)
			_, err = s.Write([]byte("welcome"))
			require.NoError(t, err)
			require.NoError(t, s.Close())
			client := <-dialed
			r, err := client.AcceptUniStream(t.Context())
			require.NoError(t, err)
			got, err := io.ReadAll(r)
			require.NoError(t, err)
			require.Equal(t, "welcome", string(got))
			require.Equal(t, 10*time.Millisecond, time.Since(begin), "one round trip")
			require.False(t, isClosed(server.HandshakeComplete()))

			_, request := w.stream(client, server)
			require.Equal(t, 15*time.Millisecond, time.Since(begin))
			require.False(t, request.EarlyData(), "it arrived after the handshake")
			<-server.HandshakeComplete()
			require.True(t, server.ConnectionState().TLS.HandshakeDone)
			require.Zero(t, w.listener.waitingConns(), "the connection was delivered once")
		})
	})
}

// A client that proves nothing gets three times what it has sent, whatever the server's application writes, and the
// connection ends when its handshake times out.
//
// "[...] after receiving packets from an address that is not yet validated, an endpoint MUST limit the amount of data it
// sends to the unvalidated address to three times the amount of data received from that address."
// https://www.rfc-editor.org/rfc/rfc9000#section-8-2
func TestHalfRTTToSpoofedAddress(t *testing.T) {
	sc, cc := serverConfig(), clientConfig()
	sc.EnableHalfRTT, sc.HandshakeTimeout, cc.HandshakeTimeout = true, 3*time.Second, 3*time.Second
	inBubble(t, sc, cc, func(t *testing.T, w *world) {
		var received, sent int
		w.net.SetDrop(func(from, _ netip.AddrPort, b []byte) bool {
			if from.String() == serverAddr {
				sent += len(b)
				return true
			}
			received += len(b)
			return false
		})
		dialed := start(func() error {
			_, err := w.client.Dial(t.Context(), serverAddr, nil)
			return err
		})
		server, err := w.listener.Accept(t.Context())
		require.NoError(t, err)
		s, err := server.OpenUniStream(t.Context())
		require.NoError(t, err)
		_, err = s.Write(make([]byte, 100_000))
		require.NoError(t, err)
		<-server.Context().Done()
		require.LessOrEqual(t, sent, 3*received)
		require.Greater(t, sent, received, "the server has used what it may send")
		_, err = s.Write([]byte("more"))
		require.ErrorIs(t, err, ErrHandshakeTimeout)
		require.ErrorIs(t, <-dialed, ErrHandshakeTimeout)
		w.net.SetDrop(nil)
	})
}

// A server that verifies clients does not send to those that it has not verified.
//
// "Note that while the server may send Application Data prior to receiving the client's Authentication messages, any data
// sent at that point is, of course, being sent to an unauthenticated peer."
// https://www.rfc-editor.org/rfc/rfc8446#section-2
func TestHalfRTTAndVerifiedClients(t *testing.T) {
	verifying := *serverConfig().TLS
	verifying.ClientAuth, verifying.ClientCAs = tlsprovider.RequireClientCert, testPKI().Roots()
	cc := clientConfig()
	cc.TLS.Certificates = []tlsprovider.Certificate{testPKI().Provider()}

	refused := serverConfig()
	refused.EnableHalfRTT, refused.TLS = true, &verifying
	_, err := Listen("udp", "127.0.0.1:0", refused)
	require.ErrorContains(t, err, "EnableHalfRTT")

	for name, set := range map[string]func(*Config){
		"GetTLSConfig": func(c *Config) {
			c.GetTLSConfig = func(*tlsprovider.ClientHello) (*tlsprovider.Config, error) { return &verifying, nil }
		},
		"GetConfigForClient": func(c *Config) {
			c.GetConfigForClient = func(ClientInfo) (*Config, error) { return &Config{TLS: &verifying}, nil }
		},
	} {
		t.Run(name, func(t *testing.T) {
			sc := serverConfig()
			sc.EnableHalfRTT = true
			set(sc)
			inBubble(t, sc, cc, func(t *testing.T, w *world) {
				_, server := w.connect()
				require.True(t, isClosed(server.HandshakeComplete()), "delivered when the client is verified")
				require.NotEmpty(t, server.ConnectionState().TLS.PeerChain)
			})
		})
	}
	sc := serverConfig()
	sc.EnableHalfRTT = true
	sc.GetConfigForClient = func(ClientInfo) (*Config, error) { return &Config{TLS: &verifying, EnableHalfRTT: true}, nil }
	inBubble(t, sc, cc, func(t *testing.T, w *world) {
		_, err := w.client.Dial(t.Context(), serverAddr, nil)
		requireTransportError(t, err, ConnectionRefused, true)
	})
}
