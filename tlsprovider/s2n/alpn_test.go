package s2n

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

// TestPeerWithoutALPN checks handshakes with a peer that does not use ALPN, rather than one that offers other
// protocols.
//
// "[...] endpoints MUST immediately close a connection [...] with a no_application_protocol TLS alert
// (QUIC error code 0x0178; see Section 4.8) if an application protocol is not negotiated."
// https://www.rfc-editor.org/rfc/rfc9001#section-8.1-2
// "Endpoints MUST explicitly negotiate an application protocol."
// https://www.rfc-editor.org/rfc/rfc9000#section-7-10
// "While [ALPN] only specifies that servers use this alert, QUIC clients MUST use error 0x0178 to terminate a
// connection when ALPN negotiation fails."
// https://www.rfc-editor.org/rfc/rfc9001#section-8.1-2
// "Similarly, a client MUST treat the selection of an incompatible application protocol by a server as a connection
// error of type 0x0178."
// https://www.rfc-editor.org/rfc/rfc9001#section-8.1-3
func TestPeerWithoutALPN(t *testing.T) {
	for _, prov := range []tlsprovider.Provider{newProvider(t), native.New()} {
		t.Run(prov.Name()+" client", func(t *testing.T) {
			client, server, _ := tlstest.Configs(t)
			p := newPair(t, prov, client, server)
			key, err := x509.ParsePKCS8PrivateKey(server.Certificates[0].KeyDER)
			require.NoError(t, err)
			g := &goPeer{secrets: map[tlsprovider.Level][]byte{}, conn: tls.QUICServer(&tls.QUICConfig{TLSConfig: &tls.Config{
				Certificates: []tls.Certificate{{Certificate: server.Certificates[0].Chain, PrivateKey: key}},
				MinVersion:   tls.VersionTLS13,
			}})}
			defer g.conn.Close()
			require.NoError(t, g.conn.Start(context.Background()))
			events, err := p.Client.Advance(nil)
			require.NoError(t, err)
			require.NoError(t, g.conn.HandleData(tls.QUICEncryptionLevelInitial, events[0].Data))
			g.pump(t)
			_, err = p.Client.Advance(g.out)
			tlstest.RequireAlert(t, tlsprovider.AlertNoApplicationProtocol, err)
		})
		t.Run(prov.Name()+" server", func(t *testing.T) {
			client, server, _ := tlstest.Configs(t)
			p := newPair(t, prov, client, server)
			p.Rewrite = func(side tlsprovider.Side, d tlsprovider.CryptoData) tlsprovider.CryptoData {
				if side == tlsprovider.Client && d.Level == tlsprovider.LevelInitial {
					d.Data = tlstest.WithoutExtension(d.Data, 16)
				}
				return d
			}
			side, err := p.Run(t)
			require.Equal(t, tlsprovider.Server, side)
			tlstest.RequireAlert(t, tlsprovider.AlertNoApplicationProtocol, err)
			require.Empty(t, p.Hello.ALPN)
			require.Empty(t, p.Flights[tlsprovider.Server])
		})
	}
}

// TestUnsupportedProtocols checks that configurations with protocols that s2n-tls cannot negotiate
// are errors: s2n-tls rejects a list with only a protocol of one byte, and ends a protocol at a zero byte.
func TestUnsupportedProtocols(t *testing.T) {
	for _, proto := range []string{"x", "a\x00b"} {
		client, server, _ := tlstest.Configs(t)
		client.NextProtos, server.NextProtos = []string{"test", proto}, []string{proto}
		for _, p := range []tlsprovider.Provider{newProvider(t), native.New()} {
			c, cerr := p.NewClient(client)
			s, serr := p.NewServer(server)
			if p.Name() == Name {
				for _, err := range []error{cerr, serr} {
					require.ErrorIs(t, err, tlsprovider.ErrUnsupported)
					require.ErrorContains(t, err, "NextProtos")
				}
				continue
			}
			require.NoError(t, cerr)
			require.NoError(t, serr)
			pair := tlstest.PairOf(t, c, s, "server.test")
			pair.ALPN = proto
			state, _ := pair.MustRun(t)
			require.Equal(t, proto, state.ALPN)
			c.Close()
			s.Close()
		}
	}
}
