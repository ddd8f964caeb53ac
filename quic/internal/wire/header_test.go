package wire

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// The unprotected headers of RFC 9001, A.2, A.3 and A.5. There, the Length is computed from the payload.
func TestAppendHeaderRFC9001(t *testing.T) {
	b := AppendLongHeader(nil, PacketInitial, Version1, connID("8394c8f03e515708"), ConnID{}, nil, 2, 4)
	PatchLength(b, len(b), 1162+16)
	require.Equal(t, unhex("c300000001088394c8f03e5157080000449e00000002"), b)

	b = AppendLongHeader(nil, PacketInitial, Version1, ConnID{}, connID("f067a5502a4262b5"), nil, 1, 2)
	PatchLength(b, len(b), 99+16)
	require.Equal(t, unhex("c1000000010008f067a5502a4262b50040750001"), b)

	b = AppendShortHeader(nil, ConnID{}, false, false, 654360564, 3)
	require.Equal(t, unhex("4200bff4"), b)
}

// The unprotected headers of RFC 9369, A.2, A.3 and A.4.
func TestAppendHeaderRFC9369(t *testing.T) {
	b := AppendLongHeader(nil, PacketInitial, Version2, connID("8394c8f03e515708"), ConnID{}, nil, 2, 4)
	PatchLength(b, len(b), 1162+16)
	require.Equal(t, unhex("d36b3343cf088394c8f03e5157080000449e00000002"), b)

	b = AppendLongHeader(nil, PacketInitial, Version2, ConnID{}, connID("f067a5502a4262b5"), nil, 1, 2)
	PatchLength(b, len(b), 99+16)
	require.Equal(t, unhex("d16b3343cf0008f067a5502a4262b50040750001"), b)

	b = unhex("cf6b3343cf0008f067a5502a4262b5746f6b656ec8646ce8bfe33952d955543665dcc7b6")
	p, n := ParseRetry(b)
	require.Equal(t, len(b), n)
	require.Equal(t, Retry{Version: Version2, SrcID: connID("f067a5502a4262b5"), Token: []byte("token")}, p)
	e := AppendRetry(nil, Version2, ConnID{}, connID("f067a5502a4262b5"), []byte("token"))
	require.Equal(t, byte(0xc0), e[0]&0xf0)
	require.Equal(t, b[1:len(b)-RetryTagLen], e[1:])
}

// "The Type field values are: Initial: 0b01, 0-RTT: 0b10, Handshake: 0b11, Retry: 0b00" (RFC 9369, section 3.2).
func TestPacketTypesOfVersion2(t *testing.T) {
	for typ, bits := range map[PacketType]byte{PacketInitial: 1, Packet0RTT: 2, PacketHandshake: 3, PacketRetry: 0} {
		require.Equal(t, typ, LongPacketType(0xcf|bits<<4, Version2))
		require.Equal(t, 0xc0|bits<<4, longTypeBits(typ, Version2))
		if typ == PacketRetry {
			continue
		}
		b := AppendLongHeader(nil, typ, Version2, connID("01"), connID("02"), nil, 7, 2)
		hdr := len(b)
		b = append(b, make([]byte, 20)...)
		PatchLength(b, hdr, 20)
		h, n := ParseLongHeader(b)
		require.Positive(t, n)
		require.Equal(t, typ, h.Type)
		require.Equal(t, Version2, h.Version)
	}
}

// "The value included prior to protection MUST be set to 0."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.3.1-4.8.1
func TestAppendShortHeaderBits(t *testing.T) {
	id := connID("0102")
	require.Equal(t, unhex("40 0102 07"), AppendShortHeader(nil, id, false, false, 7, 1))
	require.Equal(t, unhex("60 0102 07"), AppendShortHeader(nil, id, true, false, 7, 1))
	require.Equal(t, unhex("44 0102 07"), AppendShortHeader(nil, id, false, true, 7, 1))
	require.Equal(t, unhex("67 0102 00000007"), AppendShortHeader(nil, id, true, true, 7, 4))
}

func TestPatchLengthBounds(t *testing.T) {
	b := AppendLongHeader(nil, PacketHandshake, Version1, ConnID{}, ConnID{}, nil, 0, 1)
	PatchLength(b, len(b), 1<<14-2)
	require.Equal(t, unhex("e0 00000001 00 00 7fff 00"), b)
	require.Panics(t, func() { PatchLength(b, len(b), 1<<14-1) })
}

