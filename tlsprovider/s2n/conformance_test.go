package s2n

import (
	"testing"

	"github.com/pqquic/pqquic/cgo/awslc"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

// live counts both providers' handles, and C's bytes.
func live(n *native.Provider) func() (handles, bytes int64) {
	return func() (handles, bytes int64) {
		handles, _ = n.Live()
		c := awslc.Live()
		return handles + c.Handles, c.TLSBytes
	}
}

func TestConformance(t *testing.T) {
	tlstest.Run(t, newProvider(t), live(native.New()))
}

// The native provider at the other end: what one writes the other understands.
func TestPairs(t *testing.T) {
	s, n := newProvider(t), native.New()
	t.Run("native client", func(t *testing.T) { tlstest.RunPair(t, n, s, live(n)) })
	t.Run("native server", func(t *testing.T) { tlstest.RunPair(t, s, n, live(n)) })
}
