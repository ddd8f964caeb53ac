//go:build pqquic_fips || pqquic_fips4

package quic

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
)

func TestFIPSBuildRequiresProvider(t *testing.T) {
	cfg := &Config{TLS: &tlsprovider.Config{NextProtos: []string{"x"}}}
	_, err := Listen("udp", "127.0.0.1:0", cfg)
	require.ErrorContains(t, err, "Config.Provider is nil")
	_, err = Dial(t.Context(), "udp", "127.0.0.1:1", cfg)
	require.ErrorContains(t, err, "Config.Provider is nil")
}
