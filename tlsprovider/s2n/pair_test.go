package s2n

import (
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cgo/awslc"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

// newProvider skips a test if the C library is not linked, or fails it if PQQUIC_REQUIRE_LINKED is 1.
func newProvider(t testing.TB) tlsprovider.Provider {
	t.Helper()
	p, err := New(AllowClassical()) // TestClassicalIsRefused calls New without it
	if errors.Is(err, ErrNotLinked) && os.Getenv("PQQUIC_REQUIRE_LINKED") != "1" {
		t.Skip("needs the C library: run `make build`")
	}
	require.NoError(t, err)
	return p
}

// needPostQuantum skips a test that needs ML-KEM, which s2n-tls has over AWS-LC only.
func needPostQuantum(t testing.TB, p tlsprovider.Provider) {
	t.Helper()
	c := p.Capabilities()
	if !slices.ContainsFunc(c.GroupIDs(), tlsprovider.Group.PostQuantum) {
		require.Contains(t, []string{"openssl", historic}, awslc.Variant)
		t.Skip("needs a post-quantum group, which s2n-tls lacks over " + c.Library)
	}
}

// newEndpoints returns a client's and a server's endpoint, which are closed at the end of the test.
func newEndpoints(t testing.TB, p tlsprovider.Provider, client, server *tlsprovider.Config) (ce, se tlsprovider.Endpoint) {
	t.Helper()
	su := tlstest.Suite{Client: p, Server: p}
	return su.Endpoints(t, client, server)
}

func newPair(t testing.TB, p tlsprovider.Provider, client, server *tlsprovider.Config) *tlstest.Pair {
	t.Helper()
	su := tlstest.Suite{Client: p, Server: p}
	return su.NewPair(t, client, server)
}

// classicalPolicy returns the name of a policy without post-quantum groups.
func classicalPolicy() string {
	switch awslc.Variant {
	case "":
		return "20240503" // what default_tls13 is upstream
	case historic:
		return "pqquic_p-256"
	}
	return "20250414" // which has no X25519
}

// needTickets skips a test in the variant historic, which has no tickets.
func needTickets(t testing.TB, p tlsprovider.Provider) {
	t.Helper()
	if c := p.Capabilities(); !c.Tickets {
		require.Equal(t, historic, awslc.Variant)
		t.Skip("no tickets in " + c.Library)
	}
}

// sealerOf returns a sealer for a secret. Only tests have secrets.
func sealerOf(t testing.TB, suite uint16, secret []byte) tlsprovider.Sealer {
	t.Helper()
	s, err := awslc.NewSealer(1, suite, secret, true)
	require.NoError(t, err)
	return sealer{s}
}
