//go:build go1.27

package certs

import (
	"crypto"
	gomldsa "crypto/mldsa"

	"github.com/pqquic/pqquic/cgo/awslc"
)

// newMLDSA returns the key of a level and a seed.
func newMLDSA(level int, seed []byte) (crypto.Signer, error) {
	params := map[int]gomldsa.Parameters{44: gomldsa.MLDSA44(), 65: gomldsa.MLDSA65(), 87: gomldsa.MLDSA87()}[level]
	key, err := gomldsa.NewPrivateKey(params, seed)
	if err != nil {
		return nil, err
	}
	// crypto/mldsa does not export this form.
	expanded := func() ([]byte, error) {
		k, err := awslc.NewMLDSAKey(level, seed)
		if err != nil {
			return nil, err
		}
		return k.Expanded()
	}
	return &mldsa{Signer: key, level: level, seed: seed, public: key.PublicKey().Bytes(), expanded: expanded}, nil
}
