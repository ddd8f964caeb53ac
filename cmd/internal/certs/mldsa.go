package certs

import (
	"bytes"
	"crypto"
	"encoding/asn1"
	"errors"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cryptobyteasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

const seedLen = 32

// oids are the object identifiers of the levels of ML-DSA, for keys and for signatures (RFC 9881, section 2).
var oids = map[int]asn1.ObjectIdentifier{
	44: {2, 16, 840, 1, 101, 3, 4, 3, 17},
	65: {2, 16, 840, 1, 101, 3, 4, 3, 18},
	87: {2, 16, 840, 1, 101, 3, 4, 3, 19},
}

// An mldsa is a private key of ML-DSA.
type mldsa struct {
	crypto.Signer
	level        int
	seed, public []byte
	expanded     func() ([]byte, error) // the key in the form of FIPS 204
}

func (k *mldsa) oid() asn1.ObjectIdentifier { return oids[k.level] }

func (k *mldsa) marshal(form KeyForm) ([]byte, error) {
	var expanded []byte
	if form == Expanded || form == Both {
		var err error
		if expanded, err = k.expanded(); err != nil {
			return nil, err
		}
	}
	var b cryptobyte.Builder
	b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(0)
		b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(k.oid()) })
		b.AddASN1(cryptobyteasn1.OCTET_STRING, func(b *cryptobyte.Builder) {
			switch form {
			case Seed, "":
				b.AddASN1(seedTag, func(b *cryptobyte.Builder) { b.AddBytes(k.seed) })
			case Expanded:
				b.AddASN1OctetString(expanded)
			case Both:
				b.AddASN1(cryptobyteasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1OctetString(k.seed)
					b.AddASN1OctetString(expanded)
				})
			default:
				b.SetError(fmt.Errorf("unknown form %q of an ML-DSA key: use %s, %s or %s", form, Seed, Expanded, Both))
			}
		})
	})
	return b.Bytes()
}

// seedTag is [0] IMPLICIT.
var seedTag = cryptobyteasn1.Tag(0).ContextSpecific()

// parseMLDSA parses an ML-DSA key in PKCS #8. It returns nil without an error if der is something else.
func parseMLDSA(der []byte) (crypto.Signer, error) {
	in := cryptobyte.String(der)
	var info, algorithm, choice, both cryptobyte.String
	var version int
	var oid asn1.ObjectIdentifier
	if !in.ReadASN1(&info, cryptobyteasn1.SEQUENCE) || !info.ReadASN1Integer(&version) ||
		!info.ReadASN1(&algorithm, cryptobyteasn1.SEQUENCE) || !algorithm.ReadASN1ObjectIdentifier(&oid) ||
		!info.ReadASN1(&choice, cryptobyteasn1.OCTET_STRING) {
		return nil, nil
	}
	for level := range oids {
		if !oid.Equal(oids[level]) {
			continue
		}
		var seed cryptobyte.String
		ok := false
		if choice.PeekASN1Tag(seedTag) {
			ok = choice.ReadASN1(&seed, seedTag)
		} else {
			ok = choice.ReadASN1(&both, cryptobyteasn1.SEQUENCE) && both.ReadASN1(&seed, cryptobyteasn1.OCTET_STRING)
		}
		if !ok || len(seed) != seedLen {
			return nil, errors.New("the ML-DSA private key has no seed: use a file in the form seed or both")
		}
		return newMLDSA(level, bytes.Clone(seed))
	}
	return nil, nil
}
