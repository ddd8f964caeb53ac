package udp

import (
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/pqquic/pqquic/quic/internal/datagram"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestControlMessagesRoundTrip(t *testing.T) {
	for _, tc := range []struct {
		name          string
		local, remote string
		ecn           datagram.ECN
		wantLocal     string
	}{
		{"IPv4", "192.0.2.1:1", "192.0.2.9:443", 0b10, "192.0.2.1"},
		{"IPv6", "[2001:db8::1]:1", "[2001:db8::9]:443", 0b11, "2001:db8::1"},
		{"IPv4-mapped", "192.0.2.1:1", "[::ffff:192.0.2.9]:443", 0b01, "192.0.2.1"},
		{"unspecified", "0.0.0.0:1", "192.0.2.9:443", 0b10, ""},
		{"link-local", "[fe80::1]:1", "[fe80::2]:443", 0, ""},
		{"families differ", "192.0.2.1:1", "[2001:db8::9]:443", 0, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := osConn{wildcard: true}
			var buf [oobSize]byte
			b := o.appendOOB(buf[:0], &datagram.Transmit{
				Path: datagram.Path{Local: netip.MustParseAddrPort(tc.local), Remote: netip.MustParseAddrPort(tc.remote)},
				ECN:  tc.ecn,
			})
			info := parseOOB(b)
			require.Equal(t, tc.ecn, info.ecn)
			require.Zero(t, info.segment)
			if tc.wantLocal == "" {
				require.False(t, info.local.IsValid())
			} else {
				require.Equal(t, netip.MustParseAddr(tc.wantLocal), info.local)
			}
		})
	}
}

// "UDP datagrams MUST NOT be fragmented at the IP layer."
// https://www.rfc-editor.org/rfc/rfc9000#section-14-7
// "In IPv4 [IPv4], the Don't Fragment (DF) bit MUST be set if possible, to prevent fragmentation on the path."
// https://www.rfc-editor.org/rfc/rfc9000#section-14-7
func TestDFIsSetWithoutTrustInICMP(t *testing.T) {
	c := listen(t, "udp4", "127.0.0.1:0")
	require.True(t, c.DontFragment())
	raw, err := c.udp.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) {
		v, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER)
		require.NoError(t, err)
		require.Equal(t, unix.IP_PMTUDISC_PROBE, v)
	}))
}

// Where DF cannot be set, larger datagrams than every path carries must not be sent: a router would fragment
// them.
func TestDontFragment(t *testing.T) {
	var o osConn
	o.setOptions(-1) // every option fails
	require.False(t, o.dontFragment())
	require.False(t, newConn(t, struct{ net.PacketConn }{listenPacket(t, "udp4", "127.0.0.1:0")}, slog.DiscardHandler).DontFragment())
	require.True(t, listen(t, "udp6", "[::]:0").DontFragment())
}

// Like any other datagram, one to a destination with a zone is sent without waiting. A write through the
// poller would fail at the write deadline and would wait for room.
func TestLinkLocalDestinationDoesNotWait(t *testing.T) {
	require.NoError(t, listenPacket(t, "udp6", "[::1]:0").Close())
	c := listen(t, "udp6", "[::]:0")
	require.NoError(t, c.udp.SetWriteDeadline(time.Unix(1, 0)))
	port := c.LocalAddr().Port()
	for _, zone := range []string{"lo", "1"} {
		tx := datagram.Transmit{Data: []byte("x"), Path: datagram.Path{Remote: netip.AddrPortFrom(netip.IPv6LinkLocalAllNodes().WithZone(zone), port)}}
		require.NotErrorIs(t, c.Write(&tx), os.ErrDeadlineExceeded)
		require.Empty(t, tx.Data)
	}
	tx := datagram.Transmit{Data: []byte("x"), Path: datagram.Path{Remote: netip.MustParseAddrPort("[fe80::1%nonesuch]:9")}}
	require.ErrorIs(t, c.Write(&tx), unix.ENODEV)
	require.Empty(t, tx.Data, "the datagram is lost")
	tx = datagram.Transmit{Data: []byte("x"), Path: datagram.Path{Remote: netip.AddrPortFrom(netip.IPv6Loopback(), port)}}
	require.NoError(t, c.Write(&tx), "the zone of the previous datagram is not used")
}

