//go:build !go1.27

package certs

import (
	"crypto"
	"fmt"

	"github.com/pqquic/pqquic/cgo/awslc"
)

// newMLDSA returns the key of a level and a seed.
func newMLDSA(level int, seed []byte) (crypto.Signer, error) {
	key, err := awslc.NewMLDSAKey(level, seed)
	if err != nil {
		return nil, fmt.Errorf("an ML-DSA key needs Go 1.27, or the C library of the default variant (make build): %w", err)
	}
	public := key.Public().(*awslc.MLDSAPublicKey).Bytes()
	return &mldsa{Signer: key, level: level, seed: seed, public: public, expanded: key.Expanded}, nil
}
