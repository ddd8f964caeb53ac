package inspect

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// newAlgorithms maps object identifiers that crypto/x509 does not know to their names (NIST, CSOR).
var newAlgorithms = map[string]string{
	"2.16.840.1.101.3.4.3.17": "ML-DSA-44",
	"2.16.840.1.101.3.4.3.18": "ML-DSA-65",
	"2.16.840.1.101.3.4.3.19": "ML-DSA-87",
	"2.16.840.1.101.3.4.3.20": "SLH-DSA-SHA2-128s",
	"2.16.840.1.101.3.4.3.21": "SLH-DSA-SHA2-128f",
}

// Algorithms names a certificate's public key and the algorithm of its signature. pq reports whether the
// key is post-quantum.
func Algorithms(c *x509.Certificate) (key, signature string, pq bool) {
	switch k := c.PublicKey.(type) {
	case *ecdsa.PublicKey:
		key = "ECDSA " + k.Curve.Params().Name
	case *rsa.PublicKey:
		key = fmt.Sprintf("RSA %d", k.N.BitLen())
	default:
		key = c.PublicKeyAlgorithm.String()
	}
	if name, ok := newAlgorithms[keyOID(c.RawSubjectPublicKeyInfo)]; ok {
		key, pq = name, true
	}
	signature = c.SignatureAlgorithm.String()
	if name, ok := newAlgorithms[signatureOID(c.Raw)]; ok {
		signature = name
	}
	return key, signature, pq
}

// keyOID reads SubjectPublicKeyInfo.algorithm.
func keyOID(spki []byte) string {
	s := cryptobyte.String(spki)
	var info, alg cryptobyte.String
	if !s.ReadASN1(&info, casn1.SEQUENCE) || !info.ReadASN1(&alg, casn1.SEQUENCE) {
		return ""
	}
	return oid(alg)
}

// signatureOID reads Certificate.signatureAlgorithm.
func signatureOID(der []byte) string {
	s := cryptobyte.String(der)
	var cert, alg cryptobyte.String
	if !s.ReadASN1(&cert, casn1.SEQUENCE) || !cert.SkipASN1(casn1.SEQUENCE) ||
		!cert.ReadASN1(&alg, casn1.SEQUENCE) {
		return ""
	}
	return oid(alg)
}

func oid(s cryptobyte.String) string {
	var id asn1.ObjectIdentifier
	if !s.ReadASN1ObjectIdentifier(&id) {
		return ""
	}
	return id.String()
}
