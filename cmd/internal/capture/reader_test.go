package capture_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"runtime"
	"testing"
	"testing/iotest"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cmd/internal/capture"
)

var when = time.Unix(1_700_000_000, 123_456_000).UTC()

// pcapFile returns a pcap file with one frame.
func pcapFile(order binary.AppendByteOrder, magic, fraction uint32, data []byte) []byte {
	b := order.AppendUint32(nil, magic)
	b = order.AppendUint16(order.AppendUint16(b, 2), 4)
	for _, v := range []uint32{0, 0, 65535, uint32(layers.LinkTypeRaw), uint32(when.Unix()), fraction, uint32(len(data)), uint32(len(data)) + 7} {
		b = order.AppendUint32(b, v)
	}
	return append(b, data...)
}

// block returns a pcapng block.
func block(order binary.AppendByteOrder, kind uint32, body []byte) []byte {
	body = append(body, make([]byte, -len(body)&3)...)
	b := order.AppendUint32(order.AppendUint32(nil, kind), uint32(12+len(body)))
	return order.AppendUint32(append(b, body...), uint32(12+len(body)))
}

// ngFile returns a pcapng file with one frame after two blocks of secrets, one of which is not for TLS.
func ngFile(order binary.AppendByteOrder, secrets, data []byte) []byte {
	u32 := func(vs ...uint32) (b []byte) {
		for _, v := range vs {
			b = order.AppendUint32(b, v)
		}
		return b
	}
	head := append(u32(0x1a2b3c4d), order.AppendUint16(order.AppendUint16(nil, 1), 0)...)
	b := block(order, 0x0a0d0d0a, append(head, u32(0xffffffff, 0xffffffff)...))
	b = append(b, block(order, 1, append(order.AppendUint16(order.AppendUint16(nil, uint16(layers.LinkTypeRaw)), 0), u32(0)...))...)
	b = append(b, block(order, 10, append(u32(0x57474b4c, 5), "other"...))...) // WireGuard's
	b = append(b, block(order, 10, append(u32(0x544c534b, uint32(len(secrets))), secrets...))...)
	micro := uint64(when.UnixMicro())
	return append(b, block(order, 6, append(u32(0, uint32(micro>>32), uint32(micro), uint32(len(data)), uint32(len(data))+7), data...))...)
}

// Files of both byte orders and both resolutions are read alike, however the bytes arrive.
func TestByteOrders(t *testing.T) {
	data, secrets := []byte("a frame of 22 bytes..."), []byte("CLIENT_RANDOM 00 11\nX 2 3\n")
	little, big := binary.LittleEndian, binary.BigEndian
	for name, file := range map[string][]byte{
		"pcap, little, us": pcapFile(little, 0xa1b2c3d4, 123_456, data),
		"pcap, big, us":    pcapFile(big, 0xa1b2c3d4, 123_456, data),
		"pcap, little, ns": pcapFile(little, 0xa1b23c4d, 123_456_000, data),
		"pcap, big, ns":    pcapFile(big, 0xa1b23c4d, 123_456_000, data),
		"pcapng, little":   ngFile(little, secrets, data),
		"pcapng, big":      ngFile(big, secrets, data),
	} {
		for _, r := range []io.Reader{bytes.NewReader(file), iotest.OneByteReader(bytes.NewReader(file))} {
			s, err := capture.NewReader(r)
			require.NoError(t, err, name)
			f, err := s.Next()
			require.NoError(t, err, name)
			require.Equal(t, capture.Frame{Time: when, Link: layers.LinkTypeRaw, Data: data, Length: len(data) + 7}, f, name)
			if name[:5] == "pcapn" {
				require.Equal(t, string(secrets), string(s.Secrets()), name)
			}
			require.Empty(t, s.Secrets(), "secrets are returned once")
			_, err = s.Next()
			require.Equal(t, io.EOF, err, name)
		}
	}
}

// A length that exceeds the file causes an error and no allocation of that size.
func TestFalseLengths(t *testing.T) {
	file := ngFile(binary.LittleEndian, make([]byte, 16), make([]byte, 16))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := 28; i+4 <= len(file); i += 4 {
		bad := bytes.Clone(file)
		copy(bad[i:], []byte{0xfc, 0xff, 0xff, 0x7f})
		s, err := capture.NewReader(bytes.NewReader(bad))
		for n := 0; err == nil; n++ {
			require.Less(t, n, 100)
			_, err = s.Next()
		}
	}
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(len(file)/4*4<<20))
}
