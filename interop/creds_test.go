package interop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
)

const serverName = "interop.test"

// creds is one certificate for all.
type creds struct {
	tls   tls.Certificate
	pool  *x509.CertPool
	ours  tlsprovider.Certificate
	roots *tlsprovider.Roots
	// others are roots that did not issue the certificate.
	others *tlsprovider.Roots
}

func newCreds(t *testing.T) *creds {
	cert, key := selfSigned(t)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	c := &creds{
		tls:  tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key},
		pool: x509.NewCertPool(), ours: tlsprovider.Certificate{Chain: [][]byte{cert.Raw}, KeyDER: keyDER},
		roots: new(tlsprovider.Roots), others: new(tlsprovider.Roots),
	}
	c.pool.AddCert(cert)
	c.roots.AddDER(cert.Raw)
	other, _ := selfSigned(t)
	c.others.AddDER(other.Raw)
	return c
}

func selfSigned(t *testing.T) (*x509.Certificate, *ecdsa.PrivateKey) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: serverName}, DNSNames: []string{serverName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return cert, key
}

func (c *creds) config(o options) *tls.Config {
	t := &tls.Config{
		MinVersion: tls.VersionTLS13, NextProtos: []string{o.alpn}, ServerName: serverName,
		RootCAs: c.pool, Certificates: []tls.Certificate{c.tls},
	}
	if o.noRoots {
		t.RootCAs = x509.NewCertPool()
	}
	for _, g := range o.groups {
		t.CurvePreferences = append(t.CurvePreferences, tls.CurveID(g))
	}
	return t
}
