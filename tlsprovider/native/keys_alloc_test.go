//go:build !race

package native

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
)

// Deriving keys reuses hash states. Without that, keys of both directions take 116 allocations and Initial keys 105.
// With -race, pools drop some of what they hold.
func TestKeysTakeFewAllocations(t *testing.T) {
	secret := make([]byte, 32)
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() {
		keyMaker(t, version1, tlsprovider.AES128GCM, secret).Close()
	}), 88.0)
	p := New()
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() {
		k, err := p.InitialKeys(version1, []byte("12345678"), tlsprovider.Server)
		require.NoError(t, err)
		k.Close()
	}), 78.0)
}
