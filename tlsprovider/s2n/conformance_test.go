package s2n

import (
	"testing"

	"github.com/pqquic/pqquic/cgo/awslc"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

// live returns a function that counts the handles of both providers and the memory of the C library.
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

// TestPairs runs the conformance suite with the s2n provider on one side and the native provider on the other.
func TestPairs(t *testing.T) {
	s, n := newProvider(t), native.New()
	t.Run("native client", func(t *testing.T) { tlstest.RunPair(t, n, s, live(n)) })
	t.Run("native server", func(t *testing.T) { tlstest.RunPair(t, s, n, live(n)) })
}
