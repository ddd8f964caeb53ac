// Package certs makes keys and certificates for tests: ECDSA, RSA, Ed25519 and ML-DSA, also mixed in one chain.
// crypto/x509 of Go 1.26 makes no certificates with ML-DSA, so this package encodes those itself. The signatures are
// made by Go 1.27's crypto/mldsa or by AWS-LC.
package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cryptobyteasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// An Algorithm is the type of a key.
type Algorithm string

var makers = []struct {
	name Algorithm
	make func() (crypto.Signer, error)
}{
	{"ecdsa-p256", ecKey(elliptic.P256())},
	{"ecdsa-p384", ecKey(elliptic.P384())},
	{"ed25519", func() (crypto.Signer, error) {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}},
	{"rsa-2048", rsaKey(2048)},
	{"rsa-3072", rsaKey(3072)},
	{"rsa-4096", rsaKey(4096)},
	{"ml-dsa-44", mldsaKey(44)},
	{"ml-dsa-65", mldsaKey(65)},
	{"ml-dsa-87", mldsaKey(87)},
}

func ecKey(c elliptic.Curve) func() (crypto.Signer, error) {
	return func() (crypto.Signer, error) { return ecdsa.GenerateKey(c, rand.Reader) }
}

func rsaKey(bits int) func() (crypto.Signer, error) {
	return func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, bits) }
}

func mldsaKey(level int) func() (crypto.Signer, error) {
	return func() (crypto.Signer, error) {
		var seed [seedLen]byte
		_, _ = rand.Read(seed[:]) // never fails
		return newMLDSA(level, seed[:])
	}
}

// Algorithms returns the names of all algorithms.
func Algorithms() []string {
	var out []string
	for _, m := range makers {
		out = append(out, string(m.name))
	}
	return out
}

// NewKey makes a private key.
func NewKey(a Algorithm) (crypto.Signer, error) {
	for _, m := range makers {
		if m.name == a {
			return m.make()
		}
	}
	return nil, fmt.Errorf("unknown key algorithm %q: use one of %s", a, strings.Join(Algorithms(), ", "))
}

// A KeyForm is one of the forms of an ML-DSA private key in PKCS #8 (RFC 9881, section 6). Other keys have one form.
type KeyForm string

const (
	Seed     KeyForm = "seed"
	Expanded KeyForm = "expanded"
	Both     KeyForm = "both"
)

// MarshalKey encodes a private key in PKCS #8.
func MarshalKey(key crypto.Signer, form KeyForm) ([]byte, error) {
	if k, ok := key.(*mldsa); ok {
		return k.marshal(form)
	}
	if form != Seed && form != "" {
		return nil, fmt.Errorf("the key form %q is only for ML-DSA keys", form)
	}
	return x509.MarshalPKCS8PrivateKey(key)
}

// ParseKey parses a private key in PKCS #8. An ML-DSA key must include its seed.
func ParseKey(der []byte) (crypto.Signer, error) {
	if k, err := parseMLDSA(der); k != nil || err != nil {
		return k, err
	}
	k, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	if s, ok := k.(crypto.Signer); ok {
		return s, nil
	}
	return nil, errors.New("the private key does not sign")
}

// AlgorithmOf returns the algorithm of a certificate's key.
func AlgorithmOf(c *x509.Certificate) Algorithm {
	info := cryptobyte.String(c.RawSubjectPublicKeyInfo)
	var list, id cryptobyte.String
	var oid asn1.ObjectIdentifier
	if info.ReadASN1(&list, cryptobyteasn1.SEQUENCE) && list.ReadASN1(&id, cryptobyteasn1.SEQUENCE) && id.ReadASN1ObjectIdentifier(&oid) {
		for level := range oids {
			if oid.Equal(oids[level]) {
				return Algorithm(fmt.Sprintf("ml-dsa-%d", level))
			}
		}
	}
	switch k := c.PublicKey.(type) {
	case *ecdsa.PublicKey:
		return Algorithm(fmt.Sprintf("ecdsa-p%d", k.Curve.Params().BitSize))
	case ed25519.PublicKey:
		return "ed25519"
	case *rsa.PublicKey:
		return Algorithm(fmt.Sprintf("rsa-%d", k.N.BitLen()))
	}
	return Algorithm(fmt.Sprintf("%T", c.PublicKey))
}
