package udp

import (
	"fmt"
	"net"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// An mmsghdr is the struct mmsghdr of sendmmsg(2) and recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	_   uint64 // the number of bytes, and padding
}

// batch is the largest number of datagrams of a call in BenchmarkBatch.
const batch = 16

// BenchmarkBatch compares system calls for one datagram with calls for several, when several wait for different
// connections. Segmentation offload does not apply to these, because their addresses differ. The results are in
// docs/sending.md.
func BenchmarkBatch(b *testing.B) {
	for _, n := range []int{1, 4, batch} {
		for _, mmsg := range []bool{false, true} {
			b.Run(fmt.Sprintf("datagrams=%d/mmsg=%t", n, mmsg), func(b *testing.B) { benchmarkBatch(b, n, mmsg) })
		}
	}
}

// benchmarkBatch sends n datagrams to a socket and receives them. A unit is one datagram, sent and received.
func benchmarkBatch(b *testing.B, n int, mmsg bool) {
	from, _ := listenLoopback(b)
	to, addr := listenLoopback(b)
	var (
		name     = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: [4]byte{127, 0, 0, 1}}
		payload  [1200]byte
		slabs    [batch][2048]byte
		names    [batch]unix.RawSockaddrAny
		in, out  [batch]mmsghdr
		ins, one [batch]unix.Iovec
	)
	port := (*[2]byte)(unsafe.Pointer(&name.Port))
	port[0], port[1] = byte(addr.Port>>8), byte(addr.Port)
	for i := range batch {
		one[i].Base, ins[i].Base = &payload[0], &slabs[i][0]
		one[i].SetLen(len(payload))
		ins[i].SetLen(len(slabs[i]))
		out[i].hdr = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&name)), Namelen: unix.SizeofSockaddrInet4, Iov: &one[i], Iovlen: 1}
		in[i].hdr = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&names[i])), Namelen: unix.SizeofSockaddrAny, Iov: &ins[i], Iovlen: 1}
	}
	call := func(fd int, one, many uintptr, m *[batch]mmsghdr) {
		if mmsg {
			r, _, errno := unix.RawSyscall6(many, uintptr(fd), uintptr(unsafe.Pointer(m)), uintptr(n), unix.MSG_DONTWAIT, 0, 0)
			require.Zero(b, errno)
			require.EqualValues(b, n, r)
			return
		}
		for i := range n {
			_, _, errno := unix.RawSyscall(one, uintptr(fd), uintptr(unsafe.Pointer(&m[i].hdr)), unix.MSG_DONTWAIT)
			require.Zero(b, errno)
		}
	}
	b.ResetTimer()
	for done := 0; done < b.N; done += n {
		call(from, unix.SYS_SENDMSG, unix.SYS_SENDMMSG, &out)
		call(to, unix.SYS_RECVMSG, unix.SYS_RECVMMSG, &in)
	}
}

// listenLoopback returns the descriptor of a socket on the loopback interface, and its address.
func listenLoopback(b *testing.B) (fd int, addr *net.UDPAddr) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(b, err)
	b.Cleanup(func() { c.Close() })
	raw, err := c.SyscallConn()
	require.NoError(b, err)
	require.NoError(b, raw.Control(func(f uintptr) { fd = int(f) }))
	return fd, c.LocalAddr().(*net.UDPAddr)
}
