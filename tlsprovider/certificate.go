package tlsprovider

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
)

// A Certificate is a chain and the private key of its leaf.
type Certificate struct {
	// Chain is DER, leaf first.
	Chain [][]byte
	// KeyDER is the private key in PKCS #8, SEC 1 or PKCS #1. The provider's module parses it.
	// Endpoints keep the slice, because a change of their configuration needs it again, and
	// nothing wipes it: see SECURITY.md.
	KeyDER []byte
	// Signer is a key that is not in memory (an HSM, a KMS, another process); KeyDER is then
	// nil. It is called on goroutines of its own and may block.
	Signer crypto.Signer

	// OCSPStaple and SignedCertificateTimestamps are sent with the chain to peers that ask for
	// them. SignatureSchemes, if not nil, are the only ones that the key signs with. A provider
	// that cannot honour one of the three refuses the Certificate.
	OCSPStaple                  []byte
	SignedCertificateTimestamps [][]byte
	SignatureSchemes            []SignatureScheme
}

// CertificateFromPEM reads a chain and a key. Blocks of other types are skipped.
func CertificateFromPEM(certPEM, keyPEM []byte) (Certificate, error) {
	var c Certificate
	for b, rest := pem.Decode(certPEM); b != nil; b, rest = pem.Decode(rest) {
		if b.Type == "CERTIFICATE" {
			c.Chain = append(c.Chain, b.Bytes)
		}
	}
	if len(c.Chain) == 0 {
		return c, errors.New("tlsprovider: no CERTIFICATE block in the certificate PEM")
	}
	for b, rest := pem.Decode(keyPEM); b != nil; b, rest = pem.Decode(rest) {
		if b.Type == "PRIVATE KEY" || strings.HasSuffix(b.Type, " PRIVATE KEY") {
			if b.Type == "ENCRYPTED PRIVATE KEY" || b.Headers["DEK-Info"] != "" {
				return c, errors.New("tlsprovider: the private key is encrypted; decrypt it first")
			}
			c.KeyDER = b.Bytes
			return c, nil
		}
	}
	return c, errors.New("tlsprovider: no PRIVATE KEY block in the key PEM")
}

// LoadCertificate reads a chain and a key from PEM files.
func LoadCertificate(certFile, keyFile string) (Certificate, error) {
	cert, err := os.ReadFile(certFile)
	if err != nil {
		return Certificate{}, err
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return Certificate{}, err
	}
	defer clear(key)
	c, err := CertificateFromPEM(cert, key)
	if err != nil {
		return c, fmt.Errorf("%s, %s: %w", certFile, keyFile, err)
	}
	return c, nil
}

// CertificateFromTLS converts a tls.Certificate. Keys that are in memory are handed to the provider's
// module; any other Signer stays where it is.
func CertificateFromTLS(t tls.Certificate) (Certificate, error) {
	c := Certificate{
		Chain: t.Certificate, OCSPStaple: t.OCSPStaple, SignedCertificateTimestamps: t.SignedCertificateTimestamps,
	}
	for _, s := range t.SupportedSignatureAlgorithms {
		c.SignatureSchemes = append(c.SignatureSchemes, SignatureScheme(s))
	}
	if len(c.Chain) == 0 {
		return c, errors.New("tlsprovider: tls.Certificate without a certificate")
	}
	switch k := t.PrivateKey.(type) {
	case *ecdsa.PrivateKey, *rsa.PrivateKey, ed25519.PrivateKey:
		der, err := x509.MarshalPKCS8PrivateKey(k)
		c.KeyDER = der
		return c, err
	case crypto.Signer:
		c.Signer = k
		return c, nil
	}
	return c, fmt.Errorf("tlsprovider: private key of type %T is not a crypto.Signer", t.PrivateKey)
}

// Roots is a set of trust anchors in a form that every provider can take.
type Roots struct {
	ders [][]byte
}

// RootsFromPEM reads every CERTIFICATE block.
func RootsFromPEM(pemBytes []byte) (*Roots, error) {
	r := new(Roots)
	for b, rest := pem.Decode(pemBytes); b != nil; b, rest = pem.Decode(rest) {
		if b.Type == "CERTIFICATE" {
			r.AddDER(b.Bytes)
		}
	}
	if len(r.ders) == 0 {
		return nil, errors.New("tlsprovider: no CERTIFICATE block among the roots")
	}
	return r, nil
}

// AddDER adds one certificate.
func (r *Roots) AddDER(der []byte) { r.ders = append(r.ders, der) }

// DER returns the certificates; the caller must not change them.
func (r *Roots) DER() [][]byte { return r.ders }
