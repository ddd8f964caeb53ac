package wire

import (
	"encoding/binary"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
)

// The reference parsers below are slow and simple. The fuzz targets compare the package's own with them.

// A refReader reads fields and remembers whether one was cut off.
type refReader struct {
	rest []byte
	bad  bool
}

func (r *refReader) bytes(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		r.bad, r.rest = true, nil
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// varint follows the pseudocode of RFC 9000, A.1.
func (r *refReader) varint() uint64 {
	first := r.bytes(1)
	if r.bad {
		return 0
	}
	v := uint64(first[0])
	prefix := v >> 6
	v &= 0x3f
	for range 1<<prefix - 1 {
		b := r.bytes(1)
		if r.bad {
			return 0
		}
		v = v<<8 + uint64(b[0])
	}
	return v
}

// refLayouts describes the fields of each frame type after the type: v is a varint, b are as many bytes as the varint
// before says, i a connection ID after its length of one byte, p the eight bytes of a path frame, t the token of a
// stateless reset, and r the rest of the packet. ACK frames have code of their own.
var refLayouts = map[uint64]string{
	0x01: "", 0x04: "vvv", 0x05: "vv", 0x06: "vvb", 0x07: "vb",
	0x08: "vr", 0x09: "vr", 0x0a: "vvb", 0x0b: "vvb", 0x0c: "vvr", 0x0d: "vvr", 0x0e: "vvvb", 0x0f: "vvvb",
	0x10: "v", 0x11: "vv", 0x12: "v", 0x13: "v", 0x14: "v", 0x15: "vv", 0x16: "v", 0x17: "v",
	0x18: "vvit", 0x19: "v", 0x1a: "p", 0x1b: "p", 0x1c: "vvvb", 0x1d: "vvb", 0x1e: "",
	0x1f: "", 0x24: "vvvv", 0x30: "r", 0x31: "vb", 0xaf: "vvvv",
}

// refFrame returns the length of the frame at the beginning of b, which is not PADDING, or -1 if it is malformed.
func refFrame(b []byte) int {
	r := refReader{rest: b}
	typ := r.varint()
	layout, known := refLayouts[typ]
	used := len(b) - len(r.rest)
	switch {
	case r.bad, used > 1 && typ < 64, used > 2: // no type needs more than two bytes
		return -1
	case typ == 2 || typ == 3:
		return refAck(r, len(b), typ == 3)
	case !known:
		return -1
	}
	var v []uint64
	data := 0
	for _, f := range layout {
		switch f {
		case 'v':
			v = append(v, r.varint())
		case 'b':
			data = len(r.bytes(v[len(v)-1]))
		case 'r':
			data = len(r.bytes(uint64(len(r.rest))))
		case 'p':
			r.bytes(8)
		case 't':
			r.bytes(16)
		case 'i':
			n := r.bytes(1)
			if r.bad || n[0] == 0 || n[0] > 20 {
				return -1
			}
			r.bytes(uint64(n[0]))
		}
	}
	if r.bad || !refAllowed(typ, v, uint64(data)) {
		return -1
	}
	return len(b) - len(r.rest)
}

// refAllowed reports whether the RFC permits the values of a frame's varints. data is the length of its data.
func refAllowed(typ uint64, v []uint64, data uint64) bool {
	const largest = 1<<62 - 1
	switch {
	case typ == 0x06:
		return v[0]+data <= largest
	case typ == 0x07:
		return data > 0
	case typ >= 0x08 && typ <= 0x0f && typ&4 != 0:
		return v[1]+data <= largest
	case typ == 0x12, typ == 0x13, typ == 0x16, typ == 0x17:
		return v[0] <= 1<<60
	case typ == 0x18:
		return v[1] <= v[0]
	case typ == 0x24:
		return v[3] <= v[2]
	}
	return true
}

// refAck parses an ACK frame after its type.
func refAck(r refReader, whole int, ecn bool) int {
	next := r.varint()
	r.varint()
	count := r.varint()
	smallest := new(big.Int).SetUint64(next)
	sub := func(v uint64) { smallest.Sub(smallest, new(big.Int).SetUint64(v)) }
	sub(r.varint())
	for ; count > 0 && !r.bad && smallest.Sign() >= 0; count-- {
		sub(r.varint())
		sub(2)
		if smallest.Sign() < 0 {
			return -1
		}
		sub(r.varint())
	}
	if ecn {
		r.varint()
		r.varint()
		r.varint()
	}
	if r.bad || smallest.Sign() < 0 {
		return -1
	}
	return whole - len(r.rest)
}

// FuzzFrameReference compares what is accepted as a frame, and where the frame ends, with the reference.
func FuzzFrameReference(f *testing.F) {
	for _, tt := range frameTests {
		f.Add(unhex(tt.hex))
	}
	f.Add(unhex("02 05 00 01 02 00 00"))
	f.Add(unhex("18 01 02 01 aa" + token16))
	f.Add(unhex("0c 00 ffffffffffffffff 00"))
	f.Add(unhex("4001"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 || b[0] == 0 {
			return
		}
		_, n := ParseFrame(b)
		require.Equal(t, refFrame(b), n)
	})
}

// FuzzHeaderReference compares the fields of long headers with the reference.
func FuzzHeaderReference(f *testing.F) {
	f.Add(append(unhex("c300000001088394c8f03e5157080000449e00000002"), make([]byte, 1178)...))
	f.Add(unhex("e0 00000001 00 00 02 abcd"))
	f.Add(unhex("d0 6b3343cf 02 aabb 01 cc 02 abcd"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := refReader{rest: b}
		first, version := r.bytes(1), r.bytes(4)
		id := func() []byte {
			n := r.bytes(1)
			if r.bad {
				return nil
			}
			return r.bytes(uint64(n[0]))
		}
		dst, src := id(), id()
		inv, ok := ParseInvariant(b, 8)
		if len(b) > 0 && b[0]&0x80 != 0 {
			require.Equal(t, !r.bad, ok)
			if ok {
				require.Equal(t, Invariant{Long: true, Version: Version(binary.BigEndian.Uint32(version)),
					DstID: dst, SrcID: src, Len: len(b) - len(r.rest)}, inv)
			}
		}
		var token []byte
		typ := PacketType(0)
		if !r.bad {
			typ = PacketType(first[0] >> 4 & 3)
			if binary.BigEndian.Uint32(version) == 0x6b3343cf { // Initial is 1, and Retry is 0
				typ = (typ + 3) & 3
			}
		}
		if typ == PacketInitial {
			token = r.bytes(r.varint())
		}
		length := r.varint()
		offset := len(b) - len(r.rest)
		r.bytes(length)
		h, n := ParseLongHeader(b)
		if r.bad || first[0]&0xc0 != 0xc0 || typ == PacketRetry || inv.Version == 0 || len(dst) > 20 || len(src) > 20 {
			require.Equal(t, -1, n)
			return
		}
		require.Equal(t, offset, n)
		require.Equal(t, []any{typ, inv.Version, dst, src, len(token), offset, offset + int(length)},
			[]any{h.Type, h.Version, h.DstID.AppendTo([]byte{}), h.SrcID.AppendTo([]byte{}), len(h.Token), h.PNOffset, h.Len})
	})
}

// FuzzTransportParametersReference compares the numeric parameters with a parser that only knows the outer format.
func FuzzTransportParametersReference(f *testing.F) {
	all := allParameters()
	f.Add(all.Append(nil), true)
	f.Add(unhex(params9001), false)
	f.Add(unhex("01 01 05 4001 01 05"), false)
	f.Fuzz(func(t *testing.T, b []byte, fromServer bool) {
		got, code := ParseTransportParameters(b, fromServer)
		values := make(map[uint64][]byte)
		r := refReader{rest: b}
		for len(r.rest) > 0 {
			key := r.varint()
			v := r.bytes(r.varint())
			if _, twice := values[key]; r.bad || twice {
				require.Equal(t, TransportParameterError, code)
				return
			}
			values[key] = v
		}
		if code != NoError {
			return
		}
		number := func(key, def uint64) uint64 {
			v, ok := values[key]
			if !ok {
				return def
			}
			r := refReader{rest: v}
			n := r.varint()
			require.False(t, r.bad || len(r.rest) > 0, "parameter %d is accepted, but is no varint", key)
			return n
		}
		const year = 365 * 24 * 3600 * 1000
		require.Equal(t, min(number(0x01, 0), year), min(uint64(got.MaxIdleTimeout/time.Millisecond), year))
		require.Equal(t, min(number(0x03, 65527), 65527), got.MaxUDPPayloadSize)
		require.GreaterOrEqual(t, got.MaxUDPPayloadSize, uint64(1200))
		require.Equal(t, number(0x04, 0), got.MaxData)
		require.Equal(t, number(0x05, 0), got.MaxStreamDataBidiLocal)
		require.Equal(t, number(0x06, 0), got.MaxStreamDataBidiRemote)
		require.Equal(t, number(0x07, 0), got.MaxStreamDataUni)
		require.Equal(t, number(0x08, 0), got.MaxStreamsBidi)
		require.Equal(t, number(0x09, 0), got.MaxStreamsUni)
		require.LessOrEqual(t, max(got.MaxStreamsBidi, got.MaxStreamsUni), uint64(1<<60))
		require.Equal(t, number(0x0a, 3), got.AckDelayExponent)
		require.LessOrEqual(t, got.AckDelayExponent, uint64(20))
		require.Equal(t, number(0x0b, 25), uint64(got.MaxAckDelay/time.Millisecond))
		require.Less(t, got.MaxAckDelay, 1<<14*time.Millisecond)
		require.Equal(t, number(0x0e, 2), got.ActiveConnIDLimit)
		require.GreaterOrEqual(t, got.ActiveConnIDLimit, uint64(2))
		require.Equal(t, number(0x20, 0), got.MaxDatagramFrameSize)
	})
}

// FuzzPacketNumberReference compares the decoding of packet numbers with its definition in words.
//
// "[...] the packet number is decoded by finding the packet number value that is closest to the next expected packet."
// https://www.rfc-editor.org/rfc/rfc9000#section-17.1-7
func FuzzPacketNumberReference(f *testing.F) {
	f.Add(int64(0xa82f30ea), uint32(0x9b32), uint8(1))
	f.Add(int64(-1), uint32(0xff), uint8(0))
	f.Add(int64(127), uint32(0), uint8(0))
	f.Add(int64(1<<62-2), uint32(0xff), uint8(0))
	f.Fuzz(func(t *testing.T, largest int64, truncated uint32, size uint8) {
		n := int(size&3) + 1
		if largest < -1 || largest >= 1<<62 {
			return
		}
		var number [4]byte
		binary.BigEndian.PutUint32(number[:], truncated)
		d := tlsprovider.OpenDesc{PNOffset: 1, Len: 100}
		d.ReadHeader(append(append([]byte{byte(n - 1)}, number[4-n:]...), make([]byte, 20)...), largest)

		window := int64(1) << (8 * n)
		low := int64(truncated) & (window - 1)
		expected := largest + 1
		base := expected/window*window + low
		best := int64(-1)
		for _, candidate := range []int64{base - window, base, base + window} {
			if candidate < 0 || candidate >= 1<<62 {
				continue
			}
			closer := best < 0 || abs(candidate-expected) < abs(best-expected)
			// Of two that are equally close, RFC 9000, A.3, chooses the larger one.
			if closer || abs(candidate-expected) == abs(best-expected) && candidate > best {
				best = candidate
			}
		}
		require.EqualValues(t, best, d.PacketNumber)
	})
}

func abs(v int64) int64 { return max(v, -v) }
