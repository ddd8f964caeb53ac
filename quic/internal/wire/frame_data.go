package wire

import "github.com/pqquic/pqquic/internal/varint"

// Crypto is a CRYPTO frame. Data is borrowed.
type Crypto struct {
	Offset uint64
	Data   []byte
}

// ConsumeCrypto parses a CRYPTO frame.
//
// "The largest offset delivered on a stream -- the sum of the offset and data length -- cannot
// exceed 2^62-1. Receipt of a frame that exceeds this limit MUST be treated as a connection error of
// type FRAME_ENCODING_ERROR or CRYPTO_BUFFER_EXCEEDED."
// https://www.rfc-editor.org/rfc/rfc9000#section-19.6-7
func ConsumeCrypto(b []byte) (f Crypto, n int) {
	r := reader{b: b}
	r.varint()
	f.Offset = r.varint()
	f.Data = r.bytes(r.varint())
	if f.Offset+uint64(len(f.Data)) > varint.Max {
		return f, -1
	}
	return f, r.done()
}

// Size is the length that Append adds.
func (f Crypto) Size() int {
	return 1 + varint.Size(f.Offset) + varint.Size(uint64(len(f.Data))) + len(f.Data)
}

// Append appends the frame.
func (f Crypto) Append(b []byte) []byte {
	b = varint.Append(append(b, byte(FrameCrypto)), f.Offset)
	return append(varint.Append(b, uint64(len(f.Data))), f.Data...)
}

// Stream is a STREAM frame. Data is borrowed.
type Stream struct {
	ID     uint64
	Offset uint64
	Data   []byte
	Fin    bool
	// ToEnd reports whether the frame has no length and fills the rest of its packet.
	ToEnd bool
}

// ConsumeStream parses a STREAM frame of any of the eight types.
//
// "The largest offset delivered on a stream -- the sum of the offset and data length -- cannot
// exceed 2^62-1 [...]. Receipt of a frame that exceeds this limit MUST be treated as a connection
// error of type FRAME_ENCODING_ERROR or FLOW_CONTROL_ERROR."
// https://www.rfc-editor.org/rfc/rfc9000#section-19.8-9
func ConsumeStream(b []byte) (f Stream, n int) {
	r := reader{b: b}
	t := r.varint()
	f.Fin, f.ToEnd = t&1 != 0, t&2 == 0
	f.ID = r.varint()
	if t&4 != 0 {
		f.Offset = r.varint()
	}
	length := uint64(len(b) - r.n)
	if !f.ToEnd {
		length = r.varint()
	}
	f.Data = r.bytes(length)
	if f.Offset+uint64(len(f.Data)) > varint.Max {
		return f, -1
	}
	return f, r.done()
}

// Overhead returns the number of bytes that Append adds to n bytes of data.
func (f Stream) Overhead(n int) int {
	size := 1 + varint.Size(f.ID)
	if f.Offset > 0 {
		size += varint.Size(f.Offset)
	}
	if !f.ToEnd {
		size += varint.Size(uint64(n))
	}
	return size
}

// Size is the length that Append adds.
func (f Stream) Size() int { return f.Overhead(len(f.Data)) + len(f.Data) }

// Append appends the frame.
func (f Stream) Append(b []byte) []byte {
	return append(f.AppendHeader(b, len(f.Data)), f.Data...)
}

// AppendHeader appends the frame without its n bytes of data.
func (f Stream) AppendHeader(b []byte, n int) []byte {
	t := FrameStream
	if f.Fin {
		t |= 1
	}
	if !f.ToEnd {
		t |= 2
	}
	if f.Offset > 0 {
		t |= 4
	}
	b = varint.Append(append(b, byte(t)), f.ID)
	if f.Offset > 0 {
		b = varint.Append(b, f.Offset)
	}
	if !f.ToEnd {
		b = varint.Append(b, uint64(n))
	}
	return b
}

