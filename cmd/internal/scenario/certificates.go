package scenario

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/pqquic/pqquic/cmd/internal/certs"
)

// A CertificateType is the type of a certificate's key.
type CertificateType string

// DefaultCertificate is the type that s2n-netbench's generator uses.
const DefaultCertificate CertificateType = "ecdsa-p256"

type keyType struct {
	name CertificateType
	oids [][]uint64 // as the ID counts them
}

var (
	oidEC      = []uint64{1, 2, 840, 10045, 2, 1}
	oidRSA     = [][]uint64{{1, 2, 840, 113549, 1, 1, 1}}
	oidEd25519 = [][]uint64{{1, 3, 101, 112}}

	keyTypes = []keyType{
		{"ecdsa-p256", [][]uint64{oidEC, {1, 2, 840, 10045, 3, 1, 7}}},
		{"ecdsa-p384", [][]uint64{oidEC, {1, 3, 132, 0, 34}}},
		{"ed25519", oidEd25519},
		{"rsa-2048", oidRSA},
		{"rsa-3072", oidRSA},
		{"rsa-4096", oidRSA},
		// s2n-netbench does not have these.
		{"ml-dsa-44", [][]uint64{{2, 16, 840, 1, 101, 3, 4, 3, 17}}},
		{"ml-dsa-65", [][]uint64{{2, 16, 840, 1, 101, 3, 4, 3, 18}}},
		{"ml-dsa-87", [][]uint64{{2, 16, 840, 1, 101, 3, 4, 3, 19}}},
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
	caKey, err := certs.NewKey(certs.Algorithm(k.name))
	if err != nil {
		return nil, err
	}
	name := id + ".net"
	ca := newTemplate("netbench CA 0")
	ca.DNSNames = []string{name}
	ca.IsCA, ca.KeyUsage = true, x509.KeyUsageDigitalSignature|x509.KeyUsageCertSign|x509.KeyUsageCRLSign
	caDER, err := certs.Create(ca, ca, caKey, caKey)
	if err != nil {
		return nil, err
	}
	// The certificate is parsed so that the leaf refers to the key identifier that was chosen.
	if ca, err = x509.ParseCertificate(caDER); err != nil {
		return nil, err
	}
	key, err := certs.NewKey(certs.Algorithm(k.name))
	if err != nil {
		return nil, err
	}
	leaf := newTemplate("netbench Leaf 1")
	leaf.DNSNames = []string{name, "*." + name}
	leaf.KeyUsage = x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment
	leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	leafDER, err := certs.Create(leaf, ca, key, caKey)
	if err != nil {
		return nil, err
	}
	keyDER, err := certs.MarshalKey(key, certs.Seed)
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
