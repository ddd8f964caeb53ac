package native

import (
	"bytes"
	"context"
	"crypto/fips140"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/internal/hello"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

const (
	publicName = "public.test"
	secretName = "secret.test"
)

// An echWorld is a world whose server can decrypt ClientHellos. The server is crypto/tls alone, because ours cannot.
type echWorld struct {
	*world
	key tls.EncryptedClientHelloKey
}

func newECHWorld(t *testing.T) *echWorld {
	t.Helper()
	if fips140.Enabled() {
		t.Skip("crypto/tls has no X25519 for the encrypted ClientHello in FIPS 140-3 mode")
	}
	w := &echWorld{world: newWorld(t)}
	w.key, w.client.EncryptedClientHelloConfigList = tlstest.ECHKey(t, publicName)
	w.server.Certificates = []tls.Certificate{w.certificate(t, publicName), w.certificate(t, secretName)}
	w.server.EncryptedClientHelloKeys = []tls.EncryptedClientHelloKey{w.key}
	w.server.MinVersion = tls.VersionTLS13
	return w
}

// run runs a handshake of our client for secretName. It returns its states on both sides and its first ClientHello.
func (w *echWorld) run(t *testing.T, edit func(*tlsprovider.Config)) (st tlsprovider.State, server tls.ConnectionState, first *hello.ClientHello, err error) {
	t.Helper()
	cfg, err := tlsprovider.FromTLSConfig(w.client)
	require.NoError(t, err)
	if edit != nil {
		edit(cfg)
	}
	ce, err := New().NewClient(cfg)
	require.NoError(t, err)
	defer ce.Close()
	c, err := ce.NewSession(tlsprovider.SessionParams{Version: 1, ServerName: secretName, TransportParameters: []byte(tlstest.ClientParams)})
	require.NoError(t, err)
	defer c.Close()
	s := tls.QUICServer(&tls.QUICConfig{TLSConfig: w.server})
	defer s.Close()
	s.SetTransportParameters([]byte(tlstest.ServerParams))
	require.NoError(t, s.Start(context.Background()))

	events, err := c.Advance(nil)
	require.NoError(t, err)
	for !c.State().HandshakeDone {
		for _, e := range events {
			if e.Kind != tlsprovider.EventWrite {
				continue
			}
			if first == nil {
				first, err = hello.ParseClientHello(bytes.Clone(e.Data[hello.HeaderLen:]))
				require.NoError(t, err)
				require.False(t, bytes.Contains(e.Data, []byte(secretName)), "the name is encrypted")
			}
			require.NoError(t, s.HandleData(tlsLevel(e.Level), e.Data))
		}
		if events, err = c.Advance(written(s)); err != nil {
			break
		}
	}
	return c.State(), s.ConnectionState(), first, err
}

// written returns what a connection of crypto/tls wants to send.
func written(q *tls.QUICConn) (out []tlsprovider.CryptoData) {
	for ev := q.NextEvent(); ev.Kind != tls.QUICNoEvent; ev = q.NextEvent() {
		if ev.Kind == tls.QUICWriteData {
			out = append(out, tlsprovider.CryptoData{Level: levelOf(ev.Level), Data: bytes.Clone(ev.Data)})
		}
	}
	return out
}

// TestECHAccepted checks that the server sees the name that only the encrypted ClientHello contains, that both sides agree on the
// hybrid group, and that RequirePQ and the sizes of the key shares do not depend on the outer ClientHello.
func TestECHAccepted(t *testing.T) {
	for _, g := range []tls.CurveID{tls.X25519MLKEM768, tls.SecP256r1MLKEM768} { // the second needs a HelloRetryRequest
		t.Run(g.String(), func(t *testing.T) {
			w := newECHWorld(t)
			w.server.CurvePreferences = []tls.CurveID{g}
			var seen *tlsprovider.State
			st, server, first, err := w.run(t, func(c *tlsprovider.Config) {
				c.RequirePQ = true
				c.VerifyPeer = func(s *tlsprovider.State) error { seen = s; return nil }
			})
			require.NoError(t, err)
			require.Equal(t, publicName, first.ServerName)
			require.True(t, first.Groups[0].PostQuantum())
			require.Equal(t, secretName, server.ServerName)
			require.True(t, server.ECHAccepted)
			require.True(t, st.ECHAccepted)
			require.True(t, seen.ECHAccepted)
			require.Equal(t, secretName, st.ServerName)
			require.Equal(t, tlsprovider.Group(g), st.Group)
			require.Equal(t, g != tls.X25519MLKEM768, st.HelloRetried)
			require.Greater(t, st.ClientShareLen, 1000)
			require.Greater(t, st.ServerShareLen, 1000)
			chains, err := seen.VerifiedChains()
			require.NoError(t, err)
			require.NoError(t, chains[0][0].VerifyHostname(secretName))
		})
	}
}

// TestECHRequirePQ checks that a classical group fails the handshake also if the ClientHello is encrypted.
func TestECHRequirePQ(t *testing.T) {
	w := newECHWorld(t)
	w.server.CurvePreferences = []tls.CurveID{tls.X25519}
	st, _, _, err := w.run(t, func(c *tlsprovider.Config) { c.RequirePQ = true })
	tlstest.RequireAlert(t, tlsprovider.AlertInsufficientSecurity, err)
	require.False(t, st.HandshakeDone)
}

// TestECHRejected checks that a rejection fails the handshake with the server's list of configurations, and that another
// handshake with this list succeeds.
func TestECHRejected(t *testing.T) {
	w := newECHWorld(t)
	_, w.client.EncryptedClientHelloConfigList = tlstest.ECHKey(t, publicName) // not the server's
	st, server, _, err := w.run(t, func(c *tlsprovider.Config) {
		c.VerifyPeer = func(*tlsprovider.State) error { panic("a connection that is not wanted") }
	})
	tlstest.RequireAlert(t, tlsprovider.AlertECHRequired, err)
	require.False(t, st.HandshakeDone)
	require.False(t, server.ECHAccepted)
	var rejection *tls.ECHRejectionError
	require.ErrorAs(t, err, &rejection)
	require.Equal(t, tlstest.ECHList(w.key), rejection.RetryConfigList)

	w.client.EncryptedClientHelloConfigList = rejection.RetryConfigList
	st, _, _, err = w.run(t, nil)
	require.NoError(t, err)
	require.True(t, st.ECHAccepted)
}

// TestECHRejectedByAnother checks that a server that is not the public name's cannot suggest configurations.
func TestECHRejectedByAnother(t *testing.T) {
	w := newECHWorld(t)
	_, w.client.EncryptedClientHelloConfigList = tlstest.ECHKey(t, "other.test")
	_, _, _, err := w.run(t, nil)
	tlstest.RequireAlert(t, tlsprovider.AlertBadCertificate, err)
	require.ErrorAs(t, err, new(x509.HostnameError))
	require.False(t, errors.As(err, new(*tls.ECHRejectionError)))
}

// TestECHRejectionVerify checks that the callback replaces the verification of the public name, also if it panics.
func TestECHRejectionVerify(t *testing.T) {
	for _, tt := range []struct {
		name   string
		verify func(tls.ConnectionState) error
		want   tlsprovider.Alert
		text   string
	}{
		{"accepts", func(tls.ConnectionState) error { return nil }, tlsprovider.AlertECHRequired, "rejected ECH"},
		{"refuses", func(tls.ConnectionState) error { return errors.New("not today") }, tlsprovider.AlertBadCertificate, "not today"},
		{"panics", func(tls.ConnectionState) error { panic("mistake") }, tlsprovider.AlertInternalError,
			"panic in tls.Config.EncryptedClientHelloRejectionVerify: mistake"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newECHWorld(t)
			_, w.client.EncryptedClientHelloConfigList = tlstest.ECHKey(t, "other.test")
			w.client.EncryptedClientHelloRejectionVerify = tt.verify
			_, _, _, err := w.run(t, nil)
			tlstest.RequireAlert(t, tt.want, err)
			require.ErrorContains(t, err, tt.text)
			require.Equal(t, tt.want == tlsprovider.AlertECHRequired, errors.As(err, new(*tls.ECHRejectionError)))
		})
	}
}

