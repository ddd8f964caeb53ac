package udp

import (
	"bytes"
	"net"
	"net/netip"
	"runtime"
	"runtime/trace"
	"testing"

	"github.com/pqquic/pqquic/quic/internal/datagram"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestSockaddrRoundTrip(t *testing.T) {
	lo, err := net.InterfaceByName("lo")
	require.NoError(t, err)
	for _, tc := range []struct {
		addr  string
		scope int
		want  string // if it differs from addr
	}{
		{addr: "192.0.2.9:443"},
		{addr: "[2001:db8::9]:65535"},
		{addr: "[fe80::9%lo]:1", scope: lo.Index},
		{addr: "[fe80::9%1000000]:1", scope: 1_000_000},
		{addr: "[::ffff:192.0.2.9]:443", want: "192.0.2.9:443"},
	} {
		want := netip.MustParseAddrPort(tc.addr)
		var a sockaddr
		if want.Addr().Is4() {
			a.setIPv4(want)
		} else {
			a.setIPv6(want, uint32(tc.scope))
		}
		if tc.want != "" {
			want = netip.MustParseAddrPort(tc.want)
		}
		require.Equal(t, want, a.addrPort(new(zoneCache)))
		a.size--
		require.Zero(t, a.addrPort(new(zoneCache)), "an address that was cut off")
	}
	a := sockaddr{size: unix.SizeofSockaddrInet6}
	require.Zero(t, a.addrPort(new(zoneCache)), "neither IPv4 nor IPv6")
}

// Reading and writing do not notify the scheduler. The runtime's execution trace has at least six bytes for
// each system call that does, and a few kilobytes in any case.
func TestSystemCallsDoNotNotifyTheScheduler(t *testing.T) {
	const n = 20_000
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // an idle processor would poll the network, which is traced
	server, client := listen(t, "udp4", "127.0.0.1:0"), listen(t, "udp4", "127.0.0.1:0")
	ts := newTrains(server)
	data := make([]byte, 100)
	traced := func(f func()) int {
		var b bytes.Buffer
		if err := trace.Start(&b); err != nil {
			t.Skipf("the test itself is traced: %v", err)
		}
		f()
		trace.Stop()
		return b.Len()
	}
	exchange := func(read func()) func() {
		return func() {
			for range n {
				tx := datagram.Transmit{Data: data, SegmentSize: len(data), Path: datagram.Path{Remote: server.LocalAddr()}}
				require.NoError(t, client.Write(&tx))
				read()
			}
		}
	}
	require.Less(t, traced(exchange(func() {
		_, err := server.Read(ts)
		require.NoError(t, err)
	})), 2*n, "bytes of the execution trace")
	require.Greater(t, traced(exchange(func() {
		_, _, err := server.udp.ReadFromUDPAddrPort(ts[0].Slab)
		require.NoError(t, err)
	})), 2*n, "calls of package net are in the trace")
}