// "In QUIC version 1, this value MUST NOT exceed 20 bytes."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.2-3.12.1
func TestLongHeaderRoundTrip(t *testing.T) {
	for _, tt := range []struct {
		name     string
		typ      PacketType
		dst, src string
		token    []byte
		pn       PacketNumber
		pnLen    int
	}{
		{"Initial", PacketInitial, "8394c8f03e515708", "", nil, 2, 4},
		{"Initial with token", PacketInitial, "01", "02", []byte("token"), 0, 1},
		{"0-RTT", Packet0RTT, "8394c8f03e515708", "0102030405", nil, 0x1234, 2},
		{"Handshake", PacketHandshake, "", "", nil, 0x123456, 3},
		{"longest IDs", PacketHandshake, "0102030405060708090a0b0c0d0e0f1011121314",
			"1112131415161718191a1b1c1d1e1f2021222324", nil, 0, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := AppendLongHeader(nil, tt.typ, Version1, connID(tt.dst), connID(tt.src), tt.token, tt.pn, tt.pnLen)
			// "The value included prior to protection MUST be set to 0."
			// https://www.rfc-editor.org/rfc/rfc9000#section-17.2-8.2.1
			require.Zero(t, b[0]&0x0c)
			headerLen := len(b)
			b = append(b, make([]byte, 40)...)
			PatchLength(b, headerLen, 40)

			h, n := ParseLongHeader(append(b, "the next packet"...))
			require.Equal(t, headerLen-tt.pnLen, n)
			require.Equal(t, LongHeader{Type: tt.typ, Version: Version1, DstID: connID(tt.dst), SrcID: connID(tt.src),
				Token: h.Token, PNOffset: headerLen - tt.pnLen, Len: len(b)}, h)
			require.Equal(t, string(tt.token), string(h.Token))
			for i := range b {
				_, n := ParseLongHeader(b[:i:i])
				require.Equal(t, -1, n, "cut off at %d", i)
			}
		})
	}
}

// "Endpoints that receive a version 1 long header with a value larger than 20 MUST drop the packet."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.2-3.12.1
func TestParseLongHeaderRejects(t *testing.T) {
	for _, tt := range []struct{ name, hex string }{
		{"fixed bit is zero", "80 00000001 00 00 00 02 0000"},
		{"short header", "40 00000001 00 00 00 02 0000"},
		{"Retry", "f0 00000001 00 00 00 02 0000"},
		{"Version Negotiation", "c0 00000000 00 00 00 02 0000"},
		{"destination ID of 21 bytes", "e0 00000001 15 000000000000000000000000000000000000000000 00 02 0000"},
		// "[...] of the Source Connection ID field that follows it. This length is encoded as an 8-bit unsigned
		// integer. In QUIC version 1, this value MUST NOT exceed 20 bytes. Endpoints that receive a version 1 long
		// header with a value larger than 20 MUST drop the packet."
		// https://www.rfc-editor.org/rfc/rfc9000#section-17.2-3.16.1
		{"source ID of 21 bytes", "e0 00000001 00 15 000000000000000000000000000000000000000000 02 0000"},
		{"token is longer than the datagram", "c0 00000001 00 00 ffffffffffffffff 02 0000"},
		{"length is longer than the datagram", "e0 00000001 00 00 03 0000"},
		{"length is longer than any datagram", "e0 00000001 00 00 ffffffffffffffff 0000"},
	} {
		_, n := ParseLongHeader(unhex(tt.hex))
		require.Equal(t, -1, n, tt.name)
		_, n = ParseGreasedLongHeader(unhex(tt.hex))
		require.Equal(t, tt.name == "fixed bit is zero", n > 0, tt.name)
	}
}

