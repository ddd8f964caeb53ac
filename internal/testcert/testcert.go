// Package testcert makes certificates for tests and benchmarks, in the forms that crypto/tls,
// other QUIC stacks and this module's providers take.
package testcert

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/pqquic/pqquic/tlsprovider"
)

// A Certificate is a certificate with its private key. Its fields are read-only.
type Certificate struct {
	X509   *x509.Certificate
	Key    crypto.Signer
	KeyDER []byte // Key in PKCS #8
}

// New returns a certificate for an ECDSA P-256 key that is valid for names, which are DNS names or IP
// addresses. It is valid from 1970 to 2106, so that it also holds on the fake clock of testing/synctest.
func New(names ...string) *Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	return ForKey(key, names...)
}

// ForKey is New for a given private key.
func ForKey(key crypto.Signer, names ...string) *Certificate { return issue(key, nil, names) }

// Issue returns a certificate for key that c's key has signed.
func (c *Certificate) Issue(key crypto.Signer, names ...string) *Certificate {
	return issue(key, c, names)
}

// issue returns a certificate of an authority, or a self-signed one if that is nil.
func issue(key crypto.Signer, by *Certificate, names []string) *Certificate {
	subject := pkix.Name{CommonName: "pqquic test"}
	if len(names) > 0 {
		subject.CommonName = names[0]
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: subject,
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	parent, signer := template, key
	if by != nil {
		template.IsCA, parent, signer = false, by.X509, by.Key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	check(err)
	cert, err := x509.ParseCertificate(der)
	check(err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	check(err)
	return &Certificate{X509: cert, Key: key, KeyDER: keyDER}
}

// check panics: no caller can do anything about a certificate that cannot be made.
func check(err error) {
	if err != nil {
		panic(err)
	}
}

// TLS returns the certificate for a crypto/tls configuration.
func (c *Certificate) TLS() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{c.X509.Raw}, PrivateKey: c.Key, Leaf: c.X509}
}

// Pool returns a pool that holds the certificate alone.
func (c *Certificate) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(c.X509)
	return pool
}

// Provider returns the certificate for a provider's configuration.
func (c *Certificate) Provider() tlsprovider.Certificate {
	return tlsprovider.Certificate{Chain: [][]byte{c.X509.Raw}, KeyDER: c.KeyDER}
}

// Roots returns roots that hold the certificate alone.
func (c *Certificate) Roots() *tlsprovider.Roots {
	roots := new(tlsprovider.Roots)
	roots.AddDER(c.X509.Raw)
	return roots
}

// Write writes the certificate and its key to cert.pem and key.pem in dir, and returns the two paths.
func (c *Certificate) Write(dir string) (certFile, keyFile string, err error) {
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	return certFile, keyFile, errors.Join(
		os.WriteFile(certFile, encode("CERTIFICATE", c.X509.Raw), 0o600),
		os.WriteFile(keyFile, encode("PRIVATE KEY", c.KeyDER), 0o600))
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
