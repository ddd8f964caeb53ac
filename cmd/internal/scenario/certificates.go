package scenario

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// A CertificateType is the type of a certificate's key.
type CertificateType string

// DefaultCertificate is the type that s2n-netbench's generator uses.
const DefaultCertificate CertificateType = "ecdsa-p256"

type keyType struct {
	name CertificateType
	oids [][]uint64 // as the ID counts them
	make func() (crypto.Signer, error)
}

func rsaKey(bits int) func() (crypto.Signer, error) {
	return func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, bits) }
}

func ecKey(c elliptic.Curve) func() (crypto.Signer, error) {
	return func() (crypto.Signer, error) { return ecdsa.GenerateKey(c, rand.Reader) }
}

var (
	oidEC      = []uint64{1, 2, 840, 10045, 2, 1}
	oidRSA     = [][]uint64{{1, 2, 840, 113549, 1, 1, 1}}
	oidEd25519 = [][]uint64{{1, 3, 101, 112}}

	keyTypes = []keyType{
		{"ecdsa-p256", [][]uint64{oidEC, {1, 2, 840, 10045, 3, 1, 7}}, ecKey(elliptic.P256())},
		{"ecdsa-p384", [][]uint64{oidEC, {1, 3, 132, 0, 34}}, ecKey(elliptic.P384())},
		{"ed25519", oidEd25519, func() (crypto.Signer, error) {
			_, key, err := ed25519.GenerateKey(rand.Reader)
			return key, err
		}},
		{"rsa-2048", oidRSA, rsaKey(2048)},
		{"rsa-3072", oidRSA, rsaKey(3072)},
		{"rsa-4096", oidRSA, rsaKey(4096)},
	}
)

// CertificateTypes lists the available types.
func CertificateTypes() (names []string) {
	for _, k := range keyTypes {
		names = append(names, string(k.name))
	}
	return names
}

func (t CertificateType) key() (keyType, error) {
	for _, k := range keyTypes {
		if k.name == t {
			return k, nil
		}
	}
	return keyType{}, fmt.Errorf("unknown certificate type %q: use one of %s", t, strings.Join(CertificateTypes(), ", "))
}

// template describes how one of the certificates is made.
type template struct {
	kind uint64 // 0 authority, 1 private key, 2 chain
	oids [][]uint64
}

func (t template) hash(h *hash) {
	h.u64(t.kind)
	if t.kind == 2 {
		return
	}
	h.num(len(t.oids))
	for _, oid := range t.oids {
		h.num(len(oid))
		for _, arc := range oid {
			h.u64(arc)
		}
	}
	if t.kind == 1 {
		h.u64(0) // its authority
		h.num(0) // intermediates
	}
}

// templates returns the templates of a scenario's certificates: an authority, the servers' private key, and
// its chain.
func templates(k keyType) []template {
	return []template{{0, k.oids}, {1, k.oids}, {2, nil}}
}

// NewCertificates makes an authority, a private key and its chain for the scenario with this ID.
func NewCertificates(id string, t CertificateType) ([]Certificate, error) {
	k, err := t.key()
	if err != nil {
		return nil, err
	}
	caKey, err := k.make()
	if err != nil {
		return nil, err
	}
	name := id + ".net"
	ca := newTemplate("netbench CA 0")
	ca.DNSNames = []string{name}
	ca.IsCA, ca.KeyUsage = true, x509.KeyUsageDigitalSignature|x509.KeyUsageCertSign|x509.KeyUsageCRLSign
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return nil, err
	}
	// The certificate is parsed so that the leaf refers to the key identifier that was chosen.
	if ca, err = x509.ParseCertificate(caDER); err != nil {
		return nil, err
	}
	key, err := k.make()
	if err != nil {
		return nil, err
	}
	leaf := newTemplate("netbench Leaf 1")
	leaf.DNSNames = []string{name, "*." + name}
	leaf.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
	leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return []Certificate{{PEM: encode("CERTIFICATE", caDER)}, {PEM: encode("PRIVATE KEY", keyDER)},
		{PEM: encode("CERTIFICATE", leafDER)}}, nil
}

func encode(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func newTemplate(name string) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name, Country: []string{"US"}},
		// A scenario file has no expiry date.
		NotBefore:             time.Date(1975, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:              time.Date(4096, 1, 1, 0, 0, 0, 0, time.UTC),
		BasicConstraintsValid: true,
	}
}

// KeyName returns the type of a certificate with this public key.
func KeyName(public crypto.PublicKey) string {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		return fmt.Sprintf("ecdsa-p%d", k.Curve.Params().BitSize)
	case ed25519.PublicKey:
		return "ed25519"
	case *rsa.PublicKey:
		return fmt.Sprintf("rsa-%d", k.N.BitLen())
	}
	return fmt.Sprintf("%T", public)
}
