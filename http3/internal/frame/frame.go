// Package frame encodes and parses what HTTP/3 sends on streams besides field sections: headers of frames, SETTINGS, types,
// error codes, and the headers of capsules and HTTP datagrams. It works on bytes and has no state.
package frame

import (
	"fmt"

	"github.com/pqquic/pqquic/internal/varint"
)

// The types of frames (RFC 9114, 7.2, and RFC 9218, 7.2).
const (
	Data                  = 0x0
	Headers               = 0x1
	CancelPush            = 0x3
	Settings              = 0x4
	PushPromise           = 0x5
	GoAway                = 0x7
	MaxPushID             = 0xd
	PriorityUpdateRequest = 0xf0700
	PriorityUpdatePush    = 0xf0701
)

// The types of unidirectional streams (RFC 9114, 6.2, and RFC 9204, 4.2).
const (
	StreamControl      = 0x0
	StreamPush         = 0x1
	StreamQPACKEncoder = 0x2
	StreamQPACKDecoder = 0x3
)

// The error codes of RFC 9114, 8.1, and RFC 9297, 5.2. Package qpack has its own.
const (
	NoError              = 0x100
	GeneralProtocolError = 0x101
	InternalError        = 0x102
	StreamCreationError  = 0x103
	ClosedCriticalStream = 0x104
	FrameUnexpected      = 0x105
	FrameError           = 0x106
	ExcessiveLoad        = 0x107
	IDError              = 0x108
	SettingsError        = 0x109
	MissingSettings      = 0x10a
	RequestRejected      = 0x10b
	RequestCancelled     = 0x10c
	RequestIncomplete    = 0x10d
	MessageError         = 0x10e
	ConnectError         = 0x10f
	VersionFallback      = 0x110
	DatagramError        = 0x33
)

// An Error is a violation of the protocol by the peer, with the code with which the connection is closed.
type Error struct {
	Code uint64
	Text string
}

func (e *Error) Error() string { return e.Text }

func errorf(code uint64, format string, args ...any) error {
	return &Error{Code: code, Text: fmt.Sprintf(format, args...)}
}

// A Header is the header of a frame, or of a capsule, which has the same form.
type Header struct{ Type, Length uint64 }

// MaxHeader is the length of the longest header.
const MaxHeader = 16

// ParseHeader parses the header of a frame. n is its length, or -1 if b is too short.
//
//	HTTP/3 Frame Format {
//	  Type (i),
//	  Length (i),
//	  Frame Payload (..),
//	}
func ParseHeader(b []byte) (h Header, n int) {
	if len(b) >= 2 && b[0] < 1<<6 && b[1] < 1<<6 { // most headers
		return Header{uint64(b[0]), uint64(b[1])}, 2
	}
	typ, n := varint.Consume(b)
	if n < 0 {
		return h, -1
	}
	length, m := varint.Consume(b[n:])
	if m < 0 {
		return h, -1
	}
	return Header{typ, length}, n + m
}

// AppendHeader appends the header of a frame.
func AppendHeader(b []byte, typ, length uint64) []byte {
	return varint.Append(varint.Append(b, typ), length)
}

// AppendInt appends a frame whose payload is an integer, such as GOAWAY.
func AppendInt(b []byte, typ, v uint64) []byte {
	size := len(varint.Append(make([]byte, 0, 8), v))
	return varint.Append(AppendHeader(b, typ, uint64(size)), v)
}

// ParseInt parses the payload of a frame that consists of an integer.
func ParseInt(payload []byte) (uint64, error) {
	// "A frame payload that contains additional bytes after the identified fields or a frame payload that terminates before
	// the end of the identified fields MUST be treated as a connection error of type H3_FRAME_ERROR."
	// https://www.rfc-editor.org/rfc/rfc9114#section-7.1-5
	v, n := varint.Consume(payload)
	if n != len(payload) {
		return 0, errorf(FrameError, "the payload of a frame has %d bytes, which are not one integer", len(payload))
	}
	return v, nil
}

// IsReserved reports whether a type of a frame or stream, a setting or an error code is reserved to be ignored.
func IsReserved(v uint64) bool { return v >= 0x21 && (v-0x21)%0x1f == 0 }

// IsHTTP2 reports whether a type of frame is one of HTTP/2 that HTTP/3 does not have: PRIORITY, PING, WINDOW_UPDATE or
// CONTINUATION.
func IsHTTP2(typ uint64) bool { return typ == 0x2 || typ == 0x6 || typ == 0x8 || typ == 0x9 }

// ControlOnly reports whether a type of frame is allowed on control streams only.
func ControlOnly(typ uint64) bool {
	switch typ {
	case CancelPush, Settings, GoAway, MaxPushID, PriorityUpdateRequest, PriorityUpdatePush:
		return true
	}
	return false
}

// ParsePriorityUpdate parses the payload of a PRIORITY_UPDATE frame.
func ParsePriorityUpdate(payload []byte) (id uint64, value []byte, err error) {
	id, n := varint.Consume(payload)
	if n < 0 {
		return 0, nil, errorf(FrameError, "PRIORITY_UPDATE has %d bytes, which is no stream ID", len(payload))
	}
	return id, payload[n:], nil
}

// maxQuarter is the largest quarter stream ID.
const maxQuarter = 1<<60 - 1

// ParseDatagram parses an HTTP datagram in a QUIC datagram, and returns the ID of its stream.
func ParseDatagram(b []byte) (stream uint64, payload []byte, err error) {
	quarter, n := varint.Consume(b)
	switch {
	case n < 0:
		// "Receipt of a QUIC DATAGRAM frame whose payload is too short to allow parsing the Quarter Stream ID field MUST be
		// treated as an HTTP/3 connection error of type H3_DATAGRAM_ERROR (0x33)."
		// https://www.rfc-editor.org/rfc/rfc9297#section-2.1-4
		return 0, nil, errorf(DatagramError, "a datagram of %d bytes has no quarter stream ID", len(b))
	case quarter > maxQuarter:
		// "Receipt of an HTTP/3 Datagram that includes a larger value MUST be treated as an HTTP/3 connection error of type
		// H3_DATAGRAM_ERROR (0x33)."
		// https://www.rfc-editor.org/rfc/rfc9297#section-2.1-3.2
		return 0, nil, errorf(DatagramError, "quarter stream ID %d exceeds 2^60-1", quarter)
	}
	return quarter * 4, b[n:], nil
}
