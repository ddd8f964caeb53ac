package wire

import "github.com/pqquic/pqquic/internal/varint"

// ECNCounts are the ECN counts of an ACK frame.
type ECNCounts struct {
	ECT0, ECT1, CE uint64
}

func (c *ECNCounts) size() int {
	return varint.Size(c.ECT0) + varint.Size(c.ECT1) + varint.Size(c.CE)
}

func (c *ECNCounts) append(b []byte) []byte { return appendVarints(b, c.ECT0, c.ECT1, c.CE) }

// Ack is an ACK frame. Its ranges stay encoded.
type Ack struct {
	Largest PacketNumber
	Delay   uint64 // as encoded: the receiver has to scale it by the peer's exponent
	HasECN  bool
	ECN     ECNCounts

	first  uint64 // First ACK Range
	count  uint64 // ACK Range Count
	ranges []byte // Gap and ACK Range Length, alternating; borrowed
}

// ConsumeAck parses an ACK frame. It checks that the ranges descend from Largest without touching and do
// not fall below 0.
func ConsumeAck(b []byte) (f Ack, n int) {
	r := reader{b: b}
	// Type (i) = 0x02..0x03,
	f.HasECN = r.varint() == FrameAckECN
	// Largest Acknowledged (i), ACK Delay (i), ACK Range Count (i), First ACK Range (i),
	f.Largest = PacketNumber(r.varint())
	f.Delay = r.varint()
	f.count = r.varint()
	f.first = r.varint()
	smallest := uint64(f.Largest) - f.first
	if r.bad || f.first > uint64(f.Largest) {
		return f, -1
	}
	start := r.n
	// A range takes at least two bytes, so a count that is too large for the frame ends the loop soon.
	for i := f.count; i > 0; i-- {
		// "If any computed packet number is negative, an endpoint MUST generate a connection
		// error of type FRAME_ENCODING_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9000#section-19.3.1-14
		gap, length := r.varint(), r.varint()
		if r.bad || gap+2 > smallest || length > smallest-gap-2 {
			return f, -1
		}
		smallest -= gap + 2 + length
	}
	f.ranges = b[start:r.n]
	if f.HasECN {
		f.ECN = ECNCounts{ECT0: r.varint(), ECT1: r.varint(), CE: r.varint()}
	}
	return f, r.done()
}

// Ranges is an iterator over the ranges, the largest first. It does not allocate.
func (f *Ack) Ranges(yield func(PNRange) bool) {
	end := f.Largest + 1
	start := f.Largest - PacketNumber(f.first)
	for b := f.ranges; yield(PNRange{start, end}) && len(b) > 0; {
		gap, n := varint.Consume(b)
		length, m := varint.Consume(b[n:])
		b = b[n+m:]
		end = start - PacketNumber(gap) - 1
		start = end - PacketNumber(length) - 1
	}
}

// Size is the length that Append adds.
func (f Ack) Size() int {
	n := 1 + varint.Size(uint64(f.Largest)) + varint.Size(f.Delay) + varint.Size(f.count) +
		varint.Size(f.first) + len(f.ranges)
	if f.HasECN {
		n += f.ECN.size()
	}
	return n
}

// Append appends a frame that ConsumeAck returned. AppendAck builds a new one.
func (f Ack) Append(b []byte) []byte {
	b = appendVarints(b, ackType(f.HasECN), uint64(f.Largest), f.Delay, f.count, f.first)
	b = append(b, f.ranges...)
	if f.HasECN {
		b = f.ECN.append(b)
	}
	return b
}

// maxAckRanges is the maximum ACK Range Count of AppendAck, which reserves two bytes for it.
const maxAckRanges = 1<<14 - 1

// AppendAck appends an ACK frame of at most room bytes for ranges, which must ascend and not touch. If not
// all ranges fit, the frame contains the largest ones. If not even one fits, nothing is appended. delay is
// the value of the field, already scaled. ecn is nil for a frame without ECN counts.
func AppendAck(b []byte, ranges []PNRange, delay uint64, ecn *ECNCounts, room int) []byte {
	if len(ranges) == 0 {
		return b
	}
	last := ranges[len(ranges)-1]
	largest, first := uint64(last.End-1), uint64(last.End-1-last.Start)
	size := 1 + varint.Size(largest) + varint.Size(delay) + 2 + varint.Size(first)
	if ecn != nil {
		size += ecn.size()
	}
	if size > room {
		return b
	}
	count := 0
	for i := len(ranges) - 2; i >= 0; i-- {
		gap, length := ackRange(ranges, i)
		if size += varint.Size(gap) + varint.Size(length); size > room || count == maxAckRanges {
			break
		}
		count++
	}
	b = appendVarints(b, ackType(ecn != nil), largest, delay, uint64(count), first)
	for i := len(ranges) - 2; i >= len(ranges)-1-count; i-- {
		gap, length := ackRange(ranges, i)
		b = varint.Append(varint.Append(b, gap), length)
	}
	if ecn != nil {
		b = ecn.append(b)
	}
	return b
}

// ackRange returns the encoding of range i, which follows range i+1 in the frame.
func ackRange(ranges []PNRange, i int) (gap, length uint64) {
	return uint64(ranges[i+1].Start - ranges[i].End - 1), uint64(ranges[i].End - ranges[i].Start - 1)
}

func ackType(ecn bool) uint64 {
	if ecn {
		return FrameAckECN
	}
	return FrameAck
}