// TestECHConfigErrors checks that a list that crypto/tls cannot use, and a server's keys, fail before a handshake.
func TestECHConfigErrors(t *testing.T) {
	w := newECHWorld(t)
	good := w.client.EncryptedClientHelloConfigList
	unknown := bytes.Clone(good)
	unknown[2]++ // the version of the only configuration
	for name, list := range map[string][]byte{
		"empty": {}, "cut off": good[:len(good)-1], "junk": []byte("junk"), "no configuration": {0, 0}, "unknown version": unknown,
	} {
		cfg, err := tlsprovider.FromTLSConfig(&tls.Config{NextProtos: []string{"test"}, EncryptedClientHelloConfigList: list})
		require.NoError(t, err)
		_, err = New().NewClient(cfg)
		require.ErrorContains(t, err, "tls.Config.EncryptedClientHelloConfigList", name)
	}
	for field, edit := range map[string]func(*tls.Config){
		"EncryptedClientHelloKeys": func(c *tls.Config) { c.EncryptedClientHelloKeys = []tls.EncryptedClientHelloKey{w.key} },
		"GetEncryptedClientHelloKeys": func(c *tls.Config) {
			c.GetEncryptedClientHelloKeys = func(*tls.ClientHelloInfo) ([]tls.EncryptedClientHelloKey, error) { return nil, nil }
		},
	} {
		c := &tls.Config{NextProtos: []string{"test"}, Certificates: w.server.Certificates}
		edit(c)
		cfg, err := tlsprovider.FromTLSConfig(c)
		require.NoError(t, err)
		_, err = New().NewServer(cfg)
		require.ErrorIs(t, err, tlsprovider.ErrUnsupported)
		require.ErrorContains(t, err, "tls.Config."+field+":")
		client, err := New().NewClient(cfg)
		require.NoError(t, err, "clients ignore it")
		client.Close()
	}
}
