package mldsa

import (
	"errors"
	"fmt"

	"github.com/pqquic/pqquic/tlsprovider"
)

// Authenticated returns nil if a peer is authenticated by post-quantum signatures alone. Otherwise the error says which
// one is classical. scheme is that of the peer's CertificateVerify, chain is what the peer sent and the provider
// verified, and isRoot reports whether a certificate is one of the trusted roots.
//
// Every certificate of the path that a provider has verified is a trusted root or was sent by the peer, so it is
// sufficient to look at what was sent. The signature of a root is not relied on: the program trusts the root itself.
// A certificate whose issuer has the same name as its subject is not a root because of that: another certificate with
// this name may have signed it.
func Authenticated(scheme tlsprovider.SignatureScheme, chain [][]byte, isRoot func(der []byte) bool) error {
	switch {
	case len(chain) == 0:
		return errors.New("there is no certificate of the peer")
	case !scheme.PostQuantum():
		return fmt.Errorf("the peer's CertificateVerify is signed with %v, which is classical", scheme)
	}
	for i, der := range chain {
		if isRoot(der) {
			continue
		}
		_, rest, ok := certificate(der)
		if !ok {
			return fmt.Errorf("certificate %d of the peer does not parse", i)
		}
		oid, level, ok := readAlgorithm(&rest)
		if !ok || level == 0 {
			return fmt.Errorf("certificate %d of the peer is signed with %s, which is classical", i, algorithmName(oid.String()))
		}
	}
	return nil
}

// algorithmName returns the name of a signature algorithm's object identifier, or the identifier.
func algorithmName(oid string) string {
	if name, ok := map[string]string{
		"1.2.840.10045.4.3.2":   "ECDSA with SHA-256",
		"1.2.840.10045.4.3.3":   "ECDSA with SHA-384",
		"1.2.840.10045.4.3.4":   "ECDSA with SHA-512",
		"1.2.840.113549.1.1.10": "RSA-PSS",
		"1.2.840.113549.1.1.11": "RSA with SHA-256",
		"1.2.840.113549.1.1.12": "RSA with SHA-384",
		"1.2.840.113549.1.1.13": "RSA with SHA-512",
		"1.3.101.112":           "Ed25519",
	}[oid]; ok {
		return name
	}
	return "the algorithm " + oid
}
