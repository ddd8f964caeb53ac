package core

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// Endpoints that serve an address together divide every limit, so that their sum is not larger than the limit
// of one Endpoint.
func TestSharesDivideLimits(t *testing.T) {
	const n = 4
	t.Run("handshakes", func(t *testing.T) {
		var answers [2]int // ClientHellos that are kept, with 1 share and with n
		for i, shares := range []int{1, n} {
			r := newRig(t, rigOptions{endpoint: func(c *EndpointConfig) { c.MaxHandshakes, c.Shares = 8*n, shares }})
			for port := range 20 * n {
				d := r.firstFlight(testID("12345678"), nil, partOfHello)
				r.receiveFrom(netip.AddrPortFrom(clientAddr.Addr(), uint16(1000+port)), d)
			}
			answers[i] = r.endpoint.hellos.len()
		}
		require.Equal(t, [2]int{8 * n, 8}, answers)
	})
	t.Run("bytes of ClientHellos", func(t *testing.T) {
		r := newRig(t, rigOptions{endpoint: func(c *EndpointConfig) {
			c.HelloBytes, c.TokenKey, c.Shares = 20*n*MinInitialSize, nil, n
		}})
		for port := range 50 * n {
			d := r.firstFlight(testID("12345678"), nil, partOfHello)
			r.receiveFrom(netip.AddrPortFrom(clientAddr.Addr(), uint16(1000+port)), d)
		}
		require.Positive(t, r.endpoint.hellos.len())
		require.LessOrEqual(t, r.endpoint.hellos.bytes, 20*MinInitialSize)
	})
	t.Run("stateless resets", func(t *testing.T) {
		r := newRig(t, rigOptions{endpoint: func(c *EndpointConfig) { c.Shares = n }})
		resets := 0
		for range 2 * resetBurst {
			if r.receiveFrom(clientAddr, append([]byte{0x40}, make([]byte, 99)...)).Kind == RouteReply {
				resets++
			}
		}
		require.Equal(t, resetBurst/n, resets)
	})
	t.Run("questions about stateless resets", func(t *testing.T) {
		for shares, want := range map[int]int{1: 0, n: resetBurst / n} {
			r := newRig(t, rigOptions{endpoint: func(c *EndpointConfig) { c.Shares = shares }})
			asked := 0
			for range 2 * resetBurst {
				if r.receiveFrom(clientAddr, append([]byte{0x40}, make([]byte, minReset-1)...)).MaybeReset {
					asked++
				}
			}
			require.Equal(t, want, asked, "%d shares", shares)
			short := r.receiveFrom(netip.AddrPortFrom(clientAddr.Addr(), 1), append([]byte{0x40}, make([]byte, minReset-2)...))
			require.False(t, short.MaybeReset)
		}
	})
	t.Run("remnants", func(t *testing.T) {
		r := newRig(t, rigOptions{endpoint: func(c *EndpointConfig) { c.Shares = n }})
		for i := range maxRemnants {
			r.addRemnants(ConnRef(1000 + i))
		}
		require.NoError(t, r.endpoint.CheckInvariants())
		require.Equal(t, maxRemnants/n, r.endpoint.closed.len())
		require.Equal(t, maxRemnants/n, r.endpoint.refused.len())
	})
	t.Run("no part is zero", func(t *testing.T) {
		e := NewEndpoint(&EndpointConfig{MaxHandshakes: 1, HelloBytes: 1, Shares: 256})
		require.Equal(t, 1, e.cfg.MaxHandshakes)
		require.Equal(t, 1, e.cfg.HelloBytes)
		require.True(t, e.attempts.take(1))
		require.True(t, e.resets.take(1))
	})
}

// A driver with several Endpoints finds the connection that a stateless reset ends in each of them.
func TestFindReset(t *testing.T) {
	r := newRig(t, rigOptions{})
	token := [16]byte{1, 2, 3}
	r.endpoint.Add(r.now, 7, nil)
	r.endpoint.HandleConnEvent(r.now, 7, EndpointEvent{Kind: AddResetToken, Token: token, Path: Path{Remote: clientAddr}})
	reset := append(append([]byte{0x40}, make([]byte, 10)...), token[:]...)
	path := Path{Remote: clientAddr}
	ref, ok := r.endpoint.FindReset(path, reset)
	require.True(t, ok)
	require.Equal(t, ConnRef(7), ref)
	for name, d := range map[string][]byte{
		"short":         reset[len(reset)-minReset+1:],
		"another token": append(append([]byte(nil), reset[:len(reset)-1]...), 9),
	} {
		_, ok = r.endpoint.FindReset(path, d)
		require.False(t, ok, name)
	}
	_, ok = r.endpoint.FindReset(Path{Remote: serverAddr}, reset)
	require.False(t, ok, "from another address")
}
