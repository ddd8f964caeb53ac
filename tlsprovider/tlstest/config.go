package tlstest

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"testing"

	"github.com/pqquic/pqquic/tlsprovider/tlstest/internal/require"

	"github.com/pqquic/pqquic/tlsprovider"
)

// A ConfigFault is a change to a valid configuration that a provider must refuse.
type ConfigFault struct {
	name   string
	server bool
	edit   func(*tlsprovider.Config)
	want   string // text that the error contains
}

// ClientFault returns a fault of a client's configuration.
func ClientFault(name string, edit func(*tlsprovider.Config), want string) ConfigFault {
	return ConfigFault{name, false, edit, want}
}

// ServerFault returns a fault of a server's configuration.
func ServerFault(name string, edit func(*tlsprovider.Config), want string) ConfigFault {
	return ConfigFault{name, true, edit, want}
}

// ConfigFaults returns the faults for which all providers have the same error text.
func ConfigFaults(t *testing.T) []ConfigFault {
	return []ConfigFault{
		ClientFault("no NextProtos", func(c *tlsprovider.Config) { c.NextProtos = nil }, "NextProtos is empty"),
		ClientFault("empty protocol", func(c *tlsprovider.Config) { c.NextProtos = []string{""} }, "1 to 255 bytes"),
		ServerFault("no certificate", func(c *tlsprovider.Config) { c.Certificates = nil }, "Certificates"),
		ClientFault("no groups", func(c *tlsprovider.Config) { c.Groups = []tlsprovider.Group{} }, "Groups is empty"),
		ClientFault("unknown group", func(c *tlsprovider.Config) { c.Groups = []tlsprovider.Group{0x1234} }, "group 0x1234"),
		ClientFault("classical groups with RequirePQ", func(c *tlsprovider.Config) {
			c.Groups, c.RequirePQ = []tlsprovider.Group{tlsprovider.P256}, true
		}, "RequirePQ"),
		ServerFault("client auth", func(c *tlsprovider.Config) { c.ClientAuth = 9 }, "ClientAuth 9"),
		ServerFault("ticket key", func(c *tlsprovider.Config) { c.TicketKeys = [][]byte{make([]byte, 16)} }, "ticket key 0 has 16 bytes"),
		ServerFault("no key", func(c *tlsprovider.Config) { c.Certificates[0].KeyDER = nil }, "no private key"),
		ServerFault("key of another certificate", func(c *tlsprovider.Config) {
			c.Certificates[0].KeyDER = NewAuthority(t).Leaf(t, nil).KeyDER
		}, "does not belong"),
		ServerFault("both kinds of key", func(c *tlsprovider.Config) { c.Certificates[0].Signer = NewAuthority(t).Key }, "both"),
		ServerFault("signer of another certificate", func(c *tlsprovider.Config) {
			c.Certificates[0].KeyDER, c.Certificates[0].Signer = nil, NewAuthority(t).Key
		}, "does not belong"),
		ServerFault("junk for a certificate", func(c *tlsprovider.Config) {
			c.Certificates[0].Chain = [][]byte{[]byte("junk")}
		}, "certificate 0"),
		ServerFault("ECDSA on another curve", func(c *tlsprovider.Config) {
			key, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
			require.NoError(t, err)
			c.Certificates[0] = CertificateOf(t, key)
		}, "P-224"),
		ClientFault("junk among the roots", func(c *tlsprovider.Config) { c.RootCAs.AddDER([]byte("junk")) }, "RootCAs: certificate 1"),
		ClientFault("no RootCAs in the set", func(c *tlsprovider.Config) { c.RootCAs = new(tlsprovider.Roots) }, "RootCAs: the set is empty"),
		ServerFault("ClientAuth without ClientCAs", func(c *tlsprovider.Config) {
			c.ClientAuth, c.RootCAs = tlsprovider.VerifyClientCertIfGiven, NewAuthority(t).Roots()
		}, "ClientAuth without ClientCAs"),
		ServerFault("junk among the client CAs", func(c *tlsprovider.Config) {
			c.ClientAuth, c.ClientCAs = tlsprovider.RequireClientCert, new(tlsprovider.Roots)
			c.ClientCAs.AddDER([]byte("junk"))
		}, "ClientCAs: certificate 0"),
	}
}

// KeyThatDoesNotSign returns a change to a server's configuration: an X25519 key, which cannot sign.
func KeyThatDoesNotSign(t *testing.T) func(*tlsprovider.Config) {
	return func(c *tlsprovider.Config) {
		key, err := ecdh.X25519().GenerateKey(rand.Reader)
		require.NoError(t, err)
		c.Certificates[0].KeyDER, err = x509.MarshalPKCS8PrivateKey(key)
		require.NoError(t, err)
	}
}

// RefuseConfigs checks that a provider refuses each of faults with an error of one line and leaves nothing behind.
func RefuseConfigs(t *testing.T, p tlsprovider.Provider, live func() (handles, bytes int64), faults []ConfigFault) {
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			client, server, _ := Configs(t)
			newEndpoint, cfg := p.NewClient, client
			if f.server {
				newEndpoint, cfg = p.NewServer, server
			}
			f.edit(cfg)
			before, _ := live()
			_, err := newEndpoint(cfg)
			require.ErrorContains(t, err, f.want)
			require.NotContains(t, err.Error(), "\n")
			after, _ := live()
			require.Equal(t, before, after)
		})
	}
}

// CertificateOf returns a self-signed certificate for a key.
func CertificateOf(t *testing.T, key crypto.Signer) tlsprovider.Certificate {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return tlsprovider.Certificate{Chain: NewAuthority(t).Issue(t, key, nil), KeyDER: der}
}
