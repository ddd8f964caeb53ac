package streams

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// HandleFrame processes a frame about streams or flow control, of type t, at the beginning of b. It returns
// the frame's length, or -1 if it is malformed. b is borrowed. The error is an *Error.
func (s *Set) HandleFrame(now monotime.Time, rtt time.Duration, t uint64, b []byte) (n int, err error) {
	s.setTime(now)
	switch t {
	case wire.FrameResetStream:
		var f wire.ResetStream
		if f, n = wire.ConsumeResetStream(b); n > 0 {
			err = s.handleReset(f)
		}
	case wire.FrameResetStreamAt:
		var f wire.ResetStreamAt
		if f, n = wire.ConsumeResetStreamAt(b); n > 0 {
			err = s.handleResetAt(f)
		}
	case wire.FrameStopSending:
		var f wire.StopSending
		if f, n = wire.ConsumeStopSending(b); n > 0 {
			err = s.handleStopSending(f)
		}
	case wire.FrameMaxData:
		var f wire.MaxData
		if f, n = wire.ConsumeMaxData(b); n > 0 {
			s.raiseSendMax(int64(f.Max))
		}
	case wire.FrameMaxStreamData:
		var f wire.MaxStreamData
		if f, n = wire.ConsumeMaxStreamData(b); n > 0 {
			err = s.handleMaxStreamData(f)
		}
	case wire.FrameMaxStreamsBidi, wire.FrameMaxStreamsUni:
		var f wire.MaxStreams
		if f, n = wire.ConsumeMaxStreams(b); n > 0 {
			s.local[typeIndex(f.Uni)].raise(int64(f.Max))
			s.releaseStreams()
		}
	// "[A] receiver MUST NOT wait for a STREAM_DATA_BLOCKED or DATA_BLOCKED frame before sending
	// a MAX_STREAM_DATA or MAX_DATA frame". We send these when they are due, and not before.
	// https://www.rfc-editor.org/rfc/rfc9000#section-4.2-5
	case wire.FrameDataBlocked:
		if _, n = wire.ConsumeDataBlocked(b); n > 0 {
			s.stats.PeerBlockedByConn++
		}
	case wire.FrameStreamDataBlocked:
		var f wire.StreamDataBlocked
		if f, n = wire.ConsumeStreamDataBlocked(b); n > 0 {
			_, err = s.receivingStream(ID(f.ID))
			s.stats.PeerBlockedByStream++
		}
	case wire.FrameStreamsBlockedBidi, wire.FrameStreamsBlockedUni:
		var f wire.StreamsBlocked
		if f, n = wire.ConsumeStreamsBlocked(b); n > 0 {
			s.remote[typeIndex(f.Uni)].handleBlocked(int64(f.Limit))
			s.stats.PeerBlockedByStreamLimit++
		}
	default:
		var f wire.Stream
		if f, n = wire.ConsumeStream(b); n > 0 {
			err = s.handleStream(f)
		}
	}
	return n, err
}

// receivingStream returns the stream of a frame for our receiving part, or nil if the stream has been
// freed.
//
// "An endpoint that receives a RESET_STREAM frame for a send-only stream MUST terminate the
// connection with error STREAM_STATE_ERROR." The same goes for STREAM and STREAM_DATA_BLOCKED.
// https://www.rfc-editor.org/rfc/rfc9000#section-19.4-3
func (s *Set) receivingStream(id ID) (*stream, error) {
	if id.Uni() && id.Initiator() == s.side {
		return nil, &Error{wire.StreamStateError, "frame of a stream's sender from the peer, which only receives on it"}
	}
	st, err := s.openedStream(id)
	if st == nil || st.recv.done {
		return nil, err
	}
	return st, nil
}

// sendingStream returns the stream of a frame for our sending part, or nil if the stream has been freed.
//
// "An endpoint that receives a STOP_SENDING frame for a receive-only stream MUST terminate the
// connection with error STREAM_STATE_ERROR." The same goes for MAX_STREAM_DATA.
// https://www.rfc-editor.org/rfc/rfc9000#section-19.5-2
func (s *Set) sendingStream(id ID) (*stream, error) {
	if id.Uni() && id.Initiator() != s.side {
		return nil, &Error{wire.StreamStateError, "frame of a stream's receiver from the peer, which only sends on it"}
	}
	st, err := s.openedStream(id)
	if st == nil || st.send.done {
		return nil, err
	}
	return st, nil
}

// openedStream returns the stream of a frame, or nil if it has been freed. It opens a stream of the peer if
// necessary.
func (s *Set) openedStream(id ID) (*stream, error) {
	k := typeIndex(id.Uni())
	if id.Initiator() == s.side {
		// "An endpoint MUST terminate the connection with error STREAM_STATE_ERROR if it
		// receives a STREAM frame for a locally initiated stream that has not yet been
		// created, or for a send-only stream."
		// https://www.rfc-editor.org/rfc/rfc9000#section-19.8-3
		if id.Num() >= s.local[k].opened {
			return nil, &Error{wire.StreamStateError, "frame for a stream that only we can open and have not opened"}
		}
		return s.find(id), nil
	}
	r := &s.remote[k]
	// "An endpoint that receives a frame with a stream ID exceeding the limit it has sent MUST
	// treat this as a connection error of type STREAM_LIMIT_ERROR".
	// https://www.rfc-editor.org/rfc/rfc9000#section-4.6-3
	if id.Num() >= r.limit {
		return nil, &Error{wire.StreamLimitError, "more streams than allowed"}
	}
	// "Before a stream is created, all streams of the same type with lower-numbered stream IDs
	// MUST be created."
	// https://www.rfc-editor.org/rfc/rfc9000#section-3.2-6
	for ; r.opened <= id.Num(); r.opened++ {
		s.add(MakeID(id.Initiator(), id.Uni(), r.opened))
	}
	return s.find(id), nil
}
