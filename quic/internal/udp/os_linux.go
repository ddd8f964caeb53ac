package udp

import (
	"net"
	"net/netip"
	"sync"
	"syscall"

	"github.com/pqquic/pqquic/quic/internal/datagram"
	"golang.org/x/sys/unix"
)

// osConn is what Linux adds: control messages both ways, and a Write that does not block.
type osConn struct {
	raw syscall.RawConn
	oob [oobSize]byte // of Read, which has one caller at a time
	v6  bool          // an AF_INET6 socket, which may serve IPv4 too
	// wildcard: bound to no address, so that pktinfo says which one a datagram came to.
	wildcard bool
	port     uint16
	zones    zoneCache
	sends    sync.Pool // of *sendOp
}

func (o *osConn) init(uc *net.UDPConn, local netip.AddrPort) error {
	raw, err := uc.SyscallConn()
	if err != nil {
		return err
	}
	o.raw, o.wildcard, o.port = raw, local.Addr().IsUnspecified(), local.Port()
	return raw.Control(func(fd uintptr) { o.setOptions(int(fd)) })
}

// setOptions asks for what the kernel can do. Each option may be missing (old kernels, sandboxes):
// then its information is missing, and nothing else.
func (o *osConn) setOptions(fd int) {
	if domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN); err == nil {
		o.v6 = domain == unix.AF_INET6
	}
	// PROBE sets DF and lets datagrams through that are larger than what the kernel believes of
	// the path. DO would let forged ICMP messages shrink us, and DONT let routers fragment.
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVTOS, 1)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
	if o.v6 {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE)
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS, 1)
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
	}
}

func (o *osConn) read(uc *net.UDPConn, t *datagram.Train) (int, error) {
	n, oobn, flags, addr, err := uc.ReadMsgUDPAddrPort(t.Slab, o.oob[:])
	if err != nil {
		return 0, err
	}
	if flags&unix.MSG_TRUNC != 0 {
		return 0, nil
	}
	t.Path.Remote = unmap(addr)
	local, ecn := parseOOB(o.oob[:oobn])
	t.ECN = ecn
	if o.wildcard && local.IsValid() {
		t.Path.Local = netip.AddrPortFrom(local, o.port)
	}
	return n, nil
}

// sendOp is one Write in the making. It lives in a pool, with the method value that RawConn calls,
// so that a Write allocates nothing.
type sendOp struct {
	run   func(fd uintptr)
	tx    *datagram.Transmit
	to    unix.Sockaddr
	sa4   unix.SockaddrInet4
	sa6   unix.SockaddrInet6
	oob   [oobSize]byte
	oobn  int
	first error // of a datagram that was refused
	block bool
}

func newSendOp() *sendOp {
	op := new(sendOp)
	op.run = op.sendAll
	return op
}

// write sends without waiting: RawConn.Control takes no lock that WriteWait might hold.
func (o *osConn) write(_ *net.UDPConn, tx *datagram.Transmit) error {
	op, _ := o.sends.Get().(*sendOp)
	if op == nil {
		op = newSendOp()
	}
	op.tx, op.first, op.block = tx, nil, false
	err := op.setAddress(o)
	if err != nil {
		tx.Data = nil
	} else {
		op.oobn = len(o.appendOOB(op.oob[:0], tx))
		err = o.raw.Control(op.run)
		switch {
		case err != nil:
		case op.block:
			err = ErrWouldBlock
		default:
			err = op.first
		}
	}
	op.tx = nil
	o.sends.Put(op)
	return err
}

// setAddress sets the destination. It fails for an IPv6 address on an IPv4 socket, and for a zone that
// names no interface.
func (op *sendOp) setAddress(o *osConn) error {
	remote := op.tx.Path.Remote
	addr := remote.Addr()
	if o.v6 {
		index := 0
		if zone := addr.Zone(); zone != "" {
			if index = o.zones.index(zone); index == 0 {
				return unix.ENODEV
			}
		}
		op.sa6.Addr, op.sa6.Port, op.sa6.ZoneId = addr.As16(), int(remote.Port()), uint32(index)
		op.to = &op.sa6
		return nil
	}
	if !addr.Is4() {
		return unix.EAFNOSUPPORT
	}
	op.sa4.Addr, op.sa4.Port = addr.As4(), int(remote.Port())
	op.to = &op.sa4
	return nil
}

func (op *sendOp) sendAll(fd uintptr) {
	for len(op.tx.Data) > 0 {
		_, err := unix.SendmsgN(int(fd), op.tx.First(), op.oob[:op.oobn], op.to, unix.MSG_DONTWAIT)
		switch err {
		case nil:
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			op.block = true
			return
		default:
			if op.first == nil {
				op.first = err
			}
		}
		op.tx.Advance()
	}
}

// writeMsg lets the runtime's poller wait for room.
func writeMsg(uc *net.UDPConn, tx *datagram.Transmit, o *osConn) error {
	var buf [oobSize]byte
	oob := o.appendOOB(buf[:0], tx)
	var first error
	for len(tx.Data) > 0 {
		if _, _, err := uc.WriteMsgUDPAddrPort(tx.First(), oob, tx.Path.Remote); err != nil && first == nil {
			first = err
		}
		tx.Advance()
	}
	return first
}
