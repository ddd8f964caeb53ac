package core

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/wire"
)

// Packets from the ports of services that attackers use for reflection get no answer of any kind, unless that is
// permitted: no handshake, Retry, Version Negotiation or stateless reset.
//
// "Endpoints MAY choose to avoid sending datagrams to these ports or not send datagrams that match these patterns prior
// to validating the destination address."
// https://www.rfc-editor.org/rfc/rfc9000#section-21.5.6-5
func TestReflectionPorts(t *testing.T) {
	require.True(t, slices.IsSorted(reflectionPorts), "a binary search finds the port")
	for _, allowed := range []bool{false, true} {
		r := newRig(t, rigOptions{endpoint: func(c *EndpointConfig) { c.AllowReflectionPorts = allowed }})
		for _, d := range [][]byte{
			r.firstFlight(testID("12345678"), nil, partOfHello),
			append([]byte{0xc0, 9, 9, 9, 9, 0, 0}, make([]byte, MinInitialSize)...), // an unknown version
			append([]byte{0x40}, make([]byte, 100)...),                              // of no connection
		} {
			// Those that the documentation of quic.Config names. RFC 9308, section 8.1, has five of them.
			for _, port := range []uint16{0, 17, 19, 53, 111, 123, 137, 138, 161, 389, 500, 1900, 3702, 5353, 5355, 11211} {
				got := r.receiveFrom(netip.AddrPortFrom(clientAddr.Addr(), port), d)
				require.Equal(t, !allowed, got.Kind == RouteDrop && got.Drop == DropReflectionPort, "port %d: %v", port, got.Drop)
			}
			got := r.receiveFrom(netip.AddrPortFrom(clientAddr.Addr(), 54), d)
			require.NotEqual(t, DropReflectionPort, got.Drop)
		}
	}
}

// A connection does not follow its client from another host to the host itself.
//
// "Endpoints SHOULD NOT allow connections or migration to a loopback address if the same service was previously available
// at a different interface or if the address was provided by a service at a non-loopback address."
// https://www.rfc-editor.org/rfc/rfc9000#section-21.5.6-2
func TestMigrationToLoopback(t *testing.T) {
	for _, loopback := range []string{"127.0.0.1:1111", "127.1.2.3:1111", "[::1]:1111", "[::ffff:127.0.0.1]:1111"} {
		r := connected(t, rigOptions{})
		to := netip.MustParseAddrPort(loopback)
		require.Empty(t, r.sayFull(to, wire.Ping{}))
		require.Equal(t, clientAddr, r.server.Path().Remote)
		r.server.path.Remote = netip.MustParseAddrPort("127.0.0.1:1234")
		require.Positive(t, bytesTo(to, r.sayFull(to, wire.Ping{})), "from loopback to loopback")
	}
}

// A connection does not follow its client to such a port, and sends nothing there: the address may be forged. It goes on
// where it was.
func TestMigrationToReflectionPort(t *testing.T) {
	dns := netip.AddrPortFrom(clientAddr.Addr(), 53)
	for _, allowed := range []bool{false, true} {
		r := connected(t, rigOptions{server: func(c *Config) { c.AllowReflectionPorts = allowed }})
		sent := r.sayFull(dns, wire.Ping{})
		require.Equal(t, allowed, r.server.Path().Remote == dns)
		require.Equal(t, allowed, bytesTo(dns, sent) > 0)
		if !allowed {
			require.EqualValues(t, 1, r.server.drops[DropWrongPath])
			sent = r.sayFrom(clientAddr, wire.PathChallenge{Data: [8]byte{1}})
			require.Positive(t, bytesTo(clientAddr, sent))
		}
	}
}
