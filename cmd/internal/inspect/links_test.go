package inspect

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cmd/internal/capture"
)

// frame adds the header of a link to an IP packet.
func frame(t *testing.T, link layers.LinkType, vlan bool, ip []byte) []byte {
	t.Helper()
	ether := uint16(layers.EthernetTypeIPv4)
	if ip[0]>>4 == 6 {
		ether = uint16(layers.EthernetTypeIPv6)
	}
	switch link {
	case layers.LinkTypeEthernet:
		b := append([]byte{2, 0, 0, 0, 0, 1}, 2, 0, 0, 0, 0, 2)
		if vlan { // two tags, of a provider and of a customer
			b = append(b, 0x88, 0xa8, 0, 7, 0x81, 0, 0, 42)
		}
		return append(binary.BigEndian.AppendUint16(b, ether), ip...)
	case layers.LinkTypeLinuxSLL:
		b := append([]byte{0, 0, 0, 1, 0, 6}, 2, 0, 0, 0, 0, 2, 0, 0)
		return append(binary.BigEndian.AppendUint16(b, ether), ip...)
	case layers.LinkTypeLinuxSLL2:
		b := binary.BigEndian.AppendUint16(nil, ether)
		b = append(b, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 2, 0, 0, 0, 0, 2, 0, 0)
		return append(b, ip...)
	case layers.LinkTypeNull, layers.LinkTypeLoop:
		family := uint32(2)
		if ip[0]>>4 == 6 {
			family = 30
		}
		if link == layers.LinkTypeLoop {
			return append(binary.BigEndian.AppendUint32(nil, family), ip...)
		}
		return append(binary.LittleEndian.AppendUint32(nil, family), ip...)
	}
	return ip
}

func TestLinkTypes(t *testing.T) {
	for _, address := range []string{"127.0.0.1", "::1"} {
		r := record(t, setup{Address: address})
		for _, link := range []layers.LinkType{layers.LinkTypeEthernet, layers.LinkTypeLinuxSLL, layers.LinkTypeLinuxSLL2,
			layers.LinkTypeNull, layers.LinkTypeLoop, layers.LinkTypeRaw} {
			for _, vlan := range []bool{false, true} {
				if vlan && link != layers.LinkTypeEthernet {
					continue
				}
				for _, ng := range []bool{false, true} {
					var file bytes.Buffer
					if ng {
						w := capture.NewWriter(&file)
						for _, p := range r.Packets {
							data := frame(t, link, vlan, p.Data)
							require.NoError(t, w.Write(capture.Frame{Time: p.At, Link: link, Data: data, Length: len(data)}))
						}
						require.NoError(t, w.Close())
					} else {
						w := pcapgo.NewWriter(&file)
						require.NoError(t, w.WriteFileHeader(65535, link))
						for _, p := range r.Packets {
							data := frame(t, link, vlan, p.Data)
							require.NoError(t, w.WritePacket(gopacket.CaptureInfo{Timestamp: p.At, CaptureLength: len(data), Length: len(data)}, data))
						}
					}
					cs := readFile(t, file.Bytes(), nil)
					require.Len(t, cs, 1, "%v, %s, VLAN %v, pcapng %v", link, address, vlan, ng)
					require.Equal(t, PostQuantum, cs[0].Verdict.Result, "%v, %s, VLAN %v, pcapng %v", link, address, vlan, ng)
				}
			}
		}
	}
}

// readFile inspects a file's bytes. If wantErr is set, it receives the error that ended the file.
func readFile(t *testing.T, file []byte, wantErr *error) []*Connection {
	t.Helper()
	var out []*Connection
	in := New(Options{KeyLog: new(KeyLog), Report: func(c *Connection) { out = append(out, c) }})
	s, err := capture.NewReader(bytes.NewReader(file))
	for err == nil {
		var f capture.Frame
		if f, err = s.Next(); err == nil {
			in.Frame(f)
		}
	}
	in.Finish()
	if wantErr != nil {
		*wantErr = err
	} else {
		require.Equal(t, io.EOF, err)
	}
	return out
}

