package native

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/fips140"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

// TestFIPS runs its cases in a child process whose module is in FIPS 140-3 mode.
func TestFIPS(t *testing.T) {
	if !fips140.Enabled() {
		client, server, _ := tlstest.Configs(t)
		cs, _ := pairOf(t, client, server).MustRun(t)
		require.False(t, cs.FIPS)
		require.Empty(t, cs.FIPSDetail)
		c := exec.Command(os.Args[0], "-test.run=^TestFIPS$", "-test.v")
		c.Env = append(os.Environ(), "GODEBUG=fips140=on")
		out, err := c.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), "--- PASS: TestFIPS/approved", "the cases ran")
		require.Contains(t, string(out), "--- PASS: TestFIPS/functions_of_tls.Config", "the cases ran")
		return
	}
	t.Run("approved", fipsApproved)
	t.Run("refusals", fipsRefusals)
	t.Run("signer", fipsSigner)
	t.Run("GetCertificate", fipsGetCertificate)
	t.Run("functions of tls.Config", fipsFunctions)
}

// newEndpoints returns a client's and a server's endpoint, which are closed at the end of the test.
func newEndpoints(t *testing.T, client, server *tlsprovider.Config) (ce, se tlsprovider.Endpoint) {
	t.Helper()
	p := New()
	su := tlstest.Suite{Client: p, Server: p}
	return su.Endpoints(t, client, server)
}

func pairOf(t *testing.T, client, server *tlsprovider.Config) *tlstest.Pair {
	t.Helper()
	ce, se := newEndpoints(t, client, server)
	return tlstest.PairOf(t, ce, se, "server.test")
}

func fipsApproved(t *testing.T) {
	client, server, _ := tlstest.Configs(t)
	cs, ss := pairOf(t, client, server).MustRun(t)
	for _, s := range []tlsprovider.State{cs, ss} {
		require.True(t, s.FIPS)
		require.Contains(t, s.FIPSDetail, "X25519MLKEM768 (ML-KEM-768; X25519 is not relied on), TLS_AES_")
		require.Contains(t, s.FIPSDetail, "ecdsa_secp256r1_sha256")
	}
}

func fipsRefusals(t *testing.T) {
	p := New()
	tlstest.RefuseConfigs(t, p, p.Live, []tlstest.ConfigFault{
		tlstest.ClientFault("X25519", func(c *tlsprovider.Config) {
			c.Groups = []tlsprovider.Group{tlsprovider.X25519}
		}, "it is not approved in FIPS 140-3 mode"),
		tlstest.ServerFault("X25519 among others", func(c *tlsprovider.Config) {
			c.Groups = []tlsprovider.Group{tlsprovider.X25519MLKEM768, tlsprovider.X25519}
		}, "does not offer X25519: it is not approved in FIPS 140-3 mode"),
		tlstest.ServerFault("short RSA key", func(c *tlsprovider.Config) {
			key, err := rsa.GenerateKey(rand.Reader, 1024)
			require.NoError(t, err)
			c.Certificates[0] = tlstest.CertificateOf(t, key)
		}, "an RSA key of 1024 bits is not approved"),
	})
}

// fipsSigner checks that State.FIPS is false on a server whose signature was made by a Signer, outside of the
// module.
func fipsSigner(t *testing.T) {
	client, server, ca := tlstest.Configs(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	server.Certificates = []tlsprovider.Certificate{{Chain: ca.Issue(t, key, nil), Signer: struct{ crypto.Signer }{key}}}
	cs, ss := pairOf(t, client, server).MustRun(t)
	require.True(t, cs.FIPS)
	require.False(t, ss.FIPS)
	require.Contains(t, ss.FIPSDetail, "Certificate.Signer")
}

// fipsGetCertificate checks that State.FIPS is false on a server whose private key was chosen by a callback.
func fipsGetCertificate(t *testing.T) {
	client, server, ca := tlstest.Configs(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	cert := &tls.Certificate{Certificate: ca.Issue(t, key, nil), PrivateKey: key}
	server.Certificates = nil
	server.TLS = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return cert, nil }}
	_, ss := pairOf(t, client, server).MustRun(t)
	require.False(t, ss.FIPS)
	require.Contains(t, ss.FIPSDetail, "function of tls.Config")
}

// fipsFunctions checks that State.FIPS is false on a side whose tls.Config has a function that replaces a part of
// the module, in a full handshake and in a resumed one.
func fipsFunctions(t *testing.T) {
	wrap := func(c *tls.Config) {
		c.WrapSession = func(_ tls.ConnectionState, s *tls.SessionState) ([]byte, error) { return s.Bytes() }
		c.UnwrapSession = func(b []byte, _ tls.ConnectionState) (*tls.SessionState, error) { return tls.ParseSessionState(b) }
	}
	for _, tt := range []struct {
		name string
		side tlsprovider.Side
		set  func(*tls.Config)
		why  string
	}{
		{"client Rand", tlsprovider.Client, func(c *tls.Config) { c.Rand = rand.Reader }, "tls.Config.Rand"},
		{"server Rand", tlsprovider.Server, func(c *tls.Config) { c.Rand = rand.Reader }, "tls.Config.Rand"},
		{"WrapSession", tlsprovider.Server, wrap, "session tickets"},
		{"GetConfigForClient", tlsprovider.Server, func(c *tls.Config) {
			other := c.Clone()
			wrap(other)
			c.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return other, nil }
		}, "GetConfigForClient"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			cfg := w.client
			if tt.side == tlsprovider.Server {
				cfg = w.server
			}
			tt.set(cfg)
			client, err := tlsprovider.FromTLSConfig(w.client)
			require.NoError(t, err)
			server, err := tlsprovider.FromTLSConfig(w.server)
			require.NoError(t, err)
			ce, se := newEndpoints(t, client, server)
			for _, resumed := range []bool{false, true} {
				var states [2]tlsprovider.State
				states[tlsprovider.Client], states[tlsprovider.Server] = tlstest.PairOf(t, ce, se, "server.test").MustRun(t)
				require.Equal(t, resumed, states[tt.side].Resumed)
				require.False(t, states[tt.side].FIPS)
				require.Contains(t, states[tt.side].FIPSDetail, tt.why)
				require.True(t, states[tt.side.Peer()].FIPS, "the peer relies on its own module")
			}
		})
	}
}
