package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/pqquic/pqquic/tlsprovider"
)

const (
	serverName = "server.test"
	alpn       = "test"
)

// creds is one self-signed P-256 certificate, in every form that is needed.
type creds struct {
	tls   tls.Certificate
	pool  *x509.CertPool
	ours  tlsprovider.Certificate
	roots *tlsprovider.Roots

	dir, certFile, keyFile string
}

func newCreds() (*creds, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: serverName}, DNSNames: []string{serverName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	c := &creds{
		tls:  tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf},
		pool: x509.NewCertPool(), ours: tlsprovider.Certificate{Chain: [][]byte{der}, KeyDER: keyDER},
		roots: new(tlsprovider.Roots),
	}
	c.pool.AddCert(leaf)
	c.roots.AddDER(der)
	if c.dir, err = os.MkdirTemp("", "pqquic-bench"); err != nil {
		return nil, err
	}
	c.certFile, c.keyFile = filepath.Join(c.dir, "cert.pem"), filepath.Join(c.dir, "key.pem")
	return c, errors.Join(
		os.WriteFile(c.certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(c.keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), 0o600))
}

func (c *creds) remove() { os.RemoveAll(c.dir) }