// IPv4 fragments, in either order.
func TestFragments(t *testing.T) {
	r := record(t, setup{})
	s := &recording{}
	for i, p := range r.Packets {
		if len(p.Data) < 1000 {
			s.Packets = append(s.Packets, p)
			continue
		}
		const cut = 20 + 640
		first, second := bytes.Clone(p.Data[:cut]), append(bytes.Clone(p.Data[:20]), p.Data[cut:]...)
		for j, f := range [][]byte{first, second} {
			binary.BigEndian.PutUint16(f[2:], uint16(len(f)))
			binary.BigEndian.PutUint16(f[4:], uint16(i+1)) // identification
			flags := uint16(0x2000)                        // more fragments
			if j == 1 {
				flags = 640 / 8
			}
			binary.BigEndian.PutUint16(f[6:], flags)
		}
		parts := []captured{{At: p.At, Data: first}, {At: p.At, Data: second}}
		if i%2 == 1 {
			parts[0], parts[1] = parts[1], parts[0]
		}
		s.Packets = append(s.Packets, parts...)
	}
	require.Greater(t, len(s.Packets), len(r.Packets))
	require.Equal(t, PostQuantum, one(t, s).Verdict.Result)
}

// IPv6 fragments have an extension header.
func TestFragments6(t *testing.T) {
	r := record(t, setup{Address: "::1"})
	s := &recording{}
	for i, p := range r.Packets {
		if len(p.Data) < 1000 {
			s.Packets = append(s.Packets, p)
			continue
		}
		const cut = 40 + 640
		part := func(offset int, payload []byte) captured {
			b := bytes.Clone(p.Data[:40])
			binary.BigEndian.PutUint16(b[4:], uint16(8+len(payload)))
			b[6] = 44
			flags := uint16(offset) // in units of 8, shifted by 3
			if offset == 0 {
				flags |= 1
			}
			b = append(b, 17, 0)
			b = binary.BigEndian.AppendUint16(b, flags)
			b = binary.BigEndian.AppendUint32(b, uint32(i+1))
			return captured{At: p.At, Data: append(b, payload...)}
		}
		parts := []captured{part(0, p.Data[40:cut]), part(640, p.Data[cut:])}
		if i%2 == 1 {
			parts[0], parts[1] = parts[1], parts[0]
		}
		s.Packets = append(s.Packets, parts...)
	}
	require.Greater(t, len(s.Packets), len(r.Packets))
	require.Equal(t, PostQuantum, one(t, s).Verdict.Result)
}

// A capture that was cut short ends with a clear message, and the part before it is reported.
func TestTruncatedAndCorruptFiles(t *testing.T) {
	r := record(t, setup{})
	var file bytes.Buffer
	w := capture.NewWriter(&file)
	for _, p := range r.Packets {
		require.NoError(t, w.Write(capture.Frame{Time: p.At, Link: layers.LinkTypeRaw, Data: p.Data, Length: len(p.Data)}))
	}
	require.NoError(t, w.Close())
	whole := file.Bytes()
	reported := 0
	for n := 0; n < len(whole); n += 7 {
		var err error
		for _, c := range readFile(t, whole[:n], &err) {
			if c.Verdict.Result == PostQuantum {
				reported++
			}
		}
		require.Error(t, err)
	}
	require.Positive(t, reported, "a handshake before the end is reported")
	for _, junk := range [][]byte{nil, []byte("x"), []byte("this is not a capture at all"), make([]byte, 1000)} {
		var err error
		require.Empty(t, readFile(t, junk, &err))
		require.ErrorIs(t, err, capture.ErrFormat)
	}
	for i := range whole {
		bad := bytes.Clone(whole)
		bad[i] ^= 0xff
		var err error
		readFile(t, bad, &err) // must return
	}
}

// QUIC and TCP in one capture, among frames of other kinds.
func TestMixedCapture(t *testing.T) {
	r := record(t, setup{})
	other := tlsOverTCP(t, []tls.CurveID{tls.X25519}, nil, 0, 1000)
	noise, err := capture.UDPPacket(netip.MustParseAddrPort("10.0.0.9:53"), netip.MustParseAddrPort("10.0.0.1:999"), []byte("no quic at all"))
	require.NoError(t, err)
	r.Packets = append(r.Packets, other.Packets...)
	r.Packets = append(r.Packets, captured{At: time.Now(), Data: noise}, captured{At: time.Now(), Data: []byte{1}}, captured{At: time.Now(), Data: nil})
	cs, stats := look(t, r, Options{})
	require.Len(t, cs, 2)
	require.EqualValues(t, 1, stats.PostQuantum)
	require.EqualValues(t, 1, stats.Classical)
}
