//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// On the loopback interface, whose MTU is 65,536, datagrams grow to what fits in packets of 9000 bytes.
func TestLoopbackPathMTU(t *testing.T) {
	for _, tt := range []struct {
		name, addr string
		off        bool
		want       int
	}{
		{"IPv4", "127.0.0.1:0", false, 8972},
		{"IPv6", "[::1]:0", false, 8952},
		{"dual stack", "[::]:0", false, 8972},
		{"off", "127.0.0.1:0", true, 1200},
	} {
		t.Run(tt.name, func(t *testing.T) {
			server := serverConfig()
			server.DisablePathMTUDiscovery = tt.off
			l, err := Listen("udp", tt.addr, server)
			if err != nil {
				t.Skipf("cannot listen on %s: %v", tt.addr, err)
			}
			addr := l.Addr().(*net.UDPAddr)
			if addr.IP.IsUnspecified() {
				addr.IP = net.IPv4(127, 0, 0, 1)
			}
			client := clientConfig()
			client.DisablePathMTUDiscovery = tt.off
			conn, err := Dial(t.Context(), "udp", addr.String(), client)
			require.NoError(t, err)
			peer, err := l.Accept(t.Context())
			require.NoError(t, err)
			var wg sync.WaitGroup
			wg.Go(func() { echoConn(&wg, peer) })
			size := func() int { return min(conn.Stats().DatagramSize, peer.Stats().DatagramSize) }
			// The socket's buffer has room for each echo, so no probe is lost.
			rounds := 0
			for ; rounds < 20 || size() != tt.want && rounds < 200; rounds++ {
				require.NoError(t, echo(conn, 64<<10, byte(rounds)))
				require.LessOrEqual(t, size(), tt.want)
			}
			require.Equal(t, tt.want, size(), "after %d rounds", rounds)
			require.Zero(t, conn.Stats().SendErrors)
			require.NoError(t, l.Endpoint().Close())
			conn.abort(ErrEndpointClosed, 0)
			wg.Wait()
		})
	}
}
