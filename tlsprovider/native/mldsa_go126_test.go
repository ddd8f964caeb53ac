//go:build !go1.27

package native

const hasMLDSA = false
