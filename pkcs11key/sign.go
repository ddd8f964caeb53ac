package pkcs11key

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"

	"github.com/miekg/pkcs11"
)

// hashes are the parameters of the hash functions that a signature can have.
var hashes = map[crypto.Hash]struct {
	mechanism, mgf uint
	prefix         []byte // of the DigestInfo of PKCS #1 v1.5 (RFC 8017, section 9.2)
}{
	crypto.SHA256: {pkcs11.CKM_SHA256, pkcs11.CKG_MGF1_SHA256, digestInfo(1, 32)},
	crypto.SHA384: {pkcs11.CKM_SHA384, pkcs11.CKG_MGF1_SHA384, digestInfo(2, 48)},
	crypto.SHA512: {pkcs11.CKM_SHA512, pkcs11.CKG_MGF1_SHA512, digestInfo(3, 64)},
}

// digestInfo returns the DER encoding of a DigestInfo up to the digest. SHA-2 functions have the object identifiers
// 2.16.840.1.101.3.4.2.n.
func digestInfo(n, size byte) []byte {
	return []byte{0x30, 17 + size, 0x30, 13, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, n, 5, 0, 4, size}
}

// Sign implements crypto.Signer. The token's own random numbers are used. It blocks until a session is free, and then
// for as long as the token takes: see quic.Config.SignTimeout.
func (k *Key) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) (signature []byte, err error) {
	mechanism, input, err := k.mechanism(digest, opts)
	if err != nil {
		return nil, fmt.Errorf("pkcs11key: %w", err)
	}
	err = k.token.use(func(ctx *pkcs11.Ctx, s *session) error {
		handle, err := k.find(ctx, s)
		if err != nil {
			return err
		}
		if err := ctx.SignInit(s.handle, []*pkcs11.Mechanism{mechanism}, handle); err != nil {
			return err
		}
		signature, err = ctx.Sign(s.handle, input)
		return err
	})
	if err != nil {
		return nil, err
	}
	if _, ok := k.public.(*ecdsa.PublicKey); ok {
		return encodeECDSA(signature)
	}
	return signature, nil
}

// mechanism returns the mechanism of a signature and its input.
func (k *Key) mechanism(digest []byte, opts crypto.SignerOpts) (*pkcs11.Mechanism, []byte, error) {
	hash, ok := hashes[opts.HashFunc()]
	switch {
	case !ok:
		return nil, nil, fmt.Errorf("the hash function %v is not supported: use SHA-256, SHA-384 or SHA-512", opts.HashFunc())
	case len(digest) != opts.HashFunc().Size():
		return nil, nil, fmt.Errorf("the digest has %d bytes, but one of %v has %d", len(digest), opts.HashFunc(), opts.HashFunc().Size())
	}
	switch pub := k.public.(type) {
	case *ecdsa.PublicKey:
		// Tokens differ in what they do with a digest that is longer than the order of the curve.
		return pkcs11.NewMechanism(pkcs11.CKM_ECDSA, nil), digest[:min(len(digest), (pub.Params().BitSize+7)/8)], nil
	case *rsa.PublicKey:
		pss, ok := opts.(*rsa.PSSOptions)
		if !ok {
			return pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS, nil), append(hash.prefix[:len(hash.prefix):len(hash.prefix)], digest...), nil
		}
		salt := pss.SaltLength
		switch salt {
		case rsa.PSSSaltLengthEqualsHash:
			salt = len(digest)
		case rsa.PSSSaltLengthAuto:
			salt = (pub.N.BitLen()+6)/8 - 2 - len(digest)
		}
		if salt < 0 {
			return nil, nil, fmt.Errorf("a key of %d bits is too short for RSA-PSS with %v", pub.N.BitLen(), opts.HashFunc())
		}
		return pkcs11.NewMechanism(pkcs11.CKM_RSA_PKCS_PSS, pkcs11.NewPSSParams(hash.mechanism, hash.mgf, uint(salt))), digest, nil
	}
	return nil, nil, fmt.Errorf("a public key of type %T is not supported", k.public)
}

// encodeECDSA converts a signature from the form of PKCS #11, two numbers of the same length, to that of TLS and X.509.
func encodeECDSA(rs []byte) ([]byte, error) {
	if len(rs) == 0 || len(rs)%2 != 0 {
		return nil, errors.New("pkcs11key: the token returned an ECDSA signature of " + fmt.Sprint(len(rs)) + " bytes")
	}
	half := len(rs) / 2
	return asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(rs[:half]), new(big.Int).SetBytes(rs[half:])})
}
