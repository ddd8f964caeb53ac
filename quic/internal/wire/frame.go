package wire

// A Frame is any frame. It is for tests and logs: code that sends and receives uses the concrete types,
// which do not allocate.
type Frame interface {
	// Append appends the encoded frame, which has Size bytes.
	Append(b []byte) []byte
	Size() int
	String() string
}

// ParseFrame parses the frame at the beginning of b, the rest of a packet's payload. n is -1 if the frame
// is malformed or its type is unknown. A run of PADDING is one frame. The result borrows from b.
func ParseFrame(b []byte) (f Frame, n int) {
	t, n := ConsumeFrameType(b)
	if n < 0 || !FrameKnown(t) {
		return nil, -1
	}
	switch t {
	case FramePadding:
		return sized(ConsumePadding(b))
	case FramePing:
		return Ping{}, 1
	case FrameAck, FrameAckECN:
		return sized(ConsumeAck(b))
	case FrameResetStream:
		return sized(ConsumeResetStream(b))
	case FrameStopSending:
		return sized(ConsumeStopSending(b))
	case FrameCrypto:
		return sized(ConsumeCrypto(b))
	case FrameNewToken:
		return sized(ConsumeNewToken(b))
	case FrameMaxData:
		return sized(ConsumeMaxData(b))
	case FrameMaxStreamData:
		return sized(ConsumeMaxStreamData(b))
	case FrameMaxStreamsBidi, FrameMaxStreamsUni:
		return sized(ConsumeMaxStreams(b))
	case FrameDataBlocked:
		return sized(ConsumeDataBlocked(b))
	case FrameStreamDataBlocked:
		return sized(ConsumeStreamDataBlocked(b))
	case FrameStreamsBlockedBidi, FrameStreamsBlockedUni:
		return sized(ConsumeStreamsBlocked(b))
	case FrameNewConnectionID:
		return sized(ConsumeNewConnectionID(b))
	case FrameRetireConnectionID:
		return sized(ConsumeRetireConnectionID(b))
	case FramePathChallenge:
		return sized(ConsumePathChallenge(b))
	case FramePathResponse:
		return sized(ConsumePathResponse(b))
	case FrameConnectionClose, FrameConnectionCloseApp:
		return sized(ConsumeConnectionClose(b))
	case FrameHandshakeDone:
		return HandshakeDone{}, 1
	case FrameImmediateAck:
		return ImmediateAck{}, 1
	case FrameAckFrequency:
		return sized(ConsumeAckFrequency(b))
	case FrameResetStreamAt:
		return sized(ConsumeResetStreamAt(b))
	case FrameDatagram, FrameDatagramLen:
		return sized(ConsumeDatagram(b))
	}
	return sized(ConsumeStream(b)) // 0x08 to 0x0f
}

// sized returns a nil Frame if n is -1.
func sized[F Frame](f F, n int) (Frame, int) {
	if n < 0 {
		return nil, -1
	}
	return f, n
}

// Padding is a run of PADDING frames.
type Padding struct {
	N int // the number of frames, each of one byte
}

// ConsumePadding parses all PADDING frames at the beginning of b.
func ConsumePadding(b []byte) (f Padding, n int) {
	for n < len(b) && b[n] == byte(FramePadding) {
		n++
	}
	if n == 0 {
		return f, -1
	}
	return Padding{n}, n
}

// Size is the length that Append adds.
func (f Padding) Size() int { return f.N }

// Append appends the frames.
func (f Padding) Append(b []byte) []byte {
	for range f.N {
		b = append(b, byte(FramePadding))
	}
	return b
}

// Ping is a PING frame.
type Ping struct{}

// Size is the length that Append adds.
func (f Ping) Size() int { return 1 }

// Append appends the frame.
func (f Ping) Append(b []byte) []byte { return append(b, byte(FramePing)) }

// HandshakeDone is a HANDSHAKE_DONE frame.
type HandshakeDone struct{}

// Size is the length that Append adds.
func (f HandshakeDone) Size() int { return 1 }

// Append appends the frame.
func (f HandshakeDone) Append(b []byte) []byte { return append(b, byte(FrameHandshakeDone)) }
