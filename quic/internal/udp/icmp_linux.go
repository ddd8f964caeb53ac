package udp

import (
	"encoding/binary"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

func init() { errsRefused = append(errsRefused, unix.ENONET) }

// ReportErrors makes the system queue ICMP messages about this socket's datagrams for NextError. If the system
// does not support it, NextError returns none. Each message also fails one system call on the socket, whichever
// datagram the message is about: a Read, whose caller must then call NextError, or one of a Write, which repeats
// it and calls notify before it returns. Messages that are not taken use up the receive buffer. Anyone can send
// them, so ReportErrors is meant for a socket with one peer. If notify is nil, messages are ignored from now on.
func (c *Conn) ReportErrors(notify func()) {
	if c.udp == nil {
		return
	}
	value := 0
	c.os.notify.Store(nil)
	if notify != nil {
		value = 1
		c.os.notify.Store(&notify)
	}
	_ = c.os.raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_RECVERR, value)
		if c.os.v6 {
			_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RECVERR, value)
		}
	})
}

// NextError returns the next ICMP message that was queued because of ReportErrors. The quoted bytes are
// stored in buf.
func (c *Conn) NextError(buf []byte) (e ICMPError, ok bool) {
	if c.udp == nil {
		return e, false
	}
	_ = c.os.raw.Control(func(fd uintptr) {
		for !ok {
			var oob [oobSize + 64]byte
			n, oobn, _, from, err := unix.Recvmsg(int(fd), buf, oob[:], unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				return
			}
			if e, ok = parseICMP(oob[:oobn]); ok {
				e.Remote, e.Quoted = addressOf(from), buf[:n]
			}
		}
	})
	return e, ok
}

// parseICMP returns the error and the payload size of the struct sock_extended_err in control messages. It
// returns false if there is none or if it does not originate from ICMP.
func parseICMP(b []byte) (e ICMPError, ok bool) {
	for len(b) >= unix.SizeofCmsghdr {
		h, data, rest, err := unix.ParseOneSocketControlMessage(b)
		if err != nil {
			return e, false
		}
		b = rest
		isError := h.Level == unix.IPPROTO_IP && h.Type == unix.IP_RECVERR ||
			h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_RECVERR
		if !isError || len(data) < 12 {
			continue
		}
		// The origin and the type of the message follow the errno. The last field is the MTU that a router
		// reports.
		errno := syscall.Errno(binary.NativeEndian.Uint32(data))
		origin, mtu := data[4], int64(binary.NativeEndian.Uint32(data[8:]))
		headers := int64(20 + 8)
		switch origin {
		case unix.SO_EE_ORIGIN_ICMP:
		case unix.SO_EE_ORIGIN_ICMP6:
			headers = 40 + 8
		default:
			continue
		}
		e.Err = errno
		if errno == syscall.EMSGSIZE {
			e.Payload = int(max(0, min(mtu-headers, maxRun)))
		}
		return e, true
	}
	return e, false
}

func addressOf(from unix.Sockaddr) netip.AddrPort {
	switch a := from.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		return unmap(netip.AddrPortFrom(netip.AddrFrom16(a.Addr), uint16(a.Port)))
	}
	return netip.AddrPort{}
}
