//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"net"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// A Dial to a port on which nothing listens fails at once, because of the ICMP message from the peer's
// host.
func TestLoopbackDialToClosedPort(t *testing.T) {
	for _, tc := range []struct{ network, addr string }{{"udp4", "127.0.0.1:0"}, {"udp6", "[::1]:0"}} {
		pc, err := net.ListenPacket(tc.network, tc.addr)
		if err != nil {
			t.Logf("no %s here: %v", tc.network, err)
			continue
		}
		addr := pc.LocalAddr().String()
		require.NoError(t, pc.Close())
		cfg := clientConfig()
		cfg.HandshakeTimeout = 1 << 62 // so that only the test's own timeout ends it
		_, err = Dial(t.Context(), "udp", addr, cfg)
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		require.ErrorIs(t, err, net.ErrClosed)
		require.EqualError(t, err, "quic: dial "+addr+": no QUIC server there: connection refused")
		require.False(t, isTimeout(err))
	}
}
