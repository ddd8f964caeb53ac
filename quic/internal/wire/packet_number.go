package wire

// PacketNumber is a full packet number.
type PacketNumber int64

// NoPacket means that there is no packet number.
const NoPacket PacketNumber = -1

// PNRange is a half-open range of packet numbers.
type PNRange struct {
	Start, End PacketNumber
}

// PacketNumberLen returns the number of bytes in which to encode pn. largestAcked is the largest packet
// number that the peer has acknowledged, or NoPacket.
//
// "[T]he sender MUST use a packet number size able to represent more than twice as large a range as
// the difference between the largest acknowledged packet number and the packet number being sent."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.1-4
// "Prior to receiving an acknowledgment for a packet number space, the full packet number MUST be included; it is not
// to be truncated, as described below."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.1-3
func PacketNumberLen(pn, largestAcked PacketNumber) int {
	switch d := pn - largestAcked; {
	case d < 1<<7:
		return 1
	case d < 1<<15:
		return 2
	case d < 1<<23:
		return 3
	}
	return 4
}

// AppendPacketNumber appends the low n bytes of pn.
func AppendPacketNumber(b []byte, pn PacketNumber, n int) []byte {
	for i := n - 1; i >= 0; i-- {
		b = append(b, byte(pn>>(8*i)))
	}
	return b
}
