package wire

import (
	"encoding/binary"

	"github.com/pqquic/pqquic/internal/varint"
)

// Version is a QUIC version.
type Version uint32

const (
	// Version1 is the version of RFC 9000.
	Version1 Version = 1
	// Version2 is the version of RFC 9369.
	Version2 Version = 0x6b3343cf
)

// Reserved reports whether the version has the form 0x?a?a?a?a. These versions are reserved to force
// version negotiation (RFC 9000, section 15).
func (v Version) Reserved() bool { return v&0x0f0f0f0f == 0x0a0a0a0a }

// PacketType is the type of a packet.
type PacketType uint8

// The packet types. The first four have the values of the Long Packet Type field in version 1.
const (
	PacketInitial PacketType = iota
	Packet0RTT
	PacketHandshake
	PacketRetry
	Packet1RTT
	PacketVersionNegotiation
)

// String returns the name in the RFC.
func (t PacketType) String() string {
	names := [...]string{"Initial", "0-RTT", "Handshake", "Retry", "1-RTT", "Version Negotiation"}
	if int(t) < len(names) {
		return names[t]
	}
	return "unknown packet type"
}

// FixedBit is the bit of the first byte that is 1 in all packets, except in Version Negotiation packets and in those that
// are sent to a peer with TransportParameters.GreaseQUICBit. RFC 9287 calls it the QUIC bit.
const FixedBit = 0x40

// LongPacketType returns the packet type in the first byte of a long header.
//
// "All version 2 Long Header packet types are different." Initial is 0b01, 0-RTT 0b10, Handshake 0b11 and Retry 0b00.
// https://www.rfc-editor.org/rfc/rfc9369#section-3.2-1
func LongPacketType(first byte, v Version) PacketType {
	t := first >> 4 & 3
	if v == Version2 {
		t = (t - 1) & 3
	}
	return PacketType(t)
}

// HasLongType reports whether a datagram begins with a long header packet of a type, of version 1 or 2.
func HasLongType(b []byte, t PacketType) bool {
	if len(b) < 5 || b[0]&0x80 == 0 {
		return false
	}
	v := Version(binary.BigEndian.Uint32(b[1:]))
	return (v == Version1 || v == Version2) && LongPacketType(b[0], v) == t
}

// longTypeBits returns the first byte of a long header without its lower four bits.
func longTypeBits(t PacketType, v Version) byte {
	b := byte(t)
	if v == Version2 {
		b = (b + 1) & 3
	}
	return 0xc0 | b<<4
}

// Invariant contains the header fields that all versions of QUIC have in common (RFC 8999). The IDs are
// borrowed, and may have up to 255 bytes in a long header. Version is 0 in a Version Negotiation packet. A
// short header has neither Version nor SrcID.
type Invariant struct {
	Long         bool
	Version      Version
	DstID, SrcID []byte
	Len          int // length of the fields above and the first byte
}

// ParseInvariant parses the beginning of a datagram. shortIDLen is the length of the connection IDs that we
// issue, which a short header does not contain.
func ParseInvariant(b []byte, shortIDLen int) (inv Invariant, ok bool) {
	if len(b) == 0 {
		return inv, false
	}
	if b[0]&0x80 == 0 {
		if len(b) < 1+shortIDLen {
			return inv, false
		}
		inv.DstID, inv.Len = b[1:1+shortIDLen:1+shortIDLen], 1+shortIDLen
		return inv, true
	}
	// Header Form (1) = 1, Version-Specific Bits (7), Version (32),
	// Destination Connection ID Length (8), Destination Connection ID (0..2040),
	// Source Connection ID Length (8), Source Connection ID (0..2040),
	r := reader{b: b, n: 1}
	v := r.bytes(4)
	inv.Long = true
	inv.DstID = r.bytes(uint64(r.byte()))
	inv.SrcID = r.bytes(uint64(r.byte()))
	if r.bad {
		return Invariant{}, false
	}
	inv.Version, inv.Len = Version(binary.BigEndian.Uint32(v)), r.n
	return inv, true
}

// LongHeader is the unprotected part of the header of an Initial, 0-RTT or Handshake packet.
type LongHeader struct {
	Type         PacketType
	Version      Version
	DstID, SrcID ConnID
	Token        []byte // only in Initial packets; borrowed
	PNOffset     int    // offset of the packet number
	Len          int    // length of the whole packet
}

