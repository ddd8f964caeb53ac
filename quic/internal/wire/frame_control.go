package wire

import "github.com/pqquic/pqquic/internal/varint"

// ResetStream is a RESET_STREAM frame.
type ResetStream struct {
	ID, Code, FinalSize uint64
}

// ConsumeResetStream parses a RESET_STREAM frame.
func ConsumeResetStream(b []byte) (f ResetStream, n int) {
	r := reader{b: b}
	r.varint()
	f.ID, f.Code, f.FinalSize = r.varint(), r.varint(), r.varint()
	return f, r.done()
}

// Size is the length that Append adds.
func (f ResetStream) Size() int {
	return 1 + varint.Size(f.ID) + varint.Size(f.Code) + varint.Size(f.FinalSize)
}

// Append appends the frame.
func (f ResetStream) Append(b []byte) []byte {
	return appendVarints(b, FrameResetStream, f.ID, f.Code, f.FinalSize)
}

// ResetStreamAt is a RESET_STREAM_AT frame (draft-ietf-quic-reliable-stream-reset).
type ResetStreamAt struct {
	ID, Code, FinalSize, ReliableSize uint64
}

// ConsumeResetStreamAt parses a RESET_STREAM_AT frame.
//
// "If the Reliable Size is larger than the Final Size, the receiver MUST close the connection with a connection
// error of type FRAME_ENCODING_ERROR." (draft-ietf-quic-reliable-stream-reset, RESET_STREAM_AT Frame)
func ConsumeResetStreamAt(b []byte) (f ResetStreamAt, n int) {
	r := reader{b: b}
	r.varint()
	f.ID, f.Code, f.FinalSize, f.ReliableSize = r.varint(), r.varint(), r.varint(), r.varint()
	if f.ReliableSize > f.FinalSize {
		return f, -1
	}
	return f, r.done()
}

// Size is the length that Append adds.
func (f ResetStreamAt) Size() int {
	return 1 + varint.Size(f.ID) + varint.Size(f.Code) + varint.Size(f.FinalSize) + varint.Size(f.ReliableSize)
}

// Append appends the frame.
func (f ResetStreamAt) Append(b []byte) []byte {
	return appendVarints(b, FrameResetStreamAt, f.ID, f.Code, f.FinalSize, f.ReliableSize)
}

// StopSending is a STOP_SENDING frame.
type StopSending struct {
	ID, Code uint64
}

// ConsumeStopSending parses a STOP_SENDING frame.
func ConsumeStopSending(b []byte) (f StopSending, n int) {
	r := reader{b: b}
	r.varint()
	f.ID, f.Code = r.varint(), r.varint()
	return f, r.done()
}

// Size is the length that Append adds.
func (f StopSending) Size() int { return 1 + varint.Size(f.ID) + varint.Size(f.Code) }

// Append appends the frame.
func (f StopSending) Append(b []byte) []byte { return appendVarints(b, FrameStopSending, f.ID, f.Code) }

// MaxData is a MAX_DATA frame.
type MaxData struct{ Max uint64 }

// ConsumeMaxData parses a MAX_DATA frame.
func ConsumeMaxData(b []byte) (f MaxData, n int) {
	r := reader{b: b}
	r.varint()
	f.Max = r.varint()
	return f, r.done()
}

// Size is the length that Append adds.
func (f MaxData) Size() int { return 1 + varint.Size(f.Max) }

// Append appends the frame.
func (f MaxData) Append(b []byte) []byte { return appendVarints(b, FrameMaxData, f.Max) }

// MaxStreamData is a MAX_STREAM_DATA frame.
type MaxStreamData struct{ ID, Max uint64 }

// ConsumeMaxStreamData parses a MAX_STREAM_DATA frame.
func ConsumeMaxStreamData(b []byte) (f MaxStreamData, n int) {
	r := reader{b: b}
	r.varint()
	f.ID, f.Max = r.varint(), r.varint()
	return f, r.done()
}

// Size is the length that Append adds.
func (f MaxStreamData) Size() int { return 1 + varint.Size(f.ID) + varint.Size(f.Max) }

// Append appends the frame.
func (f MaxStreamData) Append(b []byte) []byte {
	return appendVarints(b, FrameMaxStreamData, f.ID, f.Max)
}

// maxStreams is the maximum number of streams of a type.
const maxStreams = 1 << 60

