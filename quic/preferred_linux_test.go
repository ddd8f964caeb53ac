//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"context"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/internal/simnet"
)

// Clients move to the preferred address of a server, on one socket and on several loops.
func TestPreferredAddressOverLoopback(t *testing.T) {
	for _, loops := range []int{1, 2} {
		for _, network := range []string{"udp4", "udp"} {
			for _, ignore := range []bool{false, true} {
				cfg := serverConfig()
				cfg.Loops = loops
				cfg.PreferredIPv4 = netip.MustParseAddrPort("127.0.0.2:0")
				l, err := Listen(network, ":0", cfg)
				require.NoError(t, err)
				var wg sync.WaitGroup
				serveConns(&wg, l, echoConn)
				port := l.Addr().(interface{ AddrPort() netip.AddrPort }).AddrPort().Port()
				cc := clientConfig()
				cc.ServerName, cc.IgnorePreferredAddress = "localhost", ignore
				addr := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)
				c, err := Dial(context.Background(), "udp4", addr.String(), cc)
				require.NoError(t, err)
				want := addr
				if !ignore {
					want = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), port)
				}
				require.NoError(t, echo(c, 1000, 1))
				require.Eventually(t, func() bool { return c.RemoteAddr().String() == want.String() }, 10*time.Second, time.Millisecond)
				require.NoError(t, echo(c, 1<<20, 2))
				require.Equal(t, want.String(), c.RemoteAddr().String())
				require.NoError(t, c.Close())
				require.NoError(t, l.Endpoint().Close())
				wg.Wait()
			}
		}
	}
}

// A preferred address that the socket does not have is an error.
func TestPreferredAddressErrors(t *testing.T) {
	for _, tc := range []struct {
		listen, v4, v6, want string
	}{
		{"127.0.0.1:0", "127.0.0.2:0", "", "bound to all addresses"},
		{":0", "127.0.0.2:1", "", "has the port 1"},
		{":0", "[::1]:0", "", "PreferredIPv4"},
		{":0", "", "127.0.0.1:0", "PreferredIPv6"},
		{":0", "", "[fe80::1%lo]:0", "PreferredIPv6"},
		{":0", "0.0.0.0:0", "", "PreferredIPv4"},
	} {
		cfg := serverConfig()
		if tc.v4 != "" {
			cfg.PreferredIPv4 = netip.MustParseAddrPort(tc.v4)
		}
		if tc.v6 != "" {
			cfg.PreferredIPv6 = netip.MustParseAddrPort(tc.v6)
		}
		_, err := Listen("udp4", tc.listen, cfg)
		require.ErrorContains(t, err, tc.want)
	}
	cfg := serverConfig()
	cfg.PreferredIPv4 = netip.MustParseAddrPort("127.0.0.2:0")
	e, err := NewEndpoint(new(simnet.Net).Listen("10.0.0.1:1"), cfg)
	require.NoError(t, err)
	defer e.Close()
	_, err = e.Listen()
	require.ErrorContains(t, err, "PreferredIPv4")
}
