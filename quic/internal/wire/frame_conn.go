package wire

import "github.com/pqquic/pqquic/internal/varint"

// NewConnectionID is a NEW_CONNECTION_ID frame.
type NewConnectionID struct {
	Seq, RetirePriorTo uint64
	ConnID             ConnID
	ResetToken         [16]byte
}

// ConsumeNewConnectionID parses a NEW_CONNECTION_ID frame.
func ConsumeNewConnectionID(b []byte) (f NewConnectionID, n int) {
	r := reader{b: b}
	r.varint()
	f.Seq, f.RetirePriorTo = r.varint(), r.varint()
	id := r.bytes(uint64(r.byte()))
	token := r.bytes(16)
	// "Values less than 1 and greater than 20 are invalid and MUST be treated as a connection
	// error of type FRAME_ENCODING_ERROR."
	// https://www.rfc-editor.org/rfc/rfc9000#section-19.15-5.6.1
	var ok bool
	if f.ConnID, ok = MakeConnID(id); !ok || len(id) == 0 {
		return f, -1
	}
	// "Receiving a value in the Retire Prior To field that is greater than that in the Sequence
	// Number field MUST be treated as a connection error of type FRAME_ENCODING_ERROR."
	// https://www.rfc-editor.org/rfc/rfc9000#section-19.15-9
	if f.RetirePriorTo > f.Seq {
		return f, -1
	}
	copy(f.ResetToken[:], token)
	return f, r.done()
}

// Size is the length that Append adds.
func (f NewConnectionID) Size() int {
	return 1 + varint.Size(f.Seq) + varint.Size(f.RetirePriorTo) + 1 + f.ConnID.Len() + 16
}

// Append appends the frame.
func (f NewConnectionID) Append(b []byte) []byte {
	b = appendVarints(b, FrameNewConnectionID, f.Seq, f.RetirePriorTo)
	b = f.ConnID.AppendTo(append(b, byte(f.ConnID.Len())))
	return append(b, f.ResetToken[:]...)
}

// RetireConnectionID is a RETIRE_CONNECTION_ID frame.
type RetireConnectionID struct{ Seq uint64 }

// ConsumeRetireConnectionID parses a RETIRE_CONNECTION_ID frame.
func ConsumeRetireConnectionID(b []byte) (f RetireConnectionID, n int) {
	r := reader{b: b}
	r.varint()
	f.Seq = r.varint()
	return f, r.done()
}

// Size is the length that Append adds.
func (f RetireConnectionID) Size() int { return 1 + varint.Size(f.Seq) }

// Append appends the frame.
func (f RetireConnectionID) Append(b []byte) []byte {
	return appendVarints(b, FrameRetireConnectionID, f.Seq)
}

// PathChallenge is a PATH_CHALLENGE frame.
type PathChallenge struct{ Data [8]byte }

// ConsumePathChallenge parses a PATH_CHALLENGE frame.
func ConsumePathChallenge(b []byte) (f PathChallenge, n int) {
	f.Data, n = consumePathData(b)
	return f, n
}

// Size is the length that Append adds.
func (f PathChallenge) Size() int { return 9 }

// Append appends the frame.
func (f PathChallenge) Append(b []byte) []byte {
	return append(append(b, byte(FramePathChallenge)), f.Data[:]...)
}

// PathResponse is a PATH_RESPONSE frame.
type PathResponse struct{ Data [8]byte }

// ConsumePathResponse parses a PATH_RESPONSE frame.
func ConsumePathResponse(b []byte) (f PathResponse, n int) {
	f.Data, n = consumePathData(b)
	return f, n
}

// Size is the length that Append adds.
func (f PathResponse) Size() int { return 9 }

// Append appends the frame.
func (f PathResponse) Append(b []byte) []byte {
	return append(append(b, byte(FramePathResponse)), f.Data[:]...)
}

// AckFrequency is an ACK_FREQUENCY frame (draft-ietf-quic-ack-frequency).
type AckFrequency struct {
	Seq        uint64
	Threshold  uint64 // Ack-Eliciting Threshold
	MaxDelay   uint64 // Requested Max Ack Delay, in microseconds
	Reordering uint64 // Reordering Threshold
}

// ConsumeAckFrequency parses an ACK_FREQUENCY frame.
func ConsumeAckFrequency(b []byte) (f AckFrequency, n int) {
	r := reader{b: b}
	r.varint()
	f.Seq, f.Threshold, f.MaxDelay, f.Reordering = r.varint(), r.varint(), r.varint(), r.varint()
	return f, r.done()
}

// Size is the length that Append adds.
func (f AckFrequency) Size() int {
	return 2 + varint.Size(f.Seq) + varint.Size(f.Threshold) + varint.Size(f.MaxDelay) + varint.Size(f.Reordering)
}

// Append appends the frame.
func (f AckFrequency) Append(b []byte) []byte {
	return appendVarints(b, FrameAckFrequency, f.Seq, f.Threshold, f.MaxDelay, f.Reordering)
}

// ImmediateAck is an IMMEDIATE_ACK frame (draft-ietf-quic-ack-frequency).
type ImmediateAck struct{}

// Size is the length that Append adds.
func (f ImmediateAck) Size() int { return 1 }

// Append appends the frame.
func (f ImmediateAck) Append(b []byte) []byte { return append(b, byte(FrameImmediateAck)) }

func consumePathData(b []byte) (data [8]byte, n int) {
	if len(b) < 9 {
		return data, -1
	}
	copy(data[:], b[1:9])
	return data, 9
}
