package interop

import (
	"crypto/tls"
	"crypto/x509"

	"github.com/pqquic/pqquic/internal/testcert"
)

const serverName = "interop.test"

// creds is one certificate for every endpoint.
type creds struct {
	*testcert.Certificate
	other *testcert.Certificate // an authority that verifies nothing here
}

func newCreds() *creds { return &creds{testcert.New(serverName), testcert.New(serverName)} }

func (c *creds) config(o options) *tls.Config {
	t := &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{o.alpn}, ServerName: serverName,
		RootCAs: c.Pool(), Certificates: []tls.Certificate{c.TLS()},
	}
	if o.noRoots {
		t.RootCAs = x509.NewCertPool()
	}
	for _, g := range o.groups {
		t.CurvePreferences = append(t.CurvePreferences, tls.CurveID(g))
	}
	return t
}
