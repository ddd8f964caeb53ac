package capture_test

import (
	"bytes"
	"net"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cmd/internal/capture"
)

// Datagrams through a Relay arrive, and their frames show a direct connection.
func TestRelay(t *testing.T) {
	for _, address := range []string{"127.0.0.1", "::1"} {
		server, err := net.ListenPacket("udp", net.JoinHostPort(address, "0"))
		require.NoError(t, err)
		defer server.Close()
		at := server.LocalAddr().(*net.UDPAddr).AddrPort()
		frames := make(chan capture.Frame, 4)
		r, err := capture.NewRelay(at, func(f capture.Frame) { frames <- f })
		require.NoError(t, err)
		client, err := net.Dial("udp", r.Addr().String())
		require.NoError(t, err)
		defer client.Close()
		_, err = client.Write([]byte("question"))
		require.NoError(t, err)
		b := make([]byte, 100)
		n, from, err := server.ReadFrom(b)
		require.NoError(t, err)
		require.Equal(t, "question", string(b[:n]))
		_, err = server.WriteTo([]byte("answer"), from)
		require.NoError(t, err)
		n, err = client.Read(b)
		require.NoError(t, err)
		require.Equal(t, "answer", string(b[:n]))
		r.Close()
		me := client.LocalAddr().(*net.UDPAddr).AddrPort()
		for _, want := range []struct {
			src, dst netip.AddrPort
			text     string
		}{{me, at, "question"}, {at, me, "answer"}} {
			f := <-frames
			first := gopacket.LayerType(layers.LayerTypeIPv4)
			if at.Addr().Is6() {
				first = layers.LayerTypeIPv6
			}
			p := gopacket.NewPacket(f.Data, first, gopacket.Default)
			u, ok := p.Layer(layers.LayerTypeUDP).(*layers.UDP)
			require.True(t, ok)
			require.Equal(t, want.src.Port(), uint16(u.SrcPort))
			require.Equal(t, want.dst.Port(), uint16(u.DstPort))
			require.True(t, bytes.Equal([]byte(want.text), u.Payload))
			src, _ := netip.AddrFromSlice(p.NetworkLayer().NetworkFlow().Src().Raw())
			require.Equal(t, want.src.Addr(), src)
			require.NoError(t, u.SetNetworkLayerForChecksum(p.NetworkLayer()))
			err, sum := u.VerifyChecksum()
			require.NoError(t, err)
			require.True(t, sum.Valid)
		}
	}
}
