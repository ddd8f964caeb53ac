package s2n

import (
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cgo/awslc"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

// newProvider skips a test if the C library is not linked, or fails it if PQQUIC_REQUIRE_LINKED is 1.
func newProvider(t testing.TB) tlsprovider.Provider {
	t.Helper()
	p, err := New()
	if errors.Is(err, ErrNotLinked) && os.Getenv("PQQUIC_REQUIRE_LINKED") != "1" {
		t.Skip("not linked: run `make build` first")
	}
	require.NoError(t, err)
	return p
}

func newPair(t testing.TB, p tlsprovider.Provider, client, server *tlsprovider.Config) *tlstest.Pair {
	t.Helper()
	su := tlstest.Suite{Client: p, Server: p}
	return su.NewPair(t, client, server)
}

// sealerOf returns a sealer for a secret. Only tests have secrets.
func sealerOf(t testing.TB, suite uint16, secret []byte) tlsprovider.Sealer {
	t.Helper()
	s, err := awslc.NewSealer(1, suite, secret, true)
	require.NoError(t, err)
	return sealer{s}
}
