//go:build linux

package link

import (
	"errors"
	"io/fs"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// newLink returns a link, or skips the test where this process may not create one.
func newLink(t *testing.T, c Config) *Link {
	l, err := New(c)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) || errors.Is(err, fs.ErrNotExist) {
		t.Skipf("this system permits no emulated link (try unshare -Urn): %v", err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l
}

// listen opens a socket at an end.
func listen(t *testing.T, e *End) (c *net.UDPConn) {
	require.NoError(t, e.Do(func() (err error) {
		c, err = net.ListenUDP("udp4", &net.UDPAddr{IP: e.Addr().AsSlice()})
		return err
	}))
	t.Cleanup(func() { c.Close() })
	return c
}

// Datagrams cross in both directions, in order, after at least the delay, and all that are not lost arrive.
func TestLinkCarriesDatagrams(t *testing.T) {
	const datagrams = 200 // the socket buffer has room for them
	config := Config{Delay: 5 * time.Millisecond, Rate: 1e9, Queue: 1 << 20, Loss: 0.1, MTU: 1500, Seed: 7}
	l := newLink(t, config)
	near, far := l.Ends()
	for _, way := range [][2]*End{{near, far}, {far, near}} {
		from, to := listen(t, way[0]), listen(t, way[1])
		began := time.Now()
		for i := range datagrams {
			_, err := from.WriteTo([]byte{byte(i)}, to.LocalAddr())
			require.NoError(t, err)
		}
		require.Eventually(t, func() bool { return way[0].Counts().Accepted == datagrams }, 10*time.Second, time.Millisecond)
		counts := way[0].Counts()
		require.Zero(t, counts.Dropped)
		require.InDelta(t, 20, counts.Lost, 15)
		buf, last := make([]byte, 10), -1
		for range datagrams - counts.Lost {
			n, _, err := to.ReadFrom(buf)
			require.NoError(t, err)
			require.Equal(t, 1, n)
			require.Greater(t, int(buf[0]), last)
			last = int(buf[0])
		}
		require.GreaterOrEqual(t, time.Since(began), config.Delay)
	}
}

// A datagram that needs more than the MTU is refused by the kernel if it must not be fragmented.
func TestLinkHasMTU(t *testing.T) {
	l := newLink(t, Config{Rate: 1e9, Queue: 1 << 20, MTU: 1300})
	near, far := l.Ends()
	from, to := listen(t, near), listen(t, far)
	raw, err := from.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) {
		require.NoError(t, unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE))
	}))
	const headers = 20 + 8
	_, err = from.WriteTo(make([]byte, 1300-headers+1), to.LocalAddr())
	require.ErrorIs(t, err, unix.EMSGSIZE)
	_, err = from.WriteTo(make([]byte, 1300-headers), to.LocalAddr())
	require.NoError(t, err)
	n, _, err := to.ReadFrom(make([]byte, 2000))
	require.NoError(t, err)
	require.Equal(t, 1300-headers, n)
}

// Both functions of a Config see each packet, with the end that sent it; what Arrived changes or refuses does not
// arrive as it was. IPv6 works like IPv4.
func TestLinkCallsFunctions(t *testing.T) {
	var sent [2]atomic.Int64
	l := newLink(t, Config{Rate: 1e9, Queue: 1 << 20, MTU: 1500,
		Sent: func(from int, _ time.Time, _ []byte) { sent[from].Add(1) },
		Arrived: func(from int, _ time.Time, packet []byte) bool {
			return from == 1 || packet[len(packet)-1] != 'x'
		}})
	near, far := l.Ends()
	if !near.Addr6().IsValid() {
		t.Skip("this kernel has no IPv6")
	}
	open := func(e *End) (c *net.UDPConn) {
		require.NoError(t, e.Do(func() (err error) {
			c, err = net.ListenUDP("udp6", &net.UDPAddr{IP: e.Addr6().AsSlice()})
			return err
		}))
		t.Cleanup(func() { c.Close() })
		return c
	}
	a, b := open(near), open(far)
	for _, payload := range []string{"x", "y"} {
		_, err := a.WriteTo([]byte(payload), b.LocalAddr())
		require.NoError(t, err)
	}
	_, err := b.WriteTo([]byte("x"), a.LocalAddr())
	require.NoError(t, err)
	for c, want := range map[*net.UDPConn]string{a: "x", b: "y"} {
		buf := make([]byte, 10)
		n, _, err := c.ReadFrom(buf)
		require.NoError(t, err)
		require.Equal(t, want, string(buf[:n]))
	}
	require.EqualValues(t, 2, sent[0].Load())
	require.EqualValues(t, 1, sent[1].Load())
}

// Do leaves the thread in the namespace in which it found it, also when the function fails.
func TestDoReturnsToTheNamespaceBefore(t *testing.T) {
	l := newLink(t, Config{Rate: 1e9, Queue: 1 << 20, MTU: 1500})
	near, _ := l.Ends()
	addr := &net.UDPAddr{IP: near.Addr().AsSlice()}
	fails := errors.New("f failed")
	require.ErrorIs(t, near.Do(func() error { return fails }), fails)
	_, err := net.ListenUDP("udp4", addr)
	require.ErrorIs(t, err, unix.EADDRNOTAVAIL, "the address exists in the other namespace only")
	listen(t, near)
}
