package wire

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
)

// "Prior to receiving an acknowledgment for a packet number space, the full packet number MUST be included; it is not
// to be truncated, as described below."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.1-3
// "After an acknowledgment is received for a packet number space, the sender MUST use a packet number size able to
// represent more than twice as large a range as the difference between the largest acknowledged packet number and the
// packet number being sent."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.1-4
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

func TestAppendPacketNumber(t *testing.T) {
	require.Equal(t, unhex("32"), AppendPacketNumber(nil, 0xa82f9b32, 1))
	require.Equal(t, unhex("9b32"), AppendPacketNumber(nil, 0xa82f9b32, 2))
	require.Equal(t, unhex("2f9b32"), AppendPacketNumber(nil, 0xa82f9b32, 3))
	require.Equal(t, unhex("a82f9b32"), AppendPacketNumber(nil, 0xa82f9b32, 4))
}

// A receiver that has received the largest acknowledged packet, and at most the packets before the encoded
// one, decodes the number that the sender encoded.
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
		pkt := AppendPacketNumber([]byte{byte(n - 1)}, pn, n)
		d := tlsprovider.OpenDesc{PNOffset: 1}
		d.ReadHeader(append(pkt, "the sample"...), acked+int64(received%ahead))
		require.EqualValues(t, pn, d.PacketNumber)
	})
}