// MaxStreams is a MAX_STREAMS frame of either type.
type MaxStreams struct {
	Uni bool
	Max uint64
}

// ConsumeMaxStreams parses a MAX_STREAMS frame.
//
// "This value cannot exceed 2^60 [...]. Receipt of a frame that permits opening of a stream larger
// than this limit MUST be treated as a connection error of type FRAME_ENCODING_ERROR."
// https://www.rfc-editor.org/rfc/rfc9000#section-19.11-5.2.1
// "If either is received, the connection MUST be closed immediately with a connection error of type
// TRANSPORT_PARAMETER_ERROR if the offending value was received in a transport parameter or of type
// FRAME_ENCODING_ERROR if it was received in a frame"
// https://www.rfc-editor.org/rfc/rfc9000#section-4.6-2
func ConsumeMaxStreams(b []byte) (f MaxStreams, n int) {
	r := reader{b: b}
	f.Uni = r.varint() == FrameMaxStreamsUni
	if f.Max = r.varint(); f.Max > maxStreams {
		return f, -1
	}
	return f, r.done()
}

// Size is the length that Append adds.
func (f MaxStreams) Size() int { return 1 + varint.Size(f.Max) }

// Append appends the frame.
func (f MaxStreams) Append(b []byte) []byte {
	return appendVarints(b, uniType(FrameMaxStreamsBidi, f.Uni), f.Max)
}

// DataBlocked is a DATA_BLOCKED frame.
type DataBlocked struct{ Limit uint64 }

// ConsumeDataBlocked parses a DATA_BLOCKED frame.
func ConsumeDataBlocked(b []byte) (f DataBlocked, n int) {
	r := reader{b: b}
	r.varint()
	f.Limit = r.varint()
	return f, r.done()
}

// Size is the length that Append adds.
func (f DataBlocked) Size() int { return 1 + varint.Size(f.Limit) }

// Append appends the frame.
func (f DataBlocked) Append(b []byte) []byte { return appendVarints(b, FrameDataBlocked, f.Limit) }

// StreamDataBlocked is a STREAM_DATA_BLOCKED frame.
type StreamDataBlocked struct{ ID, Limit uint64 }

// ConsumeStreamDataBlocked parses a STREAM_DATA_BLOCKED frame.
func ConsumeStreamDataBlocked(b []byte) (f StreamDataBlocked, n int) {
	r := reader{b: b}
	r.varint()
	f.ID, f.Limit = r.varint(), r.varint()
	return f, r.done()
}

// Size is the length that Append adds.
func (f StreamDataBlocked) Size() int { return 1 + varint.Size(f.ID) + varint.Size(f.Limit) }

// Append appends the frame.
func (f StreamDataBlocked) Append(b []byte) []byte {
	return appendVarints(b, FrameStreamDataBlocked, f.ID, f.Limit)
}

// StreamsBlocked is a STREAMS_BLOCKED frame of either type.
type StreamsBlocked struct {
	Uni   bool
	Limit uint64
}

// ConsumeStreamsBlocked parses a STREAMS_BLOCKED frame.
//
// "This value cannot exceed 2^60 [...]. Receipt of a frame that encodes a larger stream ID MUST be
// treated as a connection error of type STREAM_LIMIT_ERROR or FRAME_ENCODING_ERROR."
// https://www.rfc-editor.org/rfc/rfc9000#section-19.14-6.2.1
func ConsumeStreamsBlocked(b []byte) (f StreamsBlocked, n int) {
	r := reader{b: b}
	f.Uni = r.varint() == FrameStreamsBlockedUni
	if f.Limit = r.varint(); f.Limit > maxStreams {
		return f, -1
	}
	return f, r.done()
}

// Size is the length that Append adds.
func (f StreamsBlocked) Size() int { return 1 + varint.Size(f.Limit) }

// Append appends the frame.
func (f StreamsBlocked) Append(b []byte) []byte {
	return appendVarints(b, uniType(FrameStreamsBlockedBidi, f.Uni), f.Limit)
}

func uniType(bidi uint64, uni bool) uint64 {
	if uni {
		return bidi + 1
	}
	return bidi
}

func appendVarints(b []byte, vs ...uint64) []byte {
	for _, v := range vs {
		b = varint.Append(b, v)
	}
	return b
}
