package interop

import (
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/require"
)

// datagram returns an IP packet with valid checksums.
func datagram(t *testing.T, src, dst string, ecn byte, payload []byte) []byte {
	from, to := netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
	udp := &layers.UDP{SrcPort: layers.UDPPort(from.Port()), DstPort: layers.UDPPort(to.Port())}
	var ip gopacket.SerializableLayer
	if from.Addr().Is4() {
		v4 := &layers.IPv4{Version: 4, TTL: 64, TOS: ecn, Protocol: layers.IPProtocolUDP, SrcIP: from.Addr().AsSlice(), DstIP: to.Addr().AsSlice()}
		ip = v4
		require.NoError(t, udp.SetNetworkLayerForChecksum(v4))
	} else {
		v6 := &layers.IPv6{Version: 6, HopLimit: 64, TrafficClass: ecn, NextHeader: layers.IPProtocolUDP, SrcIP: from.Addr().AsSlice(), DstIP: to.Addr().AsSlice()}
		ip = v6
		require.NoError(t, udp.SetNetworkLayerForChecksum(v6))
	}
	b := gopacket.NewSerializeBuffer()
	options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	require.NoError(t, gopacket.SerializeLayers(b, options, ip, udp, gopacket.Payload(payload)))
	return b.Bytes()
}

// parsed is datagram and parseUDP.
func parsed(t *testing.T, src, dst string, payload []byte) *udpPacket {
	p, ok := parseUDP(datagram(t, src, dst, 0, payload))
	require.True(t, ok)
	return &p
}

func TestParseUDP(t *testing.T) {
	for _, addrs := range [][2]string{{"10.0.0.1:1000", "10.0.0.2:443"}, {"[fd00::1]:1000", "[fd00::2]:443"}} {
		b := datagram(t, addrs[0], addrs[1], 2, []byte("payload"))
		p, ok := parseUDP(append(b, "behind the packet"...))
		require.True(t, ok)
		require.Equal(t, addrs[0], p.src.String())
		require.Equal(t, addrs[1], p.dst.String())
		require.EqualValues(t, 2, p.ecn)
		require.Equal(t, "payload", string(p.payload()))
		for n := range b {
			_, ok := parseUDP(b[:n])
			require.False(t, ok, "%d bytes of %d", n, len(b))
		}
	}
}

// update computes the checksums that another program computes.
func TestUpdate(t *testing.T) {
	for _, payload := range []string{"", "odd", "even"} {
		p := parsed(t, "10.0.0.1:1000", "10.0.0.2:443", []byte(payload))
		p.setSource(netip.MustParseAddrPort("10.0.0.99:9999"))
		p.setDestination(netip.MustParseAddrPort("10.0.0.98:9998"))
		p.update()
		require.Equal(t, datagram(t, "10.0.0.99:9999", "10.0.0.98:9998", 0, []byte(payload)), p.ip)
	}
	p := parsed(t, "[fd00::1]:1000", "[fd00::2]:443", []byte("abc"))
	p.payload()[0] = 'x'
	p.update()
	require.Equal(t, datagram(t, "[fd00::1]:1000", "[fd00::2]:443", 0, []byte("xbc")), p.ip)
}
