package wire

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPacketNumberLen(t *testing.T) {
	for _, tt := range []struct {
		pn, largestAcked PacketNumber
		want             int
	}{
		{0xac5c02, 0xabe8b3, 2}, // RFC 9000, A.2
		{0xace8fe, 0xabe8b3, 3}, // RFC 9000, A.2
		{0, NoPacket, 1},
		{126, NoPacket, 1},
		{127, NoPacket, 2},
		{127, 0, 1},
		{128, 0, 2},
		{1<<15 - 1, 0, 2},
		{1 << 15, 0, 3},
		{1<<23 - 1, 0, 3},
		{1 << 23, 0, 4},
		{1<<62 - 1, 1<<62 - 2, 1},
	} {
		require.Equal(t, tt.want, PacketNumberLen(tt.pn, tt.largestAcked), "%d after %d", tt.pn, tt.largestAcked)
	}
}

func TestDecodePacketNumber(t *testing.T) {
	for _, tt := range []struct {
		largest   PacketNumber
		truncated uint64
		n         int
		want      PacketNumber
	}{
		{0xa82f30ea, 0x9b32, 2, 0xa82f9b32}, // RFC 9000, A.3
		{NoPacket, 0, 1, 0},
		{NoPacket, 0xff, 1, 0xff}, // nothing lies below
		{0, 0xff, 1, 0xff},
		{0xff, 0, 1, 0x100},
		{0x17f, 0, 1, 0x200},
		{0x17e, 0, 1, 0x100},
		{0x100, 0xff, 1, 0xff},
		{1<<62 - 2, 0xff, 1, 1<<62 - 1},
		{1<<62 - 2, 0, 1, 1<<62 - 256}, // nothing lies above
	} {
		require.Equal(t, tt.want, DecodePacketNumber(tt.largest, tt.truncated, tt.n), "%#x after %#x", tt.truncated, tt.largest)
	}
}

func TestAppendPacketNumber(t *testing.T) {
	require.Equal(t, unhex("32"), AppendPacketNumber(nil, 0xa82f9b32, 1))
	require.Equal(t, unhex("9b32"), AppendPacketNumber(nil, 0xa82f9b32, 2))
	require.Equal(t, unhex("2f9b32"), AppendPacketNumber(nil, 0xa82f9b32, 3))
	require.Equal(t, unhex("a82f9b32"), AppendPacketNumber(nil, 0xa82f9b32, 4))
}

// A receiver that has got the largest acknowledged packet, and at most those up to the one before,
// decodes what the sender meant.
func FuzzPacketNumber(f *testing.F) {
	f.Add(int64(0xabe8b3), uint32(0x734f), uint32(0))
	f.Add(int64(-1), uint32(1), uint32(0))
	f.Add(int64(1<<62-300), uint32(250), uint32(249))
	f.Add(int64(0), uint32(1<<23), uint32(1<<23-1))
	f.Fuzz(func(t *testing.T, acked int64, ahead, received uint32) {
		ahead &= 1<<31 - 1
		if acked < -1 || acked > 1<<62-1<<31 || ahead == 0 {
			return
		}
		pn := PacketNumber(acked) + PacketNumber(ahead)
		n := PacketNumberLen(pn, PacketNumber(acked))
		var truncated uint64
		for _, c := range AppendPacketNumber(nil, pn, n) {
			truncated = truncated<<8 | uint64(c)
		}
		largest := PacketNumber(acked) + PacketNumber(received%ahead)
		require.Equal(t, pn, DecodePacketNumber(largest, truncated, n))
	})
}
