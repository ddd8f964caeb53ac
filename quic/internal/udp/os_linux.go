package udp

import (
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// osConn is the Linux-specific part of a Conn: control messages in both directions and a Write that does
// not block.
type osConn struct {
	raw  syscall.RawConn
	recv recvOp // for Read, which is not called concurrently
	v6   bool   // an AF_INET6 socket, which may also serve IPv4
	// wildcard is set if the socket is bound to an unspecified address, so that the local address of a
	// datagram comes from pktinfo.
	wildcard bool
	port     uint16
	zones    zoneCache
	gso      gso
	gro      bool
	df       bool                   // the system fragments no datagrams
	sends    sync.Pool              // of *sendOp
	notify   atomic.Pointer[func()] // see ReportErrors
	// sendmsg is the function of this name. Tests replace it to simulate refusals of a kernel or a network
	// card.
	sendmsg func(fd int, p, oob []byte, to *sockaddr) error
}

func (o *osConn) init(uc *net.UDPConn, local netip.AddrPort, log *slog.Logger) error {
	raw, err := uc.SyscallConn()
	if err != nil {
		return err
	}
	o.raw, o.wildcard, o.port = raw, local.Addr().IsUnspecified(), local.Port()
	o.sendmsg = sendmsg
	o.recv.init()
	return raw.Control(func(fd uintptr) {
		o.setOptions(int(fd))
		o.gso.init(int(fd), log)
		o.gro = enableGRO(int(fd))
		checkBuffers(int(fd), log)
	})
}

// setOptions enables what the kernel supports. If an option is not supported (old kernels, sandboxes), only
// its information is missing.
//
// "UDP datagrams MUST NOT be fragmented at the IP layer."
// https://www.rfc-editor.org/rfc/rfc9000#section-14-7
// "In IPv4 [IPv4], the Don't Fragment (DF) bit MUST be set if possible, to prevent fragmentation on the path."
// https://www.rfc-editor.org/rfc/rfc9000#section-14-7
func (o *osConn) setOptions(fd int) {
	if domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN); err == nil {
		o.v6 = domain == unix.AF_INET6
	}
	// PROBE sets DF and sends datagrams that are larger than the path MTU that the kernel has recorded.
	// With DO, spoofed ICMP messages could reduce our datagram size; with DONT, routers could fragment.
	o.df = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE) == nil
	ecn := 1
	if os.Getenv(disableECN) != "" {
		ecn = 0
	}
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVTOS, ecn)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
	if o.v6 {
		v6 := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE)
		o.df = o.df && v6 == nil
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVTCLASS, ecn)
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
	}
}

// checkBuffers logs a warning if the system has limited the buffers, which it does without an error.
func checkBuffers(fd int, log *slog.Logger) {
	recv, err1 := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
	send, err2 := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
	// The kernel doubles the requested size to allow for its own overhead.
	if err1 == nil && err2 == nil && (recv/2 < socketBuffer || send/2 < socketBuffer) {
		log.Warn("quic: the system grants smaller socket buffers, which costs throughput: raise net.core.rmem_max and net.core.wmem_max",
			"receive", recv/2, "send", send/2, "wanted", socketBuffer)
	}
}

func (o *osConn) dontFragment() bool { return o.df }

func (*osConn) reportsLocalAddr() bool { return true }

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
