//go:build !asan

package tlstest

// asanEnabled says that allocations are not what they are elsewhere.
const asanEnabled = false
