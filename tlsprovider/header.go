package tlsprovider

import "encoding/binary"

// ReadHeader reads the header of pkt after its protection was removed. It sets HeaderLen, PayloadLen, Phase
// and PacketNumber; largest is the largest packet number authenticated so far, or -1. An [Opener] calls it
// before it selects the key. Len and PNOffset must be set, and must leave room for a sample.
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
	case candidate > expected+window/2 && candidate >= window, candidate >= 1<<62:
		// There is no packet number above 2^62-1, although the RFC's pseudocode can return one.
		return candidate - window
	}
	return candidate
}
