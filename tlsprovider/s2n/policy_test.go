package s2n

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cgo/awslc"
	"github.com/pqquic/pqquic/tlsprovider"
)

// A server takes its own order, so the first suite of a row decides what packets cost.
func TestEveryRowPrefersAES128(t *testing.T) {
	newProvider(t)
	policies := []string{"default_pq", "default_fips"}
	for mask := 1; mask < 64; mask++ {
		policies = append(policies, fmt.Sprintf("pqquic_%02x", mask))
	}
	for _, policy := range policies {
		o, err := probe(policy)
		require.NoError(t, err, policy)
		require.Equal(t, tlsprovider.AES128GCM, o.CipherSuites[0], policy)
		if awslc.Variant != "" && policy != "default_pq" {
			// Which the module does not count as approved, see cgo/c/tests/test_fips.c.
			require.NotContains(t, o.CipherSuites, tlsprovider.ChaCha20Poly1305, policy)
		}
	}
}

// The library that the build makes is post-quantum under the name that means s2n-tls's default. One
// that was built with PQ_DEFAULT_POLICY=OFF is not; the provider's own default stays post-quantum on
// it. scripts/checks/overrides runs this test on such a library.
func TestDefaultTLS13Policy(t *testing.T) {
	p := newProvider(t)
	o, err := probe("default_tls13")
	require.NoError(t, err)
	wantPQ := os.Getenv("PQQUIC_TEST_CLASSICAL_DEFAULT") != "1"
	require.Equal(t, wantPQ, slices.ContainsFunc(o.Groups, tlsprovider.Group.PostQuantum),
		"default_tls13 offers %s", tlsprovider.GroupList(o.Groups))
	require.Equal(t, tlsprovider.X25519MLKEM768, p.Capabilities().Groups[0])
	cfg := &tlsprovider.Config{Policy: "default_tls13", NextProtos: []string{"test"}}
	_, err = p.NewClient(cfg)
	require.NoError(t, err)
	_, err = p.NewClient(&tlsprovider.Config{RequirePQ: true, NextProtos: []string{"test"}})
	require.NoError(t, err, "the provider's own default")
}