func TestZones(t *testing.T) {
	lo, err := net.InterfaceByName("lo")
	require.NoError(t, err)
	var c zoneCache
	for range 2 {
		require.Equal(t, lo.Index, c.index("lo"))
		require.Equal(t, 7, c.index("7"))
		require.Zero(t, c.index("nonesuch"))
		require.Equal(t, "lo", c.name(lo.Index))
		require.Equal(t, "1000000", c.name(1_000_000))
	}
	for i := range 2 * maxZones {
		c.index("zone" + strconv.Itoa(i))
		c.name(1_000_000 + i)
	}
	require.LessOrEqual(t, len(c.byName), maxZones)
	require.LessOrEqual(t, len(c.byIndex), maxZones)
}

// A datagram socketpair fills up if it is not read. Loopback UDP never does, because it drops at the
// receiver.
func TestFullBufferParks(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK, 0)
	require.NoError(t, err)
	reader := os.NewFile(uintptr(fds[1]), "reader")
	defer reader.Close()
	writer, err := net.FileConn(os.NewFile(uintptr(fds[0]), "writer"))
	require.NoError(t, err)
	defer writer.Close()
	raw, err := writer.(syscall.Conn).SyscallConn()
	require.NoError(t, err)

	o := osConn{sendmsg: sendmsg}
	op := o.newSendOp()
	op.most = 1
	sent := 0
	for !op.block {
		require.Less(t, sent, 1<<20, "the buffer never fills")
		tx := datagram.Transmit{Data: make([]byte, 100), SegmentSize: 10}
		op.tx = &tx
		require.NoError(t, raw.Control(op.try))
		require.NoError(t, op.first)
		sent += (100 - len(tx.Data)) / 10
		require.Equal(t, op.block, len(tx.Data) > 0, "what was not sent is left")
	}
	got := 0
	for buf := make([]byte, 100); got < sent; got++ {
		n, err := reader.Read(buf)
		require.NoError(t, err)
		require.Equal(t, 10, n)
	}
}

// The errors that Linux reports for ICMP messages do not concern the socket: see icmp_err_convert and
// icmpv6_err_convert in the kernel.
func TestErrorsOfICMP(t *testing.T) {
	for _, err := range []error{
		unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.ENOPROTOOPT, unix.EOPNOTSUPP, unix.EHOSTDOWN,
		unix.ENONET, unix.EPROTO, unix.EACCES,
	} {
		require.Equal(t, ClassRefused, Classify(os.NewSyscallError("recvmsg", err)), "%v", err)
	}
}

// PQQUIC_DISABLE_ECN hides the ECN field of what arrives.
func TestDisableECN(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		for env, want := range map[string]datagram.ECN{"": 0b10, "1": 0} {
			t.Run(addr+env, func(t *testing.T) {
				t.Setenv(disableECN, env)
				sock := func() *Conn {
					pc, err := net.ListenPacket("udp", addr)
					require.NoError(t, err)
					c, err := New(pc, slog.New(slog.DiscardHandler))
					require.NoError(t, err)
					t.Cleanup(func() { c.Close() })
					return c
				}
				from, to := sock(), sock()
				tx := datagram.Transmit{Data: []byte("marked"), SegmentSize: 6, Path: datagram.Path{Remote: to.LocalAddr()}, ECN: 0b10}
				require.NoError(t, from.Write(&tx))
				trains := newTrains(to)
				n, err := to.Read(trains)
				require.NoError(t, err)
				require.Equal(t, 1, n)
				require.Equal(t, want, trains[0].ECN)
			})
		}
	}
}
