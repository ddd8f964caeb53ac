package wire

import "encoding/binary"

// RetryTagLen is the length of a Retry packet's integrity tag.
const RetryTagLen = 16

// Retry is a Retry packet. Token is borrowed.
type Retry struct {
	Version      Version
	DstID, SrcID ConnID
	Token        []byte
}

// ParseRetry parses a datagram that is a Retry packet. n is -1 if it is malformed. The caller
// must check the tag in the last RetryTagLen bytes.
//
// "The value in the Unused field is set to an arbitrary value by the server; a client MUST ignore these bits."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.5-3
func ParseRetry(b []byte) (p Retry, n int) {
	if len(b) == 0 || b[0]&FixedBit == 0 {
		return p, -1
	}
	return ParseGreasedRetry(b)
}

// ParseGreasedRetry is ParseRetry for a receiver that accepts any value of the fixed bit (RFC 9287).
func ParseGreasedRetry(b []byte) (p Retry, n int) {
	inv, ok := ParseInvariant(b, 0)
	if !ok || !inv.Long || LongPacketType(b[0], inv.Version) != PacketRetry ||
		inv.Version == 0 || len(b) < inv.Len+RetryTagLen {
		return p, -1
	}
	var ok1, ok2 bool
	p.DstID, ok1 = MakeConnID(inv.DstID)
	p.SrcID, ok2 = MakeConnID(inv.SrcID)
	if !ok1 || !ok2 {
		return p, -1
	}
	end := len(b) - RetryTagLen
	p.Version, p.Token = inv.Version, b[inv.Len:end:end]
	return p, len(b)
}

// AppendRetry appends a Retry packet without its tag. The tag covers the appended bytes.
func AppendRetry(b []byte, v Version, dst, src ConnID, token []byte) []byte {
	b = append(b, longTypeBits(PacketRetry, v))
	b = binary.BigEndian.AppendUint32(b, uint32(v))
	b = dst.AppendTo(append(b, byte(dst.Len())))
	b = src.AppendTo(append(b, byte(src.Len())))
	return append(b, token...)
}

// VersionNegotiation is a Version Negotiation packet. It borrows from the datagram.
type VersionNegotiation struct {
	DstID, SrcID ConnID
	versions     []byte
}

// Versions returns the versions in a new slice. Their number is bounded by the datagram.
func (p *VersionNegotiation) Versions() []Version {
	vs := make([]Version, 0, len(p.versions)/4)
	for b := p.versions; len(b) > 0; b = b[4:] {
		vs = append(vs, Version(binary.BigEndian.Uint32(b)))
	}
	return vs
}

// ParseVersionNegotiation parses a datagram that is a Version Negotiation packet. n is -1 if it is
// malformed.
//
// "Clients MUST ignore the value of this field."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.1-5
func ParseVersionNegotiation(b []byte) (p VersionNegotiation, n int) {
	inv, ok := ParseInvariant(b, 0)
	if !ok || !inv.Long || inv.Version != 0 {
		return p, -1
	}
	var ok1, ok2 bool
	p.DstID, ok1 = MakeConnID(inv.DstID)
	p.SrcID, ok2 = MakeConnID(inv.SrcID)
	p.versions = b[inv.Len:]
	if !ok1 || !ok2 || len(p.versions) == 0 || len(p.versions)%4 != 0 {
		return p, -1
	}
	return p, len(b)
}

// AppendVersionNegotiation appends a Version Negotiation packet. The IDs, of up to 255 bytes, are those of
// the packet that it answers, swapped. random fills the unused bits.
func AppendVersionNegotiation(b []byte, random byte, dst, src []byte, versions ...Version) []byte {
	// "The value in the Unused field is set to an arbitrary value by the server. [...] Where QUIC
	// might be multiplexed with other protocols [...], servers SHOULD set the most significant bit
	// of this field (0x40) to 1".
	// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.1-5
	b = append(b, 0xc0|random)
	// "The Version field of a Version Negotiation packet MUST be set to 0x00000000."
	// https://www.rfc-editor.org/rfc/rfc9000#section-17.2.1-6
	b = append(b, 0, 0, 0, 0)
	b = append(append(b, byte(len(dst))), dst...)
	b = append(append(b, byte(len(src))), src...)
	for _, v := range versions {
		b = binary.BigEndian.AppendUint32(b, uint32(v))
	}
	return b
}
