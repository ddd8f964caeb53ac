// Package approved reports which TLS algorithms are approved under FIPS 140-3. All providers use it.
package approved

import (
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"strings"

	"github.com/pqquic/pqquic/tlsprovider"
)

// A Module lists the newer algorithms that were validated with a cryptographic module. AES-GCM, HKDF, ECDH and
// ECDSA on the NIST curves, and RSA are part of every module.
type Module struct {
	MLKEM   bool // FIPS 203
	MLDSA   bool // FIPS 204
	Ed25519 bool // FIPS 186-5
}

// The modules of the providers; docs/fips.md has the same table.
var (
	AWSLCFIPS3 = Module{MLKEM: true, Ed25519: true}
	AWSLCFIPS4 = Module{MLKEM: true, MLDSA: true, Ed25519: true}
	Go         = Module{MLKEM: true, Ed25519: true}
)

// GoModule returns the module of a version of the Go Cryptographic Module. Only v1.0.0 has no ML-DSA.
func GoModule(version string) Module {
	m := Go
	m.MLDSA = version != "v1.0.0"
	return m
}

// parts are the key exchanges of a group.
type parts struct {
	kem   string
	curve string
	nist  bool // curve is approved
}

var groups = map[tlsprovider.Group]parts{
	tlsprovider.P256:               {curve: "P-256", nist: true},
	tlsprovider.P384:               {curve: "P-384", nist: true},
	tlsprovider.P521:               {curve: "P-521", nist: true},
	tlsprovider.MLKEM1024:          {kem: "ML-KEM-1024"},
	tlsprovider.X25519MLKEM768:     {kem: "ML-KEM-768", curve: "X25519"},
	tlsprovider.SecP256r1MLKEM768:  {kem: "ML-KEM-768", curve: "P-256", nist: true},
	tlsprovider.SecP384r1MLKEM1024: {kem: "ML-KEM-1024", curve: "P-384", nist: true},
}

// Group reports whether a group is approved. A hybrid is approved if one of its parts is; detail then names
// the part that is not relied on.
//
// NIST SP 800-56C Revision 2, section 2, allows a shared secret Z to be followed by one that was made
// by another method.
func (m Module) Group(g tlsprovider.Group) (detail string, ok bool) {
	p := groups[g]
	kem, curve := p.kem != "" && m.MLKEM, p.nist
	switch {
	case kem && curve, kem && p.curve == "", curve && p.kem == "":
		return g.String(), true
	case kem:
		return fmt.Sprintf("%v (%s; %s is not relied on)", g, p.kem, p.curve), true
	case curve:
		return fmt.Sprintf("%v (%s; %s is not relied on)", g, p.curve, p.kem), true
	}
	return g.String(), false
}

// Suite reports whether a cipher suite is approved.
func (m Module) Suite(c tlsprovider.CipherSuite) bool {
	return c == tlsprovider.AES128GCM || c == tlsprovider.AES256GCM
}

// Scheme reports whether a signature scheme is approved. [Module.Key] checks the length of RSA keys.
func (m Module) Scheme(s tlsprovider.SignatureScheme) bool {
	switch s {
	case 0x0403, 0x0503, 0x0603, // ECDSA on the NIST curves
		0x0804, 0x0805, 0x0806, 0x0809, 0x080a, 0x080b, // RSA-PSS
		0x0301, 0x0303, 0x0401, 0x0501, 0x0601: // SHA-224, and PKCS #1 v1.5 with SHA-2: in certificates only
		return true
	case 0x0807:
		return m.Ed25519
	case 0x0904, 0x0905, 0x0906:
		return m.MLDSA
	}
	return false
}

// minRSA is the shortest RSA modulus, in bits (FIPS 186-5, 5.1).
const minRSA = 2048

// Key returns an error if leaf has an RSA key that is too short to be approved, or if that cannot be told. For other
// keys the signature scheme decides.
func (m Module) Key(leaf []byte) error {
	k, err := rsaKey(leaf)
	if err != nil {
		return fmt.Errorf("the certificate does not parse, so the length of its key is unknown: %w", err)
	}
	if k != nil && k.N.BitLen() < minRSA {
		return fmt.Errorf("an RSA key of %d bits is not approved under FIPS 140-3: use %d or more", k.N.BitLen(), minRSA)
	}
	return nil
}

// rsaPSS is id-RSASSA-PSS, the type of RSA keys for PSS alone (RFC 4055, 1.2). crypto/x509 does not parse such keys.
var rsaPSS = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}

// rsaKey returns the public key of a certificate, or nil if it is not an RSA key.
func rsaKey(leaf []byte) (*rsa.PublicKey, error) {
	c, err := x509.ParseCertificate(leaf)
	if err != nil {
		return nil, err
	}
	if k, ok := c.PublicKey.(*rsa.PublicKey); ok {
		return k, nil
	}
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(c.RawSubjectPublicKeyInfo, &info); err != nil {
		return nil, err
	}
	if !info.Algorithm.Algorithm.Equal(rsaPSS) {
		return nil, nil
	}
	return x509.ParsePKCS1PublicKey(info.Key.Bytes)
}

// Unapproved returns the names of the groups, cipher suites and signature schemes that are not approved.
func (m Module) Unapproved(gs []tlsprovider.Group, suites []tlsprovider.CipherSuite, schemes []tlsprovider.SignatureScheme) (out []string) {
	for _, g := range gs {
		if _, ok := m.Group(g); !ok {
			out = append(out, g.String())
		}
	}
	for _, c := range suites {
		if !m.Suite(c) {
			out = append(out, c.String())
		}
	}
	for _, s := range schemes {
		if !m.Scheme(s) {
			out = append(out, s.String())
		}
	}
	return out
}

// A Connection describes the algorithms of a completed handshake.
type Connection struct {
	Group tlsprovider.Group
	Suite tlsprovider.CipherSuite
	// Schemes are those of the CertificateVerify messages of both sides, 0 for none.
	Schemes [2]tlsprovider.SignatureScheme
	// PeerLeaf is the certificate of the peer, nil if none was sent.
	PeerLeaf []byte
	// Outside describes a security function that the module may not have performed in an approved
	// way; "" if there is none.
	Outside string
}

// Judge reports whether all security functions of a connection are approved. detail lists them, or names the
// one that is not.
func (m Module) Judge(c Connection) (ok bool, detail string) {
	group, ok := m.Group(c.Group)
	switch {
	case !ok:
		return false, group + " is not approved"
	case !m.Suite(c.Suite):
		return false, c.Suite.String() + " is not approved"
	}
	list := []string{group, c.Suite.String()}
	for _, s := range c.Schemes {
		if s == 0 {
			continue
		}
		if !m.Scheme(s) {
			return false, s.String() + " is not approved"
		}
		list = append(list, s.String())
	}
	if c.PeerLeaf != nil {
		if err := m.Key(c.PeerLeaf); err != nil {
			return false, "the peer's certificate: " + err.Error()
		}
	}
	if c.Outside != "" {
		return false, c.Outside
	}
	return true, strings.Join(list, ", ")
}
