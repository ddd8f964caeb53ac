package main

import (
	"bytes"

	"golang.org/x/crypto/cryptobyte"
)

// isPartOfHello reports whether a datagram contains a part of a ClientHello, and not all of it. It reads the datagram with
// the keys that everyone on the path can derive.
func (b *box) isPartOfHello(datagram []byte) bool {
	version, dcid, packet, pnOffset, ok := parseInitial(datagram)
	if !ok {
		return false
	}
	packet = bytes.Clone(packet)
	p, ok := b.provider.OpenInitial(version, dcid, packet, pnOffset)
	if !ok {
		return false // of a later flight
	}
	begins, received, size := false, 0, 0
	for f := cryptobyte.String(packet[p.HeaderLen:][:p.PayloadLen]); !f.Empty(); {
		var kind uint8
		f.ReadUint8(&kind)
		switch kind {
		case 0, 1: // PADDING, PING
			continue
		case 6: // CRYPTO
		default:
			return received > 0 && !(begins && received >= size)
		}
		var data []byte
		offset, ok := readVarint(&f)
		n, ok2 := readVarint(&f)
		if !ok || !ok2 || n > uint64(len(f)) || !f.ReadBytes(&data, int(n)) {
			return false
		}
		if received += len(data); offset == 0 && len(data) >= 4 {
			begins, size = true, 4+int(data[1])<<16+int(data[2])<<8+int(data[3])
		}
	}
	return received > 0 && !(begins && received >= size)
}

// parseInitial reads the header of the Initial packet with which a datagram begins. packet is that packet alone.
func parseInitial(d []byte) (version uint32, dcid, packet []byte, pnOffset int, ok bool) {
	s := cryptobyte.String(d)
	var first uint8
	var dst, src cryptobyte.String
	if !s.ReadUint8(&first) || first&0x80 == 0 || !s.ReadUint32(&version) || !s.ReadUint8LengthPrefixed(&dst) ||
		!s.ReadUint8LengthPrefixed(&src) {
		return
	}
	const v1, v2 = 1, 0x6b3343cf
	if kind := first >> 4 & 3; !(version == v1 && kind == 0 || version == v2 && kind == 1) {
		return
	}
	token, ok1 := readVarint(&s)
	if !ok1 || token > uint64(len(s)) || !s.Skip(int(token)) {
		return
	}
	length, ok1 := readVarint(&s)
	if !ok1 || length > uint64(len(s)) {
		return
	}
	pnOffset = len(d) - len(s)
	return version, dst, d[:pnOffset+int(length)], pnOffset, true
}

// readVarint reads a variable-length integer (RFC 9000, section 16).
func readVarint(s *cryptobyte.String) (v uint64, ok bool) {
	var first uint8
	if !s.ReadUint8(&first) {
		return 0, false
	}
	v = uint64(first & 0x3f)
	for range 1<<(first>>6) - 1 {
		var b uint8
		if !s.ReadUint8(&b) {
			return 0, false
		}
		v = v<<8 | uint64(b)
	}
	return v, true
}
