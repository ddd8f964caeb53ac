// Package mldsa reads certificates and private keys with ML-DSA, which crypto/x509 of Go 1.26 does not know, and
// decides whether a peer's authentication is post-quantum. It has no cryptography.
package mldsa

import (
	"encoding/asn1"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cryptobyteasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/pqquic/pqquic/tlsprovider"
)

// A Level is a parameter set of ML-DSA: 44, 65 or 87. It is 0 for other algorithms.
type Level int

func (l Level) String() string { return fmt.Sprintf("ML-DSA-%d", int(l)) }

// Scheme returns the signature scheme of TLS.
func (l Level) Scheme() tlsprovider.SignatureScheme {
	return map[Level]tlsprovider.SignatureScheme{44: 0x0904, 65: 0x0905, 87: 0x0906}[l]
}

// arc is the prefix of the object identifiers of keys and signatures (RFC 9881, section 2).
var arc = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3}

func levelOf(oid asn1.ObjectIdentifier) Level {
	n := len(arc)
	if len(oid) != n+1 || !oid[:n].Equal(arc) {
		return 0
	}
	return map[int]Level{17: 44, 18: 65, 19: 87}[oid[n]]
}

// readAlgorithm reads an AlgorithmIdentifier. That of ML-DSA must not have parameters (RFC 9881, section 2).
func readAlgorithm(in *cryptobyte.String) (oid asn1.ObjectIdentifier, level Level, ok bool) {
	var id cryptobyte.String
	if !in.ReadASN1(&id, cryptobyteasn1.SEQUENCE) || !id.ReadASN1ObjectIdentifier(&oid) {
		return nil, 0, false
	}
	if level = levelOf(oid); !id.Empty() {
		level = 0
	}
	return oid, level, true
}

// certificate returns the parts of a certificate.
func certificate(der []byte) (key, signature cryptobyte.String, ok bool) {
	in := cryptobyte.String(der)
	var cert, tbs cryptobyte.String
	ok = in.ReadASN1(&cert, cryptobyteasn1.SEQUENCE) && in.Empty() && cert.ReadASN1(&tbs, cryptobyteasn1.SEQUENCE) &&
		tbs.SkipOptionalASN1(cryptobyteasn1.Tag(0).ContextSpecific().Constructed()) && // version
		tbs.SkipASN1(cryptobyteasn1.INTEGER) && // serialNumber
		tbs.SkipASN1(cryptobyteasn1.SEQUENCE) && // signature
		tbs.SkipASN1(cryptobyteasn1.SEQUENCE) && // issuer
		tbs.SkipASN1(cryptobyteasn1.SEQUENCE) && // validity
		tbs.SkipASN1(cryptobyteasn1.SEQUENCE) && // subject
		tbs.ReadASN1(&key, cryptobyteasn1.SEQUENCE)
	return key, cert, ok
}

// Key returns the level of a certificate's key and the key itself. The level is 0 if the certificate does not parse or
// has another kind of key.
func Key(der []byte) (Level, []byte) {
	info, _, ok := certificate(der)
	if !ok {
		return 0, nil
	}
	var bits asn1.BitString
	_, level, ok := readAlgorithm(&info)
	if !ok || level == 0 || !info.ReadASN1BitString(&bits) || bits.BitLength%8 != 0 {
		return 0, nil
	}
	return level, bits.Bytes
}

// PrivateKey returns the level of a private key in PKCS #8, 0 for other keys, and the same key in the form that has
// the seed alone. That is nil if the key has no seed.
func PrivateKey(der []byte) (level Level, seedOnly []byte) {
	in := cryptobyte.String(der)
	var info, id, choice, both, seed cryptobyte.String
	var version int
	if !in.ReadASN1(&info, cryptobyteasn1.SEQUENCE) || !info.ReadASN1Integer(&version) ||
		!info.ReadASN1Element(&id, cryptobyteasn1.SEQUENCE) {
		return 0, nil
	}
	algorithm := id
	if _, level, _ = readAlgorithm(&id); level == 0 || !info.ReadASN1(&choice, cryptobyteasn1.OCTET_STRING) {
		return 0, nil
	}
	seedTag := cryptobyteasn1.Tag(0).ContextSpecific()
	if choice.PeekASN1Tag(seedTag) {
		return level, der
	}
	if !choice.ReadASN1(&both, cryptobyteasn1.SEQUENCE) || !both.ReadASN1(&seed, cryptobyteasn1.OCTET_STRING) {
		return level, nil
	}
	var b cryptobyte.Builder
	b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		b.AddBytes(algorithm)
		b.AddASN1(cryptobyteasn1.OCTET_STRING, func(b *cryptobyte.Builder) {
			b.AddASN1(seedTag, func(b *cryptobyte.Builder) { b.AddBytes(seed) })
		})
	})
	return level, b.BytesOrPanic()
}
