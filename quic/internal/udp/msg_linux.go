package udp

import (
	"encoding/binary"
	"net/netip"
	"os"
	"unsafe"

	"github.com/pqquic/pqquic/quic/internal/datagram"
	"golang.org/x/sys/unix"
)

// The system calls in this file never wait, so they use RawSyscall, which does not notify Go's scheduler.
// unix.SendmsgN and net.UDPConn notify it before and after each call. That costs time, and when a call
// takes more than about 20 µs, as one with a long train does, the scheduler's monitor thread takes the
// processor from its goroutine and gives it to another thread. More threads than CPUs are then runnable,
// and the kernel makes one of them wait. The workloads connect-32 and bulk-down-1 of bench/peers show the
// difference.
//
// The price is that the garbage collector cannot stop the world during a call. On the loopback interface, a
// call that sends a long train runs the receiving half of the network stack as well, so it can take some
// 100 µs. It delays the collector by that much, like a loop without calls in Go.
//
// The numbers of the system calls exist on every architecture since Linux 4.3.

// sendmsg is sendmsg(2) with MSG_DONTWAIT. It sends to the peer of a connected socket if the length of the
// address is 0.
func sendmsg(fd int, p, oob []byte, to *sockaddr) error {
	iov := unix.Iovec{Base: unsafe.SliceData(p)}
	iov.SetLen(len(p))
	msg := unix.Msghdr{Iov: &iov}
	msg.SetIovlen(1)
	if to.size > 0 {
		msg.Name, msg.Namelen = (*byte)(unsafe.Pointer(&to.raw)), to.size
	}
	if len(oob) > 0 {
		msg.Control = unsafe.SliceData(oob)
		msg.SetControllen(len(oob))
	}
	_, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&msg)), unix.MSG_DONTWAIT)
	if errno != 0 {
		return errno
	}
	return nil
}

// recvmsg is recvmsg(2) with MSG_DONTWAIT. It sets from to the sender's address.
func recvmsg(fd int, p, oob []byte, from *sockaddr) (n, oobn, flags int, err error) {
	iov := unix.Iovec{Base: unsafe.SliceData(p)}
	iov.SetLen(len(p))
	msg := unix.Msghdr{
		Name: (*byte)(unsafe.Pointer(&from.raw)), Namelen: unix.SizeofSockaddrInet6,
		Iov: &iov, Control: unsafe.SliceData(oob),
	}
	msg.SetIovlen(1)
	msg.SetControllen(len(oob))
	r, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&msg)), unix.MSG_DONTWAIT)
	if errno != 0 {
		return 0, 0, 0, errno
	}
	from.size = msg.Namelen
	return int(r), int(msg.Controllen), int(msg.Flags), nil
}

// A sockaddr is an address in the form that the kernel uses.
type sockaddr struct {
	raw  unix.RawSockaddrInet6 // or a unix.RawSockaddrInet4, which is shorter
	size uint32                // 0 if there is no address
}

func (a *sockaddr) inet4() *unix.RawSockaddrInet4 {
	return (*unix.RawSockaddrInet4)(unsafe.Pointer(&a.raw))
}

// port returns the bytes of the port, which is at the same place in both forms.
func (a *sockaddr) port() []byte { return (*[2]byte)(unsafe.Pointer(&a.raw.Port))[:] }

func (a *sockaddr) setIPv4(to netip.AddrPort) {
	*a.inet4() = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: to.Addr().As4()}
	binary.BigEndian.PutUint16(a.port(), to.Port())
	a.size = unix.SizeofSockaddrInet4
}

// setIPv6 sets an address for an IPv6 socket. scope is the index of the interface if to has a zone.
func (a *sockaddr) setIPv6(to netip.AddrPort, scope uint32) {
	a.raw = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: to.Addr().As16(), Scope_id: scope}
	binary.BigEndian.PutUint16(a.port(), to.Port())
	a.size = unix.SizeofSockaddrInet6
}

// addrPort returns the address, or the zero value if it is neither IPv4 nor IPv6.
func (a *sockaddr) addrPort(zones *zoneCache) netip.AddrPort {
	port := binary.BigEndian.Uint16(a.port())
	switch {
	case a.raw.Family == unix.AF_INET && a.size >= unix.SizeofSockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.inet4().Addr), port)
	case a.raw.Family == unix.AF_INET6 && a.size >= unix.SizeofSockaddrInet6:
		addr := netip.AddrFrom16(a.raw.Addr).Unmap()
		if a.raw.Scope_id != 0 {
			addr = addr.WithZone(zones.name(int(a.raw.Scope_id)))
		}
		return netip.AddrPortFrom(addr, port)
	}
	return netip.AddrPort{}
}

// A recvOp is a Read in progress. It contains the method value that RawConn calls, so that Read does not
// allocate.
type recvOp struct {
	try            func(fd uintptr) bool
	slab           []byte
	oob            [oobSize]byte
	from           sockaddr
	n, oobn, flags int
	err            error
}

func (op *recvOp) init() { op.try = op.receive }

// receive reads once. It returns false if there is nothing to read, and the runtime's poller then waits.
func (op *recvOp) receive(fd uintptr) (done bool) {
	for {
		op.n, op.oobn, op.flags, op.err = recvmsg(int(fd), op.slab, op.oob[:], &op.from)
		if op.err != unix.EINTR {
			return op.err != unix.EAGAIN
		}
	}
}

// read reads a train and returns its length, or 0 if it is truncated.
func (o *osConn) read(t *datagram.Train) (int, error) {
	op := &o.recv
	op.slab = t.Slab
	err := o.raw.Read(op.try)
	op.slab = nil
	switch {
	case err != nil:
		return 0, err
	case op.err != nil:
		return 0, os.NewSyscallError("recvmsg", op.err)
	case op.flags&unix.MSG_TRUNC != 0:
		return 0, nil
	}
	t.Path.Remote = op.from.addrPort(&o.zones)
	info := parseOOB(op.oob[:op.oobn])
	t.ECN, t.SegmentSize = info.ecn, info.segment
	if o.wildcard && info.local.IsValid() {
		t.Path.Local = netip.AddrPortFrom(info.local, o.port)
	}
	return op.n, nil
}
