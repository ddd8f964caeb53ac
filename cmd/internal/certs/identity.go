package certs

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"
)

// An Identity is a private key with its certificate chain: of an authority, a server or a client.
type Identity struct {
	Key crypto.Signer
	// Chain holds the certificates in DER, the identity's own first. It does not include the root, unless the identity
	// is a root.
	Chain [][]byte
	cert  *x509.Certificate
}

// Validity is the time during which certificates are valid.
type Validity struct{ From, To time.Time }

// NewRoot makes a self-signed authority.
func NewRoot(name string, a Algorithm, v Validity) (*Identity, error) {
	return issue(nil, authority(name, v), a)
}

// NewCA makes an authority whose certificate ca signs.
func (ca *Identity) NewCA(name string, a Algorithm, v Validity) (*Identity, error) {
	return issue(ca, authority(name, v), a)
}

// NewLeaf makes a certificate for hosts, which are DNS names or IP addresses. It is for servers and for clients.
func (ca *Identity) NewLeaf(name string, hosts []string, a Algorithm, v Validity) (*Identity, error) {
	t := template(name, v)
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, host)
		}
	}
	return issue(ca, t, a)
}

func authority(name string, v Validity) *x509.Certificate {
	t := template(name, v)
	t.IsCA, t.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageCRLSign
	return t
}

func template(name string, v Validity) *x509.Certificate {
	serial := make([]byte, 16)
	_, _ = rand.Read(serial) // never fails
	serial[0] |= 0x40        // not zero
	serial[0] &= 0x7f
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial), Subject: pkix.Name{CommonName: name},
		NotBefore: v.From, NotAfter: v.To, BasicConstraintsValid: true,
	}
}

// issue makes an identity whose certificate ca signs, or a self-signed one if ca is nil.
func issue(ca *Identity, t *x509.Certificate, a Algorithm) (*Identity, error) {
	key, err := NewKey(a)
	if err != nil {
		return nil, err
	}
	parent, signer := t, key
	if ca != nil {
		parent, signer = ca.cert, ca.Key
	}
	der, err := Create(t, parent, key, signer)
	if err != nil {
		return nil, err
	}
	id := &Identity{Key: key, Chain: [][]byte{der}}
	if id.cert, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	if ca != nil && !ca.isRoot() {
		id.Chain = append(id.Chain, ca.Chain...)
	}
	return id, nil
}

func (id *Identity) isRoot() bool { return id.cert.Issuer.String() == id.cert.Subject.String() }

// ChainPEM returns the chain in PEM.
func (id *Identity) ChainPEM() []byte {
	var out []byte
	for _, der := range id.Chain {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return out
}

// ParseIdentity parses what ChainPEM returns, and a private key in PKCS #8 and PEM.
func ParseIdentity(chain, key []byte) (*Identity, error) {
	id := new(Identity)
	for b, rest := pem.Decode(chain); b != nil; b, rest = pem.Decode(rest) {
		id.Chain = append(id.Chain, b.Bytes)
	}
	if len(id.Chain) == 0 {
		return nil, errors.New("there is no certificate in the PEM file")
	}
	b, _ := pem.Decode(key)
	if b == nil || b.Type != "PRIVATE KEY" {
		return nil, errors.New("there is no PRIVATE KEY in the PEM file of the key")
	}
	var err error
	if id.cert, err = x509.ParseCertificate(id.Chain[0]); err != nil {
		return nil, err
	}
	if id.Key, err = ParseKey(b.Bytes); err != nil {
		return nil, fmt.Errorf("the private key: %w", err)
	}
	return id, nil
}
