package udp

import (
	"log/slog"
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
	gso      gso
	gro      bool
	sends    sync.Pool // of *sendOp
	// sendmsg is unix.SendmsgN. Tests let it refuse what a kernel or a network card may refuse.
	sendmsg func(fd int, p, oob []byte, to unix.Sockaddr, flags int) (int, error)
}

func (o *osConn) init(uc *net.UDPConn, local netip.AddrPort, log *slog.Logger) error {
	raw, err := uc.SyscallConn()
	if err != nil {
		return err
	}
	o.raw, o.wildcard, o.port = raw, local.Addr().IsUnspecified(), local.Port()
	o.sendmsg = unix.SendmsgN
	return raw.Control(func(fd uintptr) {
		o.setOptions(int(fd))
		o.gso.init(int(fd), log)
		o.gro = enableGRO(int(fd))
		checkBuffers(int(fd), log)
	})
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

// checkBuffers warns if the system limits the buffers, which it does without an error.
func checkBuffers(fd int, log *slog.Logger) {
	recv, err1 := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	send, err2 := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
	// The kernel doubles what it is asked for, to allow for its own overhead.
	if err1 == nil && err2 == nil && (recv/2 < socketBuffer || send/2 < socketBuffer) {
		log.Warn("quic: the system grants smaller socket buffers, which costs throughput: raise net.core.rmem_max and net.core.wmem_max",
			"receive", recv/2, "send", send/2, "wanted", socketBuffer)
	}
}

func (o *osConn) slabSize() int {
	if o.gro {
		return groSlab
	}
	return slabSize
}

func (o *osConn) maxSegments() int {
	if o.gso.available {
		return maxSegments
	}
	return 1
}

// read reads a train. It returns its length, 0 if it is truncated.
func (o *osConn) read(uc *net.UDPConn, t *datagram.Train) (int, error) {
	n, oobn, flags, addr, err := uc.ReadMsgUDPAddrPort(t.Slab, o.oob[:])
	if err != nil {
		return 0, err
	}
	if flags&unix.MSG_TRUNC != 0 {
		return 0, nil
	}
	t.Path.Remote = unmap(addr)
	info := parseOOB(o.oob[:oobn])
	t.ECN, t.SegmentSize = info.ecn, info.segment
	if o.wildcard && info.local.IsValid() {
		t.Path.Local = netip.AddrPortFrom(info.local, o.port)
	}
	return n, nil
}
