package capture

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

// A Tap is a net.PacketConn that reports its datagrams as frames, as a capture on the machine would show
// them. It serves programs that want a capture and may not open packet sockets.
type Tap struct {
	net.PacketConn
	mu    sync.Mutex
	frame func(Frame)
}

// NewTap wraps c, which must carry UDP. frame is called for each datagram, one at a time, and owns the
// frame's bytes.
func NewTap(c net.PacketConn, frame func(Frame)) *Tap { return &Tap{PacketConn: c, frame: frame} }

// ReadFrom implements net.PacketConn.
func (t *Tap) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := t.PacketConn.ReadFrom(b)
	if err == nil {
		t.show(from, t.LocalAddr(), b[:n])
	}
	return n, from, err
}

// WriteTo implements net.PacketConn.
func (t *Tap) WriteTo(b []byte, to net.Addr) (int, error) {
	t.show(t.LocalAddr(), to, b) // before the answer can arrive
	return t.PacketConn.WriteTo(b, to)
}

func (t *Tap) show(src, dst net.Addr, payload []byte) {
	s, ok1 := src.(*net.UDPAddr)
	d, ok2 := dst.(*net.UDPAddr)
	if !ok1 || !ok2 {
		return
	}
	data, err := UDPPacket(s.AddrPort(), d.AddrPort(), payload)
	if err != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.frame(Frame{Time: time.Now(), Link: layers.LinkTypeRaw, Data: data, Length: len(data)})
}

// UDPPacket returns an IP packet that contains a UDP datagram.
func UDPPacket(src, dst netip.AddrPort, payload []byte) ([]byte, error) {
	udp := &layers.UDP{SrcPort: layers.UDPPort(src.Port()), DstPort: layers.UDPPort(dst.Port())}
	return ipPacket(src.Addr(), dst.Addr(), layers.IPProtocolUDP, udp, payload)
}

// transportLayer is a layer whose checksum covers the addresses.
type transportLayer interface {
	gopacket.SerializableLayer
	SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
}

func ipPacket(src, dst netip.Addr, proto layers.IPProtocol, transport transportLayer, payload []byte) ([]byte, error) {
	src, dst = src.Unmap(), dst.Unmap()
	var ip interface {
		gopacket.SerializableLayer
		gopacket.NetworkLayer
	}
	if src.Is4() {
		ip = &layers.IPv4{Version: 4, TTL: 64, Protocol: proto, SrcIP: src.AsSlice(), DstIP: dst.AsSlice()}
	} else {
		ip = &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: proto, SrcIP: src.AsSlice(), DstIP: dst.AsSlice()}
	}
	if err := transport.SetNetworkLayerForChecksum(ip); err != nil {
		return nil, err
	}
	b := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true},
		ip, transport, gopacket.Payload(payload))
	return b.Bytes(), err
}

// TCPPacket returns an IP packet that contains a TCP segment.
func TCPPacket(src, dst netip.AddrPort, seq uint32, syn, ack, fin bool, payload []byte) ([]byte, error) {
	tcp := &layers.TCP{SrcPort: layers.TCPPort(src.Port()), DstPort: layers.TCPPort(dst.Port()), Seq: seq,
		SYN: syn, FIN: fin, ACK: ack, Window: 65535}
	return ipPacket(src.Addr(), dst.Addr(), layers.IPProtocolTCP, tcp, payload)
}
