//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"

	"github.com/pqquic/pqquic/quic/internal/udp/icmptest"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// On the loopback interface, whose MTU is 65,536, datagrams grow to what fits in packets of 9000 bytes.
func TestLoopbackPathMTU(t *testing.T) {
	t.Run("IPv4", func(t *testing.T) { growTo(t, "127.0.0.1:0", 8972, Config{}) })
	t.Run("IPv6", func(t *testing.T) { growTo(t, "[::1]:0", 8952, Config{}) })
	t.Run("dual stack", func(t *testing.T) { growTo(t, "[::]:0", 8972, Config{}) })
	t.Run("off", func(t *testing.T) { growTo(t, "127.0.0.1:0", 1200, Config{DisablePathMTUDiscovery: true}) })
	// The largest size is the same over both.
	for _, size := range []int{1200, 1201, 1300, 1452, 1472, 4000, 8952} {
		t.Run(fmt.Sprint("IPv4 ", size), func(t *testing.T) { growTo(t, "127.0.0.1:0", size, Config{MaxUDPPayload: size}) })
		t.Run(fmt.Sprint("IPv6 ", size), func(t *testing.T) { growTo(t, "[::1]:0", size, Config{MaxUDPPayload: size}) })
	}
}

// growTo requires that the datagrams of a client and a server that listens on addr grow to want bytes.
func growTo(t *testing.T, addr string, want int, set Config) {
	t.Helper()
	server, client := serverConfig(), clientConfig()
	server.DisablePathMTUDiscovery, client.DisablePathMTUDiscovery = set.DisablePathMTUDiscovery, set.DisablePathMTUDiscovery
	server.MaxUDPPayload, client.MaxUDPPayload = set.MaxUDPPayload, set.MaxUDPPayload
	l, err := Listen("udp", addr, server)
	if err != nil {
		t.Skipf("cannot listen on %s: %v", addr, err)
	}
	to := l.Addr().(*net.UDPAddr)
	if to.IP.IsUnspecified() {
		to.IP = net.IPv4(127, 0, 0, 1)
	}
	conn, err := Dial(t.Context(), "udp", to.String(), client)
	require.NoError(t, err)
	peer, err := l.Accept(t.Context())
	require.NoError(t, err)
	var wg sync.WaitGroup
	wg.Go(func() { echoConn(&wg, peer) })
	size := func() int { return min(conn.Stats().DatagramSize, peer.Stats().DatagramSize) }
	// The socket's buffer has room for each echo, so no probe is lost.
	rounds := 0
	for ; rounds < 20 || size() != want && rounds < 200; rounds++ {
		require.NoError(t, echo(conn, 64<<10, byte(rounds)))
		require.LessOrEqual(t, size(), want)
	}
	require.Equal(t, want, size(), "after %d rounds", rounds)
	require.Zero(t, conn.Stats().SendErrors)
	require.Zero(t, peer.Stats().SendErrors)
	require.NoError(t, l.Endpoint().Close())
	conn.abort(ErrEndpointClosed, 0)
	wg.Wait()
}

// On an interface whose MTU is 1500, the system refuses larger probes. The test runs again in a network namespace of
// its own, in which it may set the MTU.
func TestInterfaceMTU(t *testing.T) {
	const inside = "PQQUIC_INSIDE_NAMESPACE"
	if os.Getenv(inside) != "" {
		setLoopbackMTU(t, 1500)
		t.Run("IPv4", func(t *testing.T) { growTo(t, "127.0.0.1:0", 1472, Config{}) })
		t.Run("IPv6", func(t *testing.T) { growTo(t, "[::1]:0", 1452, Config{}) })
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestInterfaceMTU$", "-test.v")
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if err != nil && len(out) == 0 {
		t.Skipf("needs a user namespace: %v", err)
	}
	require.NoError(t, err, "%s", out)
	if bytes.Contains(out, []byte("may not set the MTU")) {
		t.Skipf("needs a network namespace: %s", out)
	}
	require.Contains(t, string(out), "PASS: TestInterfaceMTU/IPv4")
}

// setLoopbackMTU sets the MTU of the loopback interface and starts it.
func setLoopbackMTU(t *testing.T, mtu uint32) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	require.NoError(t, err)
	lo.SetUint32(mtu)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFMTU, lo); err != nil {
		t.Skipf("may not set the MTU: %v", err)
	}
	lo.SetUint16(unix.IFF_UP)
	require.NoError(t, unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo))
}

// A connection that Dial made uses the kernel's reports of ICMP messages. One that does not quote a packet of the
// connection has no effect.
func TestLoopbackPacketTooBig(t *testing.T) {
	l := echoServer(t)
	addr, seen, stop := tappedRelay(t, icmptest.Destination, l.Addr().String())
	defer stop()
	conn, err := Dial(t.Context(), "udp", addr, clientConfig())
	require.NoError(t, err)
	grow := func(to int) {
		for n := 0; conn.Stats().DatagramSize != to; n++ {
			require.Less(t, n, 1000, "the size is %d instead of %d", conn.Stats().DatagramSize, to)
			require.NoError(t, echo(conn, 64<<10, byte(n)))
		}
	}
	grow(8972)
	send := func(quoted []byte) {
		from, to := netip.MustParseAddrPort(conn.LocalAddr().String()), netip.MustParseAddrPort(addr)
		from = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), from.Port())
		icmptest.SendTooBig(t, from, to, 1400, quoted)
	}
	forged := bytes.Clone(seen())
	forged[3] ^= 1
	for range 10 {
		send(forged)
		require.NoError(t, echo(conn, 10_000, 1))
	}
	require.Equal(t, 8972, conn.Stats().DatagramSize)
	send(seen())
	grow(1400 - 20 - 8)
	require.Zero(t, conn.Stats().SendErrors)
	conn.abort(ErrEndpointClosed, 0)
}
