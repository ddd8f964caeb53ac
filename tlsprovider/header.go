package tlsprovider

import "encoding/binary"

// ReadHeader fills in what the header of pkt says once its protection is removed: HeaderLen,
// PayloadLen, Phase, and PacketNumber, decoded against the largest number authenticated so far (-1 for
// none). An [Opener] calls it before it picks the key. Len and PNOffset are filled in already, and leave
// room for a sample.
func (d *OpenDesc) ReadHeader(pkt []byte, largest int64) {
	n := uint32(pkt[0]&3) + 1
	truncated := uint64(binary.BigEndian.Uint32(pkt[d.PNOffset:])) >> (8 * (4 - n))
	d.PacketNumber = decodePacketNumber(largest, truncated, n)
	d.HeaderLen = d.PNOffset + n
	d.PayloadLen = d.Len - d.HeaderLen - TagLen
	d.Phase = 0
	if pkt[0]&0x80 == 0 {
		d.Phase = pkt[0] >> 2 & 1
	}
}

// decodePacketNumber recovers a packet number from its low n bytes (RFC 9000, A.3).
func decodePacketNumber(largest int64, truncated uint64, n uint32) uint64 {
	expected := uint64(largest + 1)
	window := uint64(1) << (8 * n)
	candidate := expected&^(window-1) | truncated
	switch {
	case candidate+window/2 <= expected && candidate < 1<<62-window:
		return candidate + window
	case candidate > expected+window/2 && candidate >= window:
		return candidate - window
	}
	return candidate
}
