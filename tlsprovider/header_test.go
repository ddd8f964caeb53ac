package tlsprovider

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReadHeader(t *testing.T) {
	const pnOffset, length = 9, 9 + 4 + SampleLen
	for first, want := range map[byte]OpenDesc{
		0x40: {HeaderLen: 10, PacketNumber: 0x9b},
		0x45: {HeaderLen: 11, PacketNumber: 0x9b32, Phase: 1},
		0xc2: {HeaderLen: 12, PacketNumber: 0x9b3247},
		0xc7: {HeaderLen: 13, PacketNumber: 0x9b324711}, // a long header has no phase
	} {
		pkt := make([]byte, length)
		pkt[0] = first
		copy(pkt[pnOffset:], "\x9b\x32\x47\x11\xff")
		want.Len, want.PNOffset, want.PayloadLen = length, pnOffset, length-want.HeaderLen-TagLen
		d := OpenDesc{Len: length, PNOffset: pnOffset, Phase: 1}
		d.ReadHeader(pkt, -1)
		require.Equal(t, want, d, "first byte %#x", first)
	}
}

func TestDecodePacketNumber(t *testing.T) {
	for _, tt := range []struct {
		largest   int64
		truncated uint64
		n         uint32
		want      uint64
	}{
		{0xa82f30ea, 0x9b32, 2, 0xa82f9b32}, // RFC 9000, A.3
		{-1, 0, 1, 0},
		{-1, 0xff, 1, 0xff}, // there is no lower window
		{0, 0xff, 1, 0xff},
		{0xff, 0, 1, 0x100},
		{0x17f, 0, 1, 0x200},
		{0x17e, 0, 1, 0x100},
		{0x100, 0xff, 1, 0xff},
		{1<<62 - 2, 0xff, 1, 1<<62 - 1},
		{1<<62 - 2, 0, 1, 1<<62 - 256}, // there is no higher window
		{1<<62 - 1, 0xff, 1, 1<<62 - 1},
		{1<<62 - 1, 3, 4, 1<<62 - 1<<32 + 3},
	} {
		require.Equal(t, tt.want, decodePacketNumber(tt.largest, tt.truncated, tt.n), "%#x after %#x", tt.truncated, tt.largest)
	}
}
