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
	// Chain holds the certificates in DER, leaf first.
	Chain [][]byte
	// KeyDER is the private key in PKCS #8, SEC 1 or PKCS #1. The provider's module parses it. An ML-DSA key can have
	// its seed, its expanded form or both (RFC 9881); the native provider requires the seed.
	// Endpoints keep the slice, because they need it again when their configuration changes.
	// It is never overwritten; see SECURITY.md.
	KeyDER []byte
	// Signer is used in place of KeyDER for a key that is not in memory, but in an HSM, a KMS
	// or another process. It is called on its own goroutine and may block. For an ML-DSA key its Public must have a
	// method Bytes() []byte, and Sign gets either the message, with options whose hash function is 0, or the 64 bytes
	// µ of FIPS 204, with MLDSAMu: the keys of Go 1.27's crypto/mldsa do both.
	Signer crypto.Signer

	// OCSPStaple (an OCSP response in DER) and SignedCertificateTimestamps are sent with the chain to peers that ask for
	// them. SetCertificates replaces them. SignatureSchemes, if not nil, limits the schemes that the key is used with. A provider
	// that does not support one of the three fields returns an error if it is set.
	OCSPStaple                  []byte
	SignedCertificateTimestamps [][]byte
	SignatureSchemes            []SignatureScheme
}

// MLDSAMu is the hash function in the options of a Signer whose digest is the value µ of ML-DSA. It equals
// crypto.MLDSAMu, which is new in Go 1.27.
const MLDSAMu = crypto.Hash(20)

// CertificateFromPEM parses a certificate chain and a private key. It skips PEM blocks of other types.
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

// LoadCertificate reads a certificate chain and a private key from PEM files.
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

// CertificateFromTLS converts a tls.Certificate. A private key in memory becomes KeyDER. Any other
// crypto.Signer becomes Signer.
func CertificateFromTLS(t tls.Certificate) (Certificate, error) {
	c := Certificate{
		Chain: t.Certificate, OCSPStaple: t.OCSPStaple, SignedCertificateTimestamps: t.SignedCertificateTimestamps,
	}
	for _, s := range t.SupportedSignatureAlgorithms {
		c.SignatureSchemes = append(c.SignatureSchemes, SignatureScheme(s))
	}
	if len(c.Chain) == 0 {
		return c, errors.New("tlsprovider: tls.Certificate.Certificate is empty")
	}
	if isMLDSA(t.PrivateKey) {
		der, err := x509.MarshalPKCS8PrivateKey(t.PrivateKey)
		c.KeyDER = der
		return c, err
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

// Roots is a set of trust anchors that every provider can read.
type Roots struct {
	ders [][]byte
}

// RootsFromPEM returns the certificates of all CERTIFICATE blocks. It skips other blocks.
func RootsFromPEM(pemBytes []byte) (*Roots, error) {
	r := new(Roots)
	for b, rest := pem.Decode(pemBytes); b != nil; b, rest = pem.Decode(rest) {
		if b.Type == "CERTIFICATE" {
			r.AddDER(b.Bytes)
		}
	}
	if len(r.ders) == 0 {
		return nil, errors.New("tlsprovider: no CERTIFICATE block in the PEM data of the roots")
	}
	return r, nil
}

// AddDER adds one certificate.
func (r *Roots) AddDER(der []byte) { r.ders = append(r.ders, der) }

// DER returns the certificates; the caller must not change them.
func (r *Roots) DER() [][]byte { return r.ders }
