package udp

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"github.com/pqquic/pqquic/quic/internal/datagram"
	"golang.org/x/sys/unix"
)

// oobSize is enough for the control messages of an IPv4 datagram on an IPv6 socket: a pktinfo of each
// family, a TOS and a segment size, with room for others that a kernel may be configured to add.
const oobSize = 256

const ecnMask = 0b11

// An oobInfo contains the information from the control messages of a received train.
type oobInfo struct {
	local   netip.Addr
	ecn     datagram.ECN
	segment int // 0 means that there is one datagram
}

// parseOOB parses the control messages of a received train. It skips those that it does not know.
func parseOOB(b []byte) (info oobInfo) {
	for len(b) >= unix.SizeofCmsghdr {
		h, data, rest, err := unix.ParseOneSocketControlMessage(b)
		if err != nil {
			break
		}
		b = rest
		switch {
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_TOS && len(data) >= 1:
			info.ecn = datagram.ECN(data[0] & ecnMask)
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_TCLASS && len(data) >= 4:
			info.ecn = datagram.ECN(binary.NativeEndian.Uint32(data) & ecnMask)
		case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
			// struct in_pktinfo contains the interface index, the local address and the address from the
			// header.
			info.local = netip.AddrFrom4([4]byte(data[4:8]))
		case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
			info.local = netip.AddrFrom16([16]byte(data[:16])).Unmap()
		case h.Level == unix.IPPROTO_UDP && h.Type == unix.UDP_GRO && len(data) >= 4:
			info.segment = int(binary.NativeEndian.Uint32(data))
		}
	}
	return info
}

// appendOOB appends the control messages that a Transmit needs. A datagram to an IPv4 address needs those
// of IPv4, on a socket of either family.
func (o *osConn) appendOOB(b []byte, tx *datagram.Transmit) []byte {
	v4 := tx.Path.Remote.Addr().Unmap().Is4()
	if tx.ECN != 0 {
		if v4 {
			b = appendCmsg(b, unix.IPPROTO_IP, unix.IP_TOS, 4)
		} else {
			b = appendCmsg(b, unix.IPPROTO_IPV6, unix.IPV6_TCLASS, 4)
		}
		binary.NativeEndian.PutUint32(cmsgData(b, 4), uint32(tx.ECN))
	}
	src := tx.Path.Local.Addr()
	switch {
	case !o.wildcard || !src.IsValid() || src.IsUnspecified() || src.IsLinkLocalUnicast():
		// The source address is the socket's own, the system's choice, or one that is only valid with an
		// interface.
	case v4 && src.Is4():
		b = appendCmsg(b, unix.IPPROTO_IP, unix.IP_PKTINFO, unix.SizeofInet4Pktinfo)
		a := src.As4()
		copy(cmsgData(b, unix.SizeofInet4Pktinfo)[4:], a[:])
	case !v4 && src.Is6():
		b = appendCmsg(b, unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, unix.SizeofInet6Pktinfo)
		a := src.As16()
		copy(cmsgData(b, unix.SizeofInet6Pktinfo), a[:])
	}
	return b
}

// appendCmsg appends a control message with n zero bytes of data.
func appendCmsg(b []byte, level, typ int32, n int) []byte {
	at, space := len(b), unix.CmsgSpace(n)
	b = b[:at+space]
	clear(b[at:])
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[at]))
	h.Level, h.Type = level, typ
	h.SetLen(unix.CmsgLen(n))
	return b
}

// cmsgData returns the data of the last control message in b, which has n bytes of data.
func cmsgData(b []byte, n int) []byte {
	start := len(b) - unix.CmsgSpace(n) + unix.CmsgLen(0)
	return b[start : start+n]
}
