package awslc

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
)

// An MLDSAKey is a private key of ML-DSA (FIPS 204). It is for tests and for tools that make certificates: the keys
// of connections are in the C library. It implements crypto.Signer, as the keys of Go 1.27's crypto/mldsa do.
type MLDSAKey struct {
	seed   [32]byte
	public MLDSAPublicKey
}

// An MLDSAPublicKey is the public key of an [MLDSAKey].
type MLDSAPublicKey struct {
	level int
	raw   []byte
}

// mldsaMu is the value of crypto.MLDSAMu, which is new in Go 1.27: the hash function of options for signing µ.
const mldsaMu = crypto.Hash(20)

// Lengths of the values of each level (FIPS 204, tables 1 and 2).
type mldsaLengths struct{ public, expanded, signature int }

var mldsaLevels = map[int]mldsaLengths{44: {1312, 2560, 2420}, 65: {1952, 4032, 3309}, 87: {2592, 4896, 4627}}

var errMLDSA = errors.New("awslc: ML-DSA failed")

// NewMLDSAKey returns the key of a level (44, 65 or 87) and a seed of 32 bytes, which is random if it is nil.
func NewMLDSAKey(level int, seed []byte) (*MLDSAKey, error) {
	info, err := Library()
	if err != nil {
		return nil, err
	}
	lengths, ok := mldsaLevels[level]
	if !ok {
		return nil, fmt.Errorf("awslc: ML-DSA-%d: the levels are 44, 65 and 87", level)
	}
	k := &MLDSAKey{public: MLDSAPublicKey{level, make([]byte, lengths.public)}}
	switch len(seed) {
	case 0:
		if _, err := Rand.Read(k.seed[:]); err != nil {
			return nil, err
		}
	case len(k.seed):
		copy(k.seed[:], seed)
	default:
		return nil, fmt.Errorf("awslc: the seed of an ML-DSA key has %d bytes; it must have %d", len(seed), len(k.seed))
	}
	if mldsaPublic(level, &k.seed, k.public.raw) != lengths.public {
		return nil, fmt.Errorf("awslc: %s has no ML-DSA", info.Crypto)
	}
	return k, nil
}

// Seed returns the seed, from which the key is derived.
func (k *MLDSAKey) Seed() []byte { return bytes.Clone(k.seed[:]) }

// Expanded returns the key in the form of FIPS 204, which some files have in place of the seed.
func (k *MLDSAKey) Expanded() ([]byte, error) {
	out := make([]byte, mldsaLevels[k.public.level].expanded)
	if mldsaExpanded(k.public.level, &k.seed, out) != len(out) {
		return nil, errMLDSA
	}
	return out, nil
}

// Public returns an *[MLDSAPublicKey].
func (k *MLDSAKey) Public() crypto.PublicKey { return &k.public }

// Sign signs a message, with an empty context, or its hash µ if the hash function of opts is crypto.MLDSAMu. It uses the
// random generator of the C library.
func (k *MLDSAKey) Sign(_ io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	hash := crypto.Hash(0)
	if opts != nil {
		hash = opts.HashFunc()
	}
	if hash != 0 && hash != mldsaMu {
		return nil, fmt.Errorf("awslc: ML-DSA does not sign hashes of the function %d", hash)
	}
	out := make([]byte, mldsaLevels[k.public.level].signature)
	if mldsaSign(k.public.level, &k.seed, message, hash == mldsaMu, out) != len(out) {
		return nil, errMLDSA
	}
	return out, nil
}

// Level returns 44, 65 or 87.
func (p *MLDSAPublicKey) Level() int { return p.level }

// Bytes returns the key as it is in a certificate.
func (p *MLDSAPublicKey) Bytes() []byte { return bytes.Clone(p.raw) }

// Equal reports whether other is the same key.
func (p *MLDSAPublicKey) Equal(other crypto.PublicKey) bool {
	o, ok := other.(*MLDSAPublicKey)
	return ok && o.level == p.level && bytes.Equal(o.raw, p.raw)
}
