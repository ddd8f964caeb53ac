//go:build asan

package tlstest

const asanEnabled = true
