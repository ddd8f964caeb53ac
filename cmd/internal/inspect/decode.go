package inspect

import (
	"net/netip"
	"slices"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/ip4defrag"
	"github.com/gopacket/gopacket/ip6defrag"
	"github.com/gopacket/gopacket/layers"
)

// A datagram is the content of a frame: a UDP datagram or a TCP segment.
type datagram struct {
	time     time.Time
	src, dst netip.AddrPort
	payload  []byte
	cut      bool // the capture holds only a part of it

	tcp bool
	seq uint32
	syn bool
	ack bool
	end bool // FIN or RST
}

const (
	// maxFragmentAge is how long IPv4 fragments wait for one another, by the capture's clock.
	maxFragmentAge = 30 * time.Second
	// maxFragments bounds the bytes of fragments given to the defragmenters, which have no bound of their
	// own. New defragmenters then replace them.
	maxFragments = 16 << 20
)

// A decoder finds datagrams in frames and reassembles IP fragments.
type decoder struct {
	v4    *ip4defrag.IPv4Defragmenter
	v6    *ip6defrag.IPv6Defragmenter
	swept time.Time
	fed   int // bytes of fragments given to the defragmenters

	fragment bool // the last frame was a fragment
}

func newDecoder() *decoder {
	return &decoder{v4: ip4defrag.NewIPv4Defragmenter(), v6: ip6defrag.NewIPv6Defragmenter()}
}

// decode returns the datagram that the frame completes, if any.
func (d *decoder) decode(t time.Time, link layers.LinkType, data []byte) (out datagram, ok bool) {
	d.sweep(t)
	d.fragment = false
	p := gopacket.NewPacket(data, ipDecoder(link, data), gopacket.DecodeOptions{Lazy: true, NoCopy: true})
	// A lazy packet is decoded only up to the requested layer, and never its application data.
	network := p.NetworkLayer()
	switch ip := network.(type) {
	case *layers.IPv4:
		if ip.Flags&layers.IPv4MoreFragments != 0 || ip.FragOffset != 0 {
			return d.fragment4(t, ip)
		}
	case *layers.IPv6:
		if ip.NextHeader == layers.IPProtocolUDP || ip.NextHeader == layers.IPProtocolTCP {
			break
		}
		if l, ok := p.Layer(layers.LayerTypeIPv6Fragment).(*layers.IPv6Fragment); ok {
			return d.fragment6(t, ip, l)
		}
	default:
		return datagram{}, false
	}
	src, dst := network.NetworkFlow().Endpoints()
	switch l := p.TransportLayer().(type) {
	case *layers.UDP:
		out = udpDatagram(t, p, l)
		return out, out.addresses(src.Raw(), dst.Raw(), uint16(l.SrcPort), uint16(l.DstPort))
	case *layers.TCP:
		out = tcpSegment(t, p, l)
		return out, out.addresses(src.Raw(), dst.Raw(), uint16(l.SrcPort), uint16(l.DstPort))
	}
	return out, false
}

// ipDecoder returns the first decoder. On raw IP links the packet's first byte selects the version, because
// some tools write the link type of one version over packets of the other.
func ipDecoder(link layers.LinkType, data []byte) gopacket.Decoder {
	switch link {
	case layers.LinkTypeIPv4, layers.LinkTypeIPv6, layers.LinkTypeRaw, 12, 14:
		if len(data) > 0 && data[0]>>4 == 6 {
			return layers.LayerTypeIPv6
		}
		return layers.LayerTypeIPv4
	}
	return link
}

func (d *decoder) sweep(t time.Time) {
	if d.fed > maxFragments {
		d.fed, d.v4, d.v6 = 0, ip4defrag.NewIPv4Defragmenter(), ip6defrag.NewIPv6Defragmenter()
	}
	if t.Sub(d.swept) >= maxFragmentAge {
		d.swept = t
		d.v4.DiscardOlderThan(t.Add(-maxFragmentAge))
	}
}

func (d *decoder) fragment4(t time.Time, ip *layers.IPv4) (datagram, bool) {
	d.fragment = true
	// The defragmenter keeps the payload.
	ip.Payload = slices.Clone(ip.Payload)
	d.fed += len(ip.Payload)
	sum, err := d.v4.DefragIPv4WithTimestamp(ip, t)
	if err != nil || sum == nil {
		return datagram{}, false
	}
	return whole(t, sum.SrcIP, sum.DstIP, sum.Protocol, sum.Payload)
}

func (d *decoder) fragment6(t time.Time, ip *layers.IPv6, frag *layers.IPv6Fragment) (datagram, bool) {
	d.fragment = true
	frag.Payload = slices.Clone(frag.Payload)
	d.fed += len(frag.Payload)
	sum := d.v6.DefragIPv6(ip, frag)
	if sum == nil {
		return datagram{}, false
	}
	return whole(t, sum.SrcIP, sum.DstIP, sum.NextHeader, sum.Payload)
}

// whole decodes a reassembled packet.
func whole(t time.Time, src, dst []byte, proto layers.IPProtocol, payload []byte) (d datagram, ok bool) {
	p := gopacket.NewPacket(payload, proto.LayerType(), gopacket.DecodeOptions{Lazy: true, NoCopy: true})
	switch l := p.Layer(proto.LayerType()).(type) {
	case *layers.UDP:
		d = udpDatagram(t, p, l)
		return d, d.addresses(src, dst, uint16(l.SrcPort), uint16(l.DstPort))
	case *layers.TCP:
		d = tcpSegment(t, p, l)
		return d, d.addresses(src, dst, uint16(l.SrcPort), uint16(l.DstPort))
	}
	return datagram{}, false
}

func udpDatagram(t time.Time, p gopacket.Packet, u *layers.UDP) datagram {
	return datagram{time: t, payload: u.Payload, cut: p.Metadata().Truncated || int(u.Length) > 8+len(u.Payload)}
}

func tcpSegment(t time.Time, p gopacket.Packet, s *layers.TCP) datagram {
	return datagram{time: t, payload: s.Payload, tcp: true, seq: s.Seq, syn: s.SYN, ack: s.ACK, end: s.FIN || s.RST,
		cut: p.Metadata().Truncated}
}

func (d *datagram) addresses(src, dst []byte, srcPort, dstPort uint16) bool {
	s, ok1 := netip.AddrFromSlice(src)
	to, ok2 := netip.AddrFromSlice(dst)
	d.src = netip.AddrPortFrom(s.Unmap(), srcPort)
	d.dst = netip.AddrPortFrom(to.Unmap(), dstPort)
	return ok1 && ok2
}
