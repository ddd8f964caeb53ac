//go:build go1.27

package tlsprovider

import "crypto/mldsa"

// isMLDSA reports whether key is an ML-DSA key in memory.
func isMLDSA(key any) bool {
	_, ok := key.(*mldsa.PrivateKey)
	return ok
}
