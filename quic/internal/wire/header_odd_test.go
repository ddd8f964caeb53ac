package wire

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// RFC 9001, A.4.
func TestRetry(t *testing.T) {
	b := unhex("ff000000010008f067a5502a4262b5746f6b656e04a265ba2eff4d829058fb3f0f2496ba")
	p, n := ParseRetry(b)
	require.Equal(t, len(b), n)
	require.Equal(t, Retry{Version: Version1, SrcID: connID("f067a5502a4262b5"), Token: []byte("token")}, p)

	// "The value in the Unused field is set to an arbitrary value by the server; a client MUST ignore these bits."
	// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.5-3
	for unused := range byte(16) {
		b[0] = 0xf0 | unused
		again, n := ParseRetry(b)
		require.Equal(t, len(b), n)
		require.Equal(t, p, again)
	}

	e := AppendRetry(nil, Version1, ConnID{}, connID("f067a5502a4262b5"), []byte("token"))
	require.Equal(t, byte(0xf0), e[0]&0xf0)
	require.Equal(t, b[1:len(b)-RetryTagLen], e[1:])
}

func TestParseRetryRejects(t *testing.T) {
	for _, tt := range []struct{ name, hex string }{
		{"empty", ""},
		{"no room for the tag", "f0 00000001 00 00 000102030405060708090a0b0c0d0e"},
		{"fixed bit is zero", "b0 00000001 00 00 000102030405060708090a0b0c0d0e0f"},
		{"another type", "e0 00000001 00 00 000102030405060708090a0b0c0d0e0f"},
		{"Version Negotiation", "f0 00000000 00 00 000102030405060708090a0b0c0d0e0f"},
		{"source ID of 21 bytes", "f0 00000001 00 15 000000000000000000000000000000000000000000" +
			"000102030405060708090a0b0c0d0e0f"},
	} {
		_, n := ParseRetry(unhex(tt.hex))
		require.Equal(t, -1, n, tt.name)
		_, n = ParseGreasedRetry(unhex(tt.hex))
		require.Equal(t, tt.name == "fixed bit is zero", n > 0, tt.name)
	}
}

// "Clients MUST ignore the value of this field."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.1-5
// "The Version field of a Version Negotiation packet MUST be set to 0x00000000."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.1-6
func TestVersionNegotiation(t *testing.T) {
	dst, src := connID("0102"), connID("030405")
	b := AppendVersionNegotiation(nil, 0x15, dst.Bytes(), src.Bytes(), Version1, 0x1a2a3a4a)
	require.Equal(t, unhex("d5 00000000 02 0102 03 030405 00000001 1a2a3a4a"), b)
	p, n := ParseVersionNegotiation(b)
	require.Equal(t, len(b), n)
	require.Equal(t, dst, p.DstID)
	require.Equal(t, src, p.SrcID)
	require.Equal(t, []Version{Version1, 0x1a2a3a4a}, p.Versions())
}

// "Version-specific rules for the connection ID therefore MUST NOT influence a decision about whether to send a
// Version Negotiation packet."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.1-8
func TestVersionNegotiationEchoesLongIDs(t *testing.T) {
	dst, src := make([]byte, 255), make([]byte, 21)
	b := AppendVersionNegotiation(nil, 0, dst, src, Version1)
	inv, ok := ParseInvariant(b, 0)
	require.True(t, ok)
	require.Equal(t, dst, inv.DstID)
	require.Equal(t, src, inv.SrcID)
}

func TestParseVersionNegotiationRejects(t *testing.T) {
	for _, tt := range []struct{ name, hex string }{
		{"empty", ""},
		{"no versions", "c0 00000000 00 00"},
		{"half a version", "c0 00000000 00 00 00000001 0000"},
		{"a version", "c0 00000001 00 00 00000001"},
		{"short header", "40 00000000 00 00 00000001"},
		{"an ID that is not ours", "c0 00000000 15 000000000000000000000000000000000000000000 00 00000001"},
	} {
		_, n := ParseVersionNegotiation(unhex(tt.hex))
		require.Equal(t, -1, n, tt.name)
	}
}
