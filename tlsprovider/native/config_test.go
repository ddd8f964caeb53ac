package native

import (
	"crypto/fips140"
	"crypto/tls"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

// TestConfigErrors checks that NewClient and NewServer report errors of the configuration with the field's name,
// on one line.
func TestConfigErrors(t *testing.T) {
	p := New()
	tlstest.RefuseConfigs(t, p, p.Live, append(tlstest.ConfigFaults(t), []tlstest.ConfigFault{
		tlstest.ClientFault("policy", func(c *tlsprovider.Config) { c.Policy = "default_pq" }, `Policy "default_pq"`),
		tlstest.ClientFault("suites", func(c *tlsprovider.Config) {
			c.CipherSuites = []tlsprovider.CipherSuite{tlsprovider.AES256GCM}
		}, "CipherSuites without"),
		tlstest.ServerFault("junk for a key", func(c *tlsprovider.Config) { c.Certificates[0].KeyDER = []byte("junk") }, "neither PKCS #8"),
		tlstest.ServerFault("key that does not sign", tlstest.KeyThatDoesNotSign(t), "does not sign"),
		tlstest.ClientFault("tls.Config without TLS 1.3", func(c *tlsprovider.Config) {
			c.TLS = &tls.Config{MaxVersion: tls.VersionTLS12}
		}, "MaxVersion"),
		tlstest.ServerFault("early data before VerifyPeer", func(c *tlsprovider.Config) {
			c.EarlyData, c.VerifyPeer = true, func(*tlsprovider.State) error { return nil }
		}, "EarlyData of a server that verifies clients"),
		tlstest.ServerFault("early data before VerifyConnection", func(c *tlsprovider.Config) {
			c.EarlyData, c.TLS = true, &tls.Config{VerifyConnection: func(tls.ConnectionState) error { return nil }}
		}, "EarlyData of a server that verifies clients"),
	}...))
}

// The default ClientHello has a share of the hybrid group and one of X25519, so that a classical server answers
// without a HelloRetryRequest, which would cost a round trip.
func TestDefaultShares(t *testing.T) {
	if fips140.Enabled() {
		t.Skip("X25519 is not approved")
	}
	for _, g := range []tlsprovider.Group{tlsprovider.X25519MLKEM768, tlsprovider.X25519} {
		client, server, _ := tlstest.Configs(t)
		server.Groups = []tlsprovider.Group{g}
		p := pairOf(t, client, server)
		cs, _ := p.MustRun(t)
		require.Equal(t, []tlsprovider.Group{tlsprovider.X25519MLKEM768, tlsprovider.X25519}, p.Hello.KeyShares)
		require.Equal(t, g, cs.Group)
		require.False(t, cs.HelloRetried)
	}
}
