package native

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

// What is wrong with a configuration comes out before a handshake, by the field's name, on one line.
func TestConfigErrors(t *testing.T) {
	tests := []struct {
		name   string
		server bool
		edit   func(*tlsprovider.Config)
		want   string
	}{
		{"no NextProtos", false, func(c *tlsprovider.Config) { c.NextProtos = nil }, "NextProtos is empty"},
		{"empty protocol", false, func(c *tlsprovider.Config) { c.NextProtos = []string{""} }, "1 to 255 bytes"},
		{"no certificate", true, func(c *tlsprovider.Config) { c.Certificates = nil }, "Certificates"},
		{"policy", false, func(c *tlsprovider.Config) { c.Policy = "default_pq" }, `Policy "default_pq"`},
		{"no groups", false, func(c *tlsprovider.Config) { c.Groups = []tlsprovider.Group{} }, "Groups is empty"},
		{"unknown group", false, func(c *tlsprovider.Config) { c.Groups = []tlsprovider.Group{0x1234} }, "0x1234"},
		{"classical groups with RequirePQ", false, func(c *tlsprovider.Config) {
			c.Groups, c.RequirePQ = []tlsprovider.Group{tlsprovider.P256}, true
		}, "RequirePQ"},
		{"suites", false, func(c *tlsprovider.Config) {
			c.CipherSuites = []tlsprovider.CipherSuite{tlsprovider.AES256GCM}
		}, "CipherSuites without"},
		{"client auth", true, func(c *tlsprovider.Config) { c.ClientAuth = 9 }, "ClientAuth 9"},
		{"ticket key", true, func(c *tlsprovider.Config) { c.TicketKeys = [][]byte{make([]byte, 16)} }, "ticket key 0 has 16 bytes"},
		{"no chain", true, func(c *tlsprovider.Config) { c.Certificates[0].Chain = nil }, "certificate 0: the chain is empty"},
		{"junk for a certificate", true, func(c *tlsprovider.Config) {
			c.Certificates[0].Chain = [][]byte{[]byte("junk")}
		}, "certificate 0: x509"},
		{"no key", true, func(c *tlsprovider.Config) { c.Certificates[0].KeyDER = nil }, "no private key"},
		{"junk for a key", true, func(c *tlsprovider.Config) { c.Certificates[0].KeyDER = []byte("junk") }, "neither PKCS #8"},
		{"key of another certificate", true, func(c *tlsprovider.Config) {
			c.Certificates[0].KeyDER = tlstest.NewAuthority(t).Leaf(t, nil).KeyDER
		}, "does not belong"},
		{"both kinds of key", true, func(c *tlsprovider.Config) { c.Certificates[0].Signer = tlstest.NewAuthority(t).Key }, "both"},
		{"signer of another certificate", true, func(c *tlsprovider.Config) {
			c.Certificates[0].KeyDER, c.Certificates[0].Signer = nil, tlstest.NewAuthority(t).Key
		}, "does not belong"},
		{"ECDSA on another curve", true, func(c *tlsprovider.Config) {
			key, _ := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
			c.Certificates[0] = certificateOf(t, key)
		}, "P-224"},
		{"key that does not sign", true, func(c *tlsprovider.Config) {
			key, _ := ecdh.X25519().GenerateKey(rand.Reader)
			c.Certificates[0].KeyDER, _ = x509.MarshalPKCS8PrivateKey(key)
		}, "does not sign"},
		{"junk among the roots", false, func(c *tlsprovider.Config) { c.Roots.AddDER([]byte("junk")) }, "root 1"},
		{"tls.Config without TLS 1.3", false, func(c *tlsprovider.Config) {
			c.TLS = &tls.Config{MaxVersion: tls.VersionTLS12}
		}, "MaxVersion"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			client, server, _ := tlstest.Configs(t)
			p := New()
			newEndpoint, cfg := p.NewClient, client
			if tt.server {
				newEndpoint, cfg = p.NewServer, server
			}
			tt.edit(cfg)
			_, err := newEndpoint(cfg)
			require.ErrorContains(t, err, tt.want)
			require.NotContains(t, err.Error(), "\n")
			handles, _ := p.Live()
			require.Zero(t, handles)
		})
	}
}

func certificateOf(t *testing.T, key crypto.Signer) tlsprovider.Certificate {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return tlsprovider.Certificate{Chain: tlstest.NewAuthority(t).Issue(t, key, nil), KeyDER: der}
}