// ParseLongHeader parses the header of the packet at the beginning of b as one of version 1, or of version 2 if it says
// so. The caller must check Version. It returns the offset of the packet number, or -1 if the packet is not an Initial,
// 0-RTT or Handshake packet that lies completely in b.
func ParseLongHeader(b []byte) (h LongHeader, n int) {
	// "Packets containing a zero value for this bit are not valid packets in this version and
	// MUST be discarded."
	// https://www.rfc-editor.org/rfc/rfc9000#section-17.2-3.4.1
	if len(b) == 0 || b[0]&FixedBit == 0 {
		return h, -1
	}
	return ParseGreasedLongHeader(b)
}

// ParseGreasedLongHeader is ParseLongHeader for a receiver that accepts any value of the fixed bit (RFC 9287).
func ParseGreasedLongHeader(b []byte) (h LongHeader, n int) {
	// Header Form (1) = 1, Fixed Bit (1), Long Packet Type (2), Type-Specific Bits (4),
	if len(b) < 7 || b[0]&0x80 == 0 {
		return h, -1
	}
	h.Type = LongPacketType(b[0], Version(binary.BigEndian.Uint32(b[1:])))
	if h.Type == PacketRetry {
		return h, -1
	}
	r := reader{b: b, n: 1}
	// Version (32),
	h.Version = Version(binary.BigEndian.Uint32(r.bytes(4)))
	if h.Version == 0 {
		return h, -1
	}
	// Destination Connection ID Length (8), Destination Connection ID (0..160),
	//
	// "Endpoints that receive a version 1 long header with a value larger than 20 MUST drop the packet."
	// https://www.rfc-editor.org/rfc/rfc9000#section-17.2-3.12.1
	dst := r.bytes(uint64(r.byte()))
	// Source Connection ID Length (8), Source Connection ID (0..160),
	//
	// "[...] of the Source Connection ID field that follows it. This length is encoded as an 8-bit unsigned integer.
	// In QUIC version 1, this value MUST NOT exceed 20 bytes. Endpoints that receive a version 1 long header with a
	// value larger than 20 MUST drop the packet."
	// https://www.rfc-editor.org/rfc/rfc9000#section-17.2-3.16.1
	src := r.bytes(uint64(r.byte()))
	var ok1, ok2 bool
	h.DstID, ok1 = MakeConnID(dst)
	h.SrcID, ok2 = MakeConnID(src)
	// Token Length (i), Token (..),
	if h.Type == PacketInitial {
		h.Token = r.bytes(r.varint())
	}
	// Length (i),
	length := r.varint()
	if r.bad || !ok1 || !ok2 || length > uint64(len(b)-r.n) {
		return h, -1
	}
	h.PNOffset, h.Len = r.n, r.n+int(length)
	return h, r.n
}

// AppendLongHeader appends a header of version 1 or 2 up to and including the packet number. Its Length field has
// two bytes, which PatchLength sets.
//
// "The value included prior to protection MUST be set to 0."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.2-8.2.1
func AppendLongHeader(b []byte, t PacketType, v Version, dst, src ConnID, token []byte,
	pn PacketNumber, pnLen int) []byte {
	b = append(b, longTypeBits(t, v)|byte(pnLen-1))
	b = binary.BigEndian.AppendUint32(b, uint32(v))
	b = dst.AppendTo(append(b, byte(dst.Len())))
	b = src.AppendTo(append(b, byte(src.Len())))
	if t == PacketInitial {
		b = append(varint.Append(b, uint64(len(token))), token...)
	}
	b = append(b, 0x40, 0)
	return AppendPacketNumber(b, pn, pnLen)
}

// PatchLength sets the Length field of a packet at the beginning of b. headerLen is the length of the
// header from AppendLongHeader, including the packet number. rest is the number of bytes after the header,
// including the tag.
func PatchLength(b []byte, headerLen, rest int) {
	pnLen := int(b[0]&3) + 1
	if rest+pnLen > 1<<14-1 {
		panic("BUG: packet too long for a Length of two bytes")
	}
	binary.BigEndian.PutUint16(b[headerLen-pnLen-2:], 0x4000|uint16(rest+pnLen))
}

// AppendShortHeader appends a 1-RTT header up to and including the packet number.
//
// "The value included prior to protection MUST be set to 0."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.3.1-4.8.1
func AppendShortHeader(b []byte, dst ConnID, spin, phase bool, pn PacketNumber, pnLen int) []byte {
	first := byte(0x40) | byte(pnLen-1)
	if spin {
		first |= 0x20
	}
	if phase {
		first |= 0x04
	}
	return AppendPacketNumber(dst.AppendTo(append(b, first)), pn, pnLen)
}
