package udp

import (
	"encoding/binary"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

func init() { errsRefused = append(errsRefused, unix.ENONET) }

// ReportErrors sets whether the system queues ICMP messages about this socket's datagrams for NextError. If the
// system does not support it, NextError returns none. ReportErrors is meant for a socket with one peer: the
// next Read or Write also fails with an error of ClassRefused, whichever datagram the message is about, and
// the datagram of that Write is lost. Messages that are not taken use up the receive buffer.
func (c *Conn) ReportErrors(on bool) {
	if c.udp == nil {
		return
	}
	value := 0
	if on {
		value = 1
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
			if e.Err = icmpErrno(oob[:oobn]); e.Err != nil {
				e.Remote, e.Quoted, ok = addressOf(from), buf[:n], true
			}
		}
	})
	return e, ok
}

// icmpErrno returns the error in a struct sock_extended_err if it originates from ICMP, and nil otherwise.
func icmpErrno(b []byte) error {
	for len(b) >= unix.SizeofCmsghdr {
		h, data, rest, err := unix.ParseOneSocketControlMessage(b)
		if err != nil {
			return nil
		}
		b = rest
		isError := h.Level == unix.IPPROTO_IP && h.Type == unix.IP_RECVERR ||
			h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_RECVERR
		// The origin follows the errno.
		if isError && len(data) >= 8 && (data[4] == unix.SO_EE_ORIGIN_ICMP || data[4] == unix.SO_EE_ORIGIN_ICMP6) {
			return syscall.Errno(binary.NativeEndian.Uint32(data))
		}
	}
	return nil
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
