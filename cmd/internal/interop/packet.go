package interop

import (
	"encoding/binary"
	"net/netip"
)

// A udpPacket is an IP packet with a UDP datagram. Its slices are parts of the packet.
type udpPacket struct {
	src, dst netip.AddrPort
	ecn      byte
	ip       []byte // without what follows the datagram
	udp      []byte // header and payload
}

const udpHeader = 8

// parseUDP parses an IP packet without extension headers and fragments, which the endpoints do not send. It reports
// false for everything else.
func parseUDP(b []byte) (p udpPacket, ok bool) {
	const protocolUDP = 17
	var src, dst netip.Addr
	switch {
	case len(b) >= 20 && b[0]>>4 == 4:
		n, total := int(b[0]&15)*4, int(binary.BigEndian.Uint16(b[2:]))
		fragment := binary.BigEndian.Uint16(b[6:]) & 0x3fff
		if n < 20 || total < n || total > len(b) || b[9] != protocolUDP || fragment != 0 {
			return p, false
		}
		src, dst = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
		p.ecn, p.ip, p.udp = b[1]&3, b[:total], b[n:total]
	case len(b) >= 40 && b[0]>>4 == 6:
		total := 40 + int(binary.BigEndian.Uint16(b[4:]))
		if total > len(b) || b[6] != protocolUDP {
			return p, false
		}
		src, dst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
		p.ecn, p.ip, p.udp = b[1]>>4&3, b[:total], b[40:total]
	default:
		return p, false
	}
	if len(p.udp) < udpHeader {
		return p, false
	}
	p.src = netip.AddrPortFrom(src, binary.BigEndian.Uint16(p.udp))
	p.dst = netip.AddrPortFrom(dst, binary.BigEndian.Uint16(p.udp[2:]))
	return p, true
}

// payload returns the UDP payload.
func (p *udpPacket) payload() []byte { return p.udp[udpHeader:] }

// setSource and setDestination change the addresses of an IPv4 packet. update must follow.
func (p *udpPacket) setSource(a netip.AddrPort) {
	p.src = a
	copy(p.ip[12:16], a.Addr().AsSlice())
	binary.BigEndian.PutUint16(p.udp, a.Port())
}

func (p *udpPacket) setDestination(a netip.AddrPort) {
	p.dst = a
	copy(p.ip[16:20], a.Addr().AsSlice())
	binary.BigEndian.PutUint16(p.udp[2:], a.Port())
}

// update corrects the checksums after a change.
func (p *udpPacket) update() {
	if p.ip[0]>>4 == 4 {
		header := p.ip[:len(p.ip)-len(p.udp)]
		header[10], header[11] = 0, 0
		binary.BigEndian.PutUint16(header[10:], ^fold(sum(0, header)))
	}
	p.udp[6], p.udp[7] = 0, 0
	s := sum(0, p.src.Addr().AsSlice())
	s = sum(s, p.dst.Addr().AsSlice())
	s = sum(s+17+uint32(len(p.udp)), p.udp)
	check := ^fold(s)
	if check == 0 {
		check = 0xffff // 0 means that there is none
	}
	binary.BigEndian.PutUint16(p.udp[6:], check)
}

// sum adds b, in 16-bit words, to an Internet checksum.
func sum(s uint32, b []byte) uint32 {
	for ; len(b) > 1; b = b[2:] {
		s += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	return s
}

func fold(s uint32) uint16 {
	for s > 0xffff {
		s = s&0xffff + s>>16
	}
	return uint16(s)
}
