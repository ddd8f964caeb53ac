//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"bytes"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
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

// relay passes the datagrams of one client on to a server and back, until stop closes its sockets.
func relay(t *testing.T, server string) (addr string, stop func()) {
	t.Helper()
	addr, _, stop = tappedRelay(t, "127.0.0.1", server)
	return addr, stop
}

// tappedRelay is a relay at an IPv4 address that remembers the beginning of the client's last datagram.
func tappedRelay(t *testing.T, ip, server string) (addr string, last func() []byte, stop func()) {
	t.Helper()
	front, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(ip)})
	require.NoError(t, err)
	back, err := net.Dial("udp4", server)
	require.NoError(t, err)
	var client atomic.Pointer[netip.AddrPort]
	var seen atomic.Pointer[[]byte]
	var wg sync.WaitGroup
	wg.Go(func() {
		for b := make([]byte, 1<<16); ; {
			n, from, err := front.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			client.Store(&from)
			begin := bytes.Clone(b[:min(n, 64)])
			seen.Store(&begin)
			back.Write(b[:n])
		}
	})
	wg.Go(func() {
		for b := make([]byte, 1<<16); ; {
			n, err := back.Read(b)
			if err != nil {
				return
			}
			front.WriteToUDPAddrPort(b[:n], *client.Load())
		}
	})
	return front.LocalAddr().String(), func() []byte { return *seen.Load() }, func() {
		front.Close()
		back.Close()
		wg.Wait()
	}
}

// After the handshake, an ICMP message costs no datagram. Anyone who knows a client's port can forge one for
// each datagram.
func TestLoopbackICMPAfterTheHandshake(t *testing.T) {
	l := echoServer(t)
	addr, stop := relay(t, l.Addr().String())
	conn, err := Dial(t.Context(), "udp", addr, clientConfig())
	require.NoError(t, err)
	require.NoError(t, echo(conn, 1000, 1))
	s, err := conn.OpenStream(t.Context())
	require.NoError(t, err)
	stop()
	// The host reports each datagram, because nothing listens on the relay's port any more.
	for sent := conn.Stats().DatagramsSent; conn.Stats().DatagramsSent < sent+20; {
		_, err := s.Write([]byte{1})
		require.NoError(t, err)
	}
	require.Zero(t, conn.Stats().SendErrors)
	conn.abort(ErrEndpointClosed, 0)
}
