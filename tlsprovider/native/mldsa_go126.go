//go:build !go1.27

package native

// isMLDSA returns false: the standard library of Go 1.26 has no ML-DSA keys.
func isMLDSA(any) bool { return false }
