package wire

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/internal/varint"
)

// The rows are those of table 3 of RFC 9000, with its abbreviation "ih" expanded, and of extensions.
func TestFrameTable(t *testing.T) {
	types := map[byte]PacketType{'I': PacketInitial, 'H': PacketHandshake, '0': Packet0RTT, '1': Packet1RTT}
	for _, tt := range []struct {
		first, last uint64
		name, pkts  string
		spec        string
	}{
		{0x00, 0x00, "PADDING", "IH01", "NP"},
		{0x01, 0x01, "PING", "IH01", ""},
		{0x02, 0x03, "ACK", "IH_1", "NC"},
		{0x04, 0x04, "RESET_STREAM", "__01", ""},
		{0x05, 0x05, "STOP_SENDING", "__01", ""},
		{0x06, 0x06, "CRYPTO", "IH_1", ""},
		{0x07, 0x07, "NEW_TOKEN", "___1", ""},
		{0x08, 0x0f, "STREAM", "__01", "F"},
		{0x10, 0x10, "MAX_DATA", "__01", ""},
		{0x11, 0x11, "MAX_STREAM_DATA", "__01", ""},
		{0x12, 0x13, "MAX_STREAMS", "__01", ""},
		{0x14, 0x14, "DATA_BLOCKED", "__01", ""},
		{0x15, 0x15, "STREAM_DATA_BLOCKED", "__01", ""},
		{0x16, 0x17, "STREAMS_BLOCKED", "__01", ""},
		{0x18, 0x18, "NEW_CONNECTION_ID", "__01", "P"},
		{0x19, 0x19, "RETIRE_CONNECTION_ID", "__01", ""},
		{0x1a, 0x1a, "PATH_CHALLENGE", "__01", "P"},
		{0x1b, 0x1b, "PATH_RESPONSE", "___1", "P"},
		{0x1c, 0x1c, "CONNECTION_CLOSE", "IH01", "N"},
		{0x1d, 0x1d, "CONNECTION_CLOSE", "__01", "N"},
		{0x1e, 0x1e, "HANDSHAKE_DONE", "___1", ""},
		{0x1f, 0x1f, "IMMEDIATE_ACK", "___1", ""},
		{0xaf, 0xaf, "ACK_FREQUENCY", "___1", ""},
		{0x24, 0x24, "RESET_STREAM_AT", "__01", ""},
		{0x30, 0x31, "DATAGRAM", "__01", ""},
	} {
		for ft := tt.first; ft <= tt.last; ft++ {
			require.True(t, FrameKnown(ft), "%#x", ft)
			require.Equal(t, tt.name, FrameName(ft))
			for i, c := range []byte("IH01") {
				require.Equal(t, tt.pkts[i] == c, FrameAllowed(ft, types[c]), "%s in %s", tt.name, types[c])
			}
			require.False(t, FrameAllowed(ft, PacketRetry))
			require.False(t, FrameAllowed(ft, PacketVersionNegotiation))
			require.Equal(t, !strings.Contains(tt.spec, "N"), AckEliciting(ft), tt.name)
			require.Equal(t, strings.Contains(tt.spec, "P"), Probing(ft), tt.name)
		}
	}
	for _, ft := range []uint64{0x20, 0x23, 0x25, 0x2f, 0x32, 0x40, 0xae, 0xb0, varint.Max} {
		require.False(t, FrameKnown(ft))
		require.False(t, FrameAllowed(ft, Packet1RTT))
		require.Equal(t, "unknown frame", FrameName(ft))
	}
}

func TestConsumeFrameType(t *testing.T) {
	for _, tt := range []struct {
		hex  string
		want uint64
		n    int
	}{
		{"01", 1, 1},
		{"1e ff", 0x1e, 1},
		{"4040", 0x40, 2},
		{"80004000", 1 << 14, 4},
		{"", 0, -1},
		{"40", 0, -1},
		{"4001", 0, -1},
		{"80000001", 0, -1},
		{"c000000000000001", 0, -1},
	} {
		ft, n := ConsumeFrameType(unhex(tt.hex))
		require.Equal(t, tt.want, ft, tt.hex)
		require.Equal(t, tt.n, n, tt.hex)
	}
}

func TestErrorCodeNames(t *testing.T) {
	for c, want := range map[ErrorCode]string{
		NoError: "NO_ERROR", FinalSizeError: "FINAL_SIZE_ERROR", ProtocolViolation: "PROTOCOL_VIOLATION",
		NoViablePath: "NO_VIABLE_PATH", 0x11: "VERSION_NEGOTIATION_ERROR", 0x12: "error 0x12", varint.Max: "error 0x3fffffffffffffff",
		CryptoError:        "CRYPTO_ERROR (alert 0)",
		CryptoError + 40:   "CRYPTO_ERROR (handshake_failure)",
		CryptoError + 0xff: "CRYPTO_ERROR (alert 255)",
		0x200:              "error 0x200",
	} {
		require.Equal(t, want, c.String())
	}
}