func TestParseInvariant(t *testing.T) {
	long := append(unhex("80 0a1a2a3a ff"), make([]byte, 255)...)
	long = append(append(long, 1, 0xaa), "anything at all"...)
	inv, ok := ParseInvariant(long, 8)
	require.True(t, ok, "an unknown version may have long connection IDs, and no fixed bit")
	require.True(t, inv.Long)
	require.True(t, inv.Version.Reserved())
	require.Len(t, inv.DstID, 255)
	require.Equal(t, unhex("aa"), inv.SrcID)
	require.Equal(t, 6+255+2, inv.Len)
	for i := range inv.Len {
		_, ok := ParseInvariant(long[:i], 8)
		require.False(t, ok, "cut off at %d", i)
	}

	short := unhex("40 0102030405060708 ff")
	inv, ok = ParseInvariant(short, 8)
	require.True(t, ok)
	require.Equal(t, Invariant{DstID: short[1:9], Len: 9}, inv)
	for i := range 9 {
		_, ok := ParseInvariant(short[:i], 8)
		require.False(t, ok, "cut off at %d", i)
	}
}

func TestReservedVersions(t *testing.T) {
	require.True(t, Version(0x0a0a0a0a).Reserved())
	require.True(t, Version(0xfacadafa).Reserved())
	require.False(t, Version1.Reserved())
	require.False(t, Version(0x0a0a0a0b).Reserved())
}

func TestPacketTypeNames(t *testing.T) {
	require.Equal(t, "Initial", PacketInitial.String())
	require.Equal(t, "1-RTT", Packet1RTT.String())
	require.Equal(t, "Version Negotiation", PacketVersionNegotiation.String())
	require.Equal(t, "unknown packet type", PacketType(99).String())
	for i, want := range []PacketType{PacketInitial, Packet0RTT, PacketHandshake, PacketRetry} {
		require.Equal(t, want, LongPacketType(0xcf|byte(i)<<4, Version1))
	}
}

func FuzzLongHeader(f *testing.F) {
	f.Add(append(unhex("c300000001088394c8f03e5157080000449e00000002"), make([]byte, 1178)...))
	f.Add(append(unhex("c1000000010008f067a5502a4262b50040750001"), make([]byte, 115)...))
	f.Add(append(unhex("d36b3343cf088394c8f03e5157080000449e00000002"), make([]byte, 1178)...))
	f.Add(unhex("cf6b3343cf0008f067a5502a4262b5746f6b656ec8646ce8bfe33952d955543665dcc7b6"))
	f.Add(unhex("c0 00000001 00 00 02 abcd 02 0000"))
	f.Add(unhex("e0 00000001 00 00 ffffffffffffffff 0000"))
	f.Add(unhex("ff000000010008f067a5502a4262b5746f6b656e04a265ba2eff4d829058fb3f0f2496ba"))
	f.Add(unhex("c0 00000000 00 00 00000001 0a0a0a0a"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if inv, ok := ParseInvariant(b, 8); ok {
			require.LessOrEqual(t, inv.Len, len(b))
		}
		if p, n := ParseRetry(b); n >= 0 {
			require.Equal(t, len(b), n)
			e := AppendRetry(nil, p.Version, p.DstID, p.SrcID, p.Token)
			require.Equal(t, b[1:len(b)-RetryTagLen], e[1:], "all but the unused bits")
		}
		if p, n := ParseVersionNegotiation(b); n >= 0 {
			require.Equal(t, len(b), n)
			e := AppendVersionNegotiation(nil, 0, p.DstID.Bytes(), p.SrcID.Bytes(), p.Versions()...)
			require.Equal(t, b[1:], e[1:], "all but the unused bits")
		}
		h, n := ParseLongHeader(b)
		if n < 0 {
			return
		}
		require.Equal(t, n, h.PNOffset)
		require.LessOrEqual(t, n, h.Len)
		require.LessOrEqual(t, h.Len, len(b))
		rest := h.Len - h.PNOffset
		if rest == 0 || rest > 1<<14-1 {
			return
		}
		e := AppendLongHeader(nil, h.Type, h.Version, h.DstID, h.SrcID, h.Token, 0, 1)
		PatchLength(e, len(e), rest-1)
		again, n := ParseLongHeader(append(e, make([]byte, rest-1)...))
		require.GreaterOrEqual(t, n, 0)
		require.Equal(t, rest, again.Len-again.PNOffset)
		again.PNOffset, again.Len = h.PNOffset, h.Len // lengths may have been encoded differently
		require.Equal(t, h, again)
	})
}
