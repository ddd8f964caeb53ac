package inspect

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/ip4defrag"
	"github.com/gopacket/gopacket/ip6defrag"
	"github.com/gopacket/gopacket/layers"
)

// A datagram is what a frame carries: a UDP datagram or a TCP segment.
type datagram struct {
	time     time.Time
	src, dst netip.AddrPort
	payload  []byte
	cut      bool // the capture does not hold all of it

	tcp bool
	seq uint32
	syn bool
	end bool // FIN or RST
}

const (
	// maxFragmentAge is how long IPv4 fragments wait for one another, by the capture's clock.
	maxFragmentAge = 30 * time.Second
	// maxFragments is how many bytes of fragments the defragmenters, which have no bound of their
	// own, are given before new ones take their place.
	maxFragments = 16 << 20
)

// A decoder finds datagrams in frames, and puts IP fragments together.
type decoder struct {
	v4    *ip4defrag.IPv4Defragmenter
	v6    *ip6defrag.IPv6Defragmenter
	swept time.Time
	fed   int // bytes of fragments

	fragment bool // the last frame was a fragment
}

func newDecoder() *decoder {
	return &decoder{v4: ip4defrag.NewIPv4Defragmenter(), v6: ip6defrag.NewIPv6Defragmenter()}
}

// decode returns the datagram that the frame completes, if any.
func (d *decoder) decode(t time.Time, link layers.LinkType, data []byte) (datagram, bool) {
	d.sweep(t)
	d.fragment = false
	p := gopacket.NewPacket(data, ipDecoder(link, data), gopacket.DecodeOptions{Lazy: true, NoCopy: true})
	for _, l := range p.Layers() {
		switch l := l.(type) {
		case *layers.IPv4:
			if l.Flags&layers.IPv4MoreFragments != 0 || l.FragOffset != 0 {
				return d.fragment4(t, l)
			}
		case *layers.IPv6Fragment:
			if ip, ok := p.Layer(layers.LayerTypeIPv6).(*layers.IPv6); ok {
				return d.fragment6(t, ip, l)
			}
		case *layers.UDP:
			return udpDatagram(t, p, l)
		case *layers.TCP:
			return tcpSegment(t, p, l)
		}
	}
	return datagram{}, false
}

// ipDecoder is where to start. Raw IP links are told apart by the packet's first byte, for the
// link types of one version are written by some tools over packets of the other.
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
	// The defragmenter keeps what it is given.
	ip.Payload = slices.Clone(ip.Payload)
	d.fed += len(ip.Payload)
	whole, err := d.v4.DefragIPv4WithTimestamp(ip, t)
	if err != nil || whole == nil {
		return datagram{}, false
	}
	return transport(t, whole.SrcIP, whole.DstIP, whole.Protocol, whole.Payload)
}

func (d *decoder) fragment6(t time.Time, ip *layers.IPv6, frag *layers.IPv6Fragment) (datagram, bool) {
	d.fragment = true
	frag.Payload = slices.Clone(frag.Payload)
	d.fed += len(frag.Payload)
	whole := d.v6.DefragIPv6(ip, frag)
	if whole == nil {
		return datagram{}, false
	}
	return transport(t, whole.SrcIP, whole.DstIP, whole.NextHeader, whole.Payload)
}

// transport decodes what fragments were put together to.
func transport(t time.Time, src, dst []byte, proto layers.IPProtocol, payload []byte) (datagram, bool) {
	s, ok1 := netip.AddrFromSlice(src)
	to, ok2 := netip.AddrFromSlice(dst)
	if proto != layers.IPProtocolUDP || !ok1 || !ok2 || len(payload) < 8 {
		return datagram{}, false
	}
	length := int(binary.BigEndian.Uint16(payload[4:]))
	if length < 8 {
		return datagram{}, false
	}
	return datagram{
		time:    t,
		src:     netip.AddrPortFrom(s.Unmap(), binary.BigEndian.Uint16(payload)),
		dst:     netip.AddrPortFrom(to.Unmap(), binary.BigEndian.Uint16(payload[2:])),
		payload: payload[8:min(length, len(payload))],
		cut:     length > len(payload),
	}, true
}

func udpDatagram(t time.Time, p gopacket.Packet, u *layers.UDP) (datagram, bool) {
	d := datagram{time: t, payload: u.Payload, cut: p.Metadata().Truncated || int(u.Length) > 8+len(u.Payload)}
	ok := d.addresses(p, uint16(u.SrcPort), uint16(u.DstPort))
	return d, ok
}

func tcpSegment(t time.Time, p gopacket.Packet, s *layers.TCP) (datagram, bool) {
	d := datagram{time: t, payload: s.Payload, tcp: true, seq: s.Seq, syn: s.SYN, end: s.FIN || s.RST}
	ok := d.addresses(p, uint16(s.SrcPort), uint16(s.DstPort))
	return d, ok
}

func (d *datagram) addresses(p gopacket.Packet, src, dst uint16) bool {
	n := p.NetworkLayer()
	if n == nil {
		return false
	}
	f := n.NetworkFlow()
	s, ok1 := netip.AddrFromSlice(f.Src().Raw())
	to, ok2 := netip.AddrFromSlice(f.Dst().Raw())
	d.src = netip.AddrPortFrom(s.Unmap(), src)
	d.dst = netip.AddrPortFrom(to.Unmap(), dst)
	return ok1 && ok2
}