// Datagram is a DATAGRAM frame of either type. Data is borrowed.
type Datagram struct {
	Data []byte
	// ToEnd reports whether the frame has no length and fills the rest of its packet.
	ToEnd bool
}

// ConsumeDatagram parses a DATAGRAM frame.
//
// "The least significant bit of the Type field in the DATAGRAM frame is the LEN bit (0x01), which
// indicates whether there is a Length field present: if this bit is set to 0, the Length field is absent
// and the Datagram Data field extends to the end of the packet".
// https://www.rfc-editor.org/rfc/rfc9221#section-4-1
func ConsumeDatagram(b []byte) (f Datagram, n int) {
	r := reader{b: b}
	f.ToEnd = r.varint() == FrameDatagram
	length := uint64(len(b) - r.n)
	if !f.ToEnd {
		length = r.varint()
	}
	f.Data = r.bytes(length)
	return f, r.done()
}

// Size is the length that Append adds.
func (f Datagram) Size() int {
	if f.ToEnd {
		return 1 + len(f.Data)
	}
	return 1 + varint.Size(uint64(len(f.Data))) + len(f.Data)
}

// Append appends the frame.
func (f Datagram) Append(b []byte) []byte {
	if f.ToEnd {
		return append(append(b, byte(FrameDatagram)), f.Data...)
	}
	return append(varint.Append(append(b, byte(FrameDatagramLen)), uint64(len(f.Data))), f.Data...)
}

// NewToken is a NEW_TOKEN frame. Token is borrowed.
type NewToken struct {
	Token []byte
}

// ConsumeNewToken parses a NEW_TOKEN frame.
//
// "A client MUST treat receipt of a NEW_TOKEN frame with an empty Token field as a connection error
// of type FRAME_ENCODING_ERROR."
// https://www.rfc-editor.org/rfc/rfc9000#section-19.7-5.4.1
func ConsumeNewToken(b []byte) (f NewToken, n int) {
	r := reader{b: b}
	r.varint()
	f.Token = r.bytes(r.varint())
	if len(f.Token) == 0 {
		return f, -1
	}
	return f, r.done()
}

// Size is the length that Append adds.
func (f NewToken) Size() int { return 1 + varint.Size(uint64(len(f.Token))) + len(f.Token) }

// Append appends the frame.
func (f NewToken) Append(b []byte) []byte {
	return append(varint.Append(append(b, byte(FrameNewToken)), uint64(len(f.Token))), f.Token...)
}

// ConnectionClose is a CONNECTION_CLOSE frame of either type. Reason is borrowed and may contain any bytes.
type ConnectionClose struct {
	Application bool
	Code        uint64
	FrameType   uint64 // 0 for an application's error
	Reason      []byte
}

// ConsumeConnectionClose parses a CONNECTION_CLOSE frame.
func ConsumeConnectionClose(b []byte) (f ConnectionClose, n int) {
	r := reader{b: b}
	f.Application = r.varint() == FrameConnectionCloseApp
	f.Code = r.varint()
	if !f.Application {
		f.FrameType = r.varint()
	}
	f.Reason = r.bytes(r.varint())
	return f, r.done()
}

// Size is the length that Append adds.
func (f ConnectionClose) Size() int {
	n := 1 + varint.Size(f.Code) + varint.Size(uint64(len(f.Reason))) + len(f.Reason)
	if !f.Application {
		n += varint.Size(f.FrameType)
	}
	return n
}

// Append appends the frame.
func (f ConnectionClose) Append(b []byte) []byte {
	if f.Application {
		b = varint.Append(append(b, byte(FrameConnectionCloseApp)), f.Code)
	} else {
		b = varint.Append(append(b, byte(FrameConnectionClose)), f.Code)
		b = varint.Append(b, f.FrameType)
	}
	return append(varint.Append(b, uint64(len(f.Reason))), f.Reason...)
}
