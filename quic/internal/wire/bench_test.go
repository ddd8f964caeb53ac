package wire

import "testing"

func BenchmarkConsumeStream(b *testing.B) {
	enc := Stream{ID: 4, Offset: 1 << 20, Data: make([]byte, 1100)}.Append(nil)
	b.SetBytes(int64(len(enc)))
	b.ReportAllocs()
	for b.Loop() {
		if _, n := ConsumeStream(enc); n < 0 {
			b.Fatal("malformed")
		}
	}
}

func BenchmarkConsumeAck(b *testing.B) {
	enc := AppendAck(nil, benchRanges(), 1000, &ECNCounts{1, 2, 3}, 1200)
	b.ReportAllocs()
	var sum PacketNumber
	for b.Loop() {
		f, n := ConsumeAck(enc)
		if n < 0 {
			b.Fatal("malformed")
		}
		for r := range f.Ranges {
			sum += r.End - r.Start
		}
	}
}

func BenchmarkAppendAck(b *testing.B) {
	ranges := benchRanges()
	buf := make([]byte, 0, 1200)
	b.ReportAllocs()
	for b.Loop() {
		if len(AppendAck(buf, ranges, 1000, nil, 1200)) == 0 {
			b.Fatal("no room")
		}
	}
}

func BenchmarkParseLongHeader(b *testing.B) {
	id := connID("8394c8f03e515708")
	enc := AppendLongHeader(nil, PacketInitial, Version1, id, id, nil, 1, 4)
	hdr := len(enc)
	enc = append(enc, make([]byte, 1100)...)
	PatchLength(enc, hdr, 1100)
	b.ReportAllocs()
	for b.Loop() {
		if _, n := ParseLongHeader(enc); n < 0 {
			b.Fatal("malformed")
		}
	}
}

// benchRanges returns the ranges that a path with some loss produces.
func benchRanges() (rs []PNRange) {
	for i := range PacketNumber(8) {
		rs = append(rs, PNRange{100_000 + 40*i, 100_000 + 40*i + 37})
	}
	return rs
}
