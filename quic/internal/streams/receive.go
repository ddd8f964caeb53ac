package streams

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// maxGaps bounds the holes in a stream's received bytes, and so the work for each frame.
const maxGaps = 1000

// HandleFrame processes the frame of type t that b begins with, one about streams or flow control.
// It returns the frame's length, -1 if it is malformed, or an *Error.
func (s *Set) HandleFrame(now monotime.Time, rtt time.Duration, t uint64, b []byte) (n int, err error) {
	switch t {
	case wire.FrameResetStream:
		var f wire.ResetStream
		if f, n = wire.ConsumeResetStream(b); n > 0 {
			err = s.handleReset(now, rtt, f)
		}
	case wire.FrameStopSending:
		var f wire.StopSending
		if f, n = wire.ConsumeStopSending(b); n > 0 {
			err = s.handleStopSending(f)
		}
	case wire.FrameMaxData:
		var f wire.MaxData
		if f, n = wire.ConsumeMaxData(b); n > 0 {
			s.handleMaxData(f)
		}
	case wire.FrameMaxStreamData:
		var f wire.MaxStreamData
		if f, n = wire.ConsumeMaxStreamData(b); n > 0 {
			err = s.handleMaxStreamData(f)
		}
	case wire.FrameMaxStreamsBidi, wire.FrameMaxStreamsUni:
		var f wire.MaxStreams
		if f, n = wire.ConsumeMaxStreams(b); n > 0 {
			s.handleMaxStreams(f)
		}
	case wire.FrameDataBlocked:
		_, n = wire.ConsumeDataBlocked(b)
	case wire.FrameStreamDataBlocked:
		var f wire.StreamDataBlocked
		if f, n = wire.ConsumeStreamDataBlocked(b); n > 0 {
			_, err = s.receiving(ID(f.ID))
		}
	case wire.FrameStreamsBlockedBidi, wire.FrameStreamsBlockedUni:
		_, n = wire.ConsumeStreamsBlocked(b)
	default:
		var f wire.Stream
		if f, n = wire.ConsumeStream(b); n > 0 {
			err = s.handleStream(now, rtt, f)
		}
	}
	return n, err
}

// peerOpened makes sure that a stream of the peer's exists, with all those before it.
//
// "[...] opening a stream causes all lower-numbered streams of the same type [...] to open."
// https://www.rfc-editor.org/rfc/rfc9000#section-3.2-6
func (s *Set) peerOpened(id ID) error {
	r := &s.remote[kind(id.Uni())]
	// "An endpoint MUST NOT exceed the limit set by its peer. An endpoint that receives a frame
	// with a stream ID exceeding the limit it has sent MUST treat this as a connection error of
	// type STREAM_LIMIT_ERROR".
	// https://www.rfc-editor.org/rfc/rfc9000#section-4.6-3
	if id.Num() >= r.max {
		return &Error{wire.StreamLimitError, "too many streams"}
	}
	for ; r.opened <= id.Num(); r.opened++ {
		s.add(MakeID(id.Initiator(), id.Uni(), r.opened)).report(EventOpened)
	}
	return nil
}

// receiving returns the stream that a frame for its receiving half names; nil if it is over.
func (s *Set) receiving(id ID) (*stream, error) {
	if id.Initiator() == s.side {
		if id.Uni() {
			return nil, &Error{wire.StreamStateError, "frame for a send-only stream"}
		}
		return s.own(id)
	}
	if err := s.peerOpened(id); err != nil {
		return nil, err
	}
	return s.streams[id], nil
}

// sending is receiving for the sending half.
func (s *Set) sending(id ID) (*stream, error) {
	if id.Initiator() == s.side {
		return s.own(id)
	}
	if id.Uni() {
		return nil, &Error{wire.StreamStateError, "frame for a receive-only stream"}
	}
	if err := s.peerOpened(id); err != nil {
		return nil, err
	}
	return s.streams[id], nil
}

// own returns a stream that we opened.
//
// "An endpoint MUST terminate the connection with error STREAM_STATE_ERROR if it receives a STREAM
// frame for a locally initiated stream that has not yet been created".
// https://www.rfc-editor.org/rfc/rfc9000#section-19.8-3
func (s *Set) own(id ID) (*stream, error) {
	if id.Num() >= s.local[kind(id.Uni())].opened {
		return nil, &Error{wire.StreamStateError, "frame for a stream that was not opened"}
	}
	return s.streams[id], nil
}

func (s *Set) handleStream(now monotime.Time, rtt time.Duration, f wire.Stream) error {
	st, err := s.receiving(ID(f.ID))
	if err != nil || st == nil || !st.recv.open {
		return err
	}
	r := &st.recv
	start, end := int64(f.Offset), int64(f.Offset)+int64(len(f.Data))
	if err := s.checkFinal(st, end, f.Fin); err != nil {
		return err
	}
	if err := s.advance(st, end); err != nil {
		return err
	}
	if f.Fin {
		r.final = end
	}
	if r.stopped || r.reset {
		s.discardStopped(now, rtt, st)
		return nil
	}
	if data := f.Data; end > r.buf.base {
		if start < r.buf.base {
			data, start = data[r.buf.base-start:], r.buf.base
		}
		if !r.have.Covers(start, end) {
			r.buf.write(start, data)
			r.have.Add(start, end)
			if r.have.NumRanges() > maxGaps {
				return &Error{wire.FlowControlError, "too many gaps in a stream"}
			}
		}
	}
	if r.readable() > 0 || r.final == r.buf.base {
		st.report(EventReadable)
	}
	return nil
}

// readable is the number of bytes that can be read.
func (r *recvHalf) readable() int64 {
	if r.have.NumRanges() == 0 || r.have.Range(0).Start > r.buf.base {
		return 0
	}
	return r.have.Range(0).End - r.buf.base
}

// checkFinal: "Once a final size for a stream is known, it cannot change. If a RESET_STREAM or STREAM
// frame is received indicating a change in the final size for the stream, an endpoint SHOULD respond
// with an error of type FINAL_SIZE_ERROR".
// https://www.rfc-editor.org/rfc/rfc9000#section-4.5-6
func (s *Set) checkFinal(st *stream, end int64, fin bool) error {
	r := &st.recv
	if r.final >= 0 && (end > r.final || fin && end != r.final) || fin && end < r.highest {
		return &Error{wire.FinalSizeError, "final size changed"}
	}
	return nil
}

// advance counts received offsets against both windows.
//
// "A receiver MUST close the connection with an error of type FLOW_CONTROL_ERROR if the sender
// violates the advertised connection or stream data limits".
// https://www.rfc-editor.org/rfc/rfc9000#section-4.1-10
func (s *Set) advance(st *stream, end int64) error {
	r := &st.recv
	if end <= r.highest {
		return nil
	}
	more := end - r.highest
	if end > r.win.max || s.inTotal+more > s.in.max {
		return &Error{wire.FlowControlError, "more data than allowed"}
	}
	r.highest = end
	s.inTotal += more
	return nil
}

// discardStopped gives the credit back of bytes that nobody will read.
func (s *Set) discardStopped(now monotime.Time, rtt time.Duration, st *stream) {
	r := &st.recv
	if n := r.highest - r.win.read; n > 0 {
		s.in.consume(now, rtt, n, s.cfg.Budget)
		r.win.read += n // its own window stays shut
	}
	r.buf.release()
	r.have.Clear()
	if r.stopped && r.final >= 0 {
		s.recvDone(st)
	}
}

func (s *Set) recvDone(st *stream) {
	st.recv.open = false
	st.recv.buf.release()
	st.recv.have = recovery.RangeSet[int64]{}
	st.recv.win.release(s.cfg.Budget)
	s.forgetIfDone(st)
}

func (s *Set) handleReset(now monotime.Time, rtt time.Duration, f wire.ResetStream) error {
	st, err := s.receiving(ID(f.ID))
	if err != nil || st == nil || !st.recv.open {
		return err
	}
	r := &st.recv
	if err := s.checkFinal(st, int64(f.FinalSize), true); err != nil {
		return err
	}
	if err := s.advance(st, int64(f.FinalSize)); err != nil {
		return err
	}
	ended := r.final >= 0 // by a FIN: a reset of what was only sent is not the end
	r.final = int64(f.FinalSize)
	if r.reset {
		return nil
	}
	if ended && !r.stopped && r.readable() == r.final-r.buf.base {
		return nil // all of it is here: the reset came too late to matter
	}
	r.reset, r.code = true, f.Code
	s.discardStopped(now, rtt, st)
	if !st.gone {
		st.report(EventReadable)
	}
	return nil
}

func (s *Set) handleStopSending(f wire.StopSending) error {
	st, err := s.sending(ID(f.ID))
	if err != nil || st == nil || !st.send.open || st.send.stopped {
		return err
	}
	st.send.stopped = true
	if !st.send.reset.IsSet() {
		// "An endpoint that receives a STOP_SENDING frame MUST send a RESET_STREAM frame if
		// the stream is in the 'Ready' or 'Send' state. [...] SHOULD copy the error code".
		// https://www.rfc-editor.org/rfc/rfc9000#section-3.5-4
		st.abandon(f.Code)
	}
	st.report(EventWritable)
	return nil
}

func (s *Set) handleMaxData(f wire.MaxData) {
	if int64(f.Max) <= s.outMax {
		return
	}
	s.outMax = int64(f.Max)
	s.outBlock.Clear()
	for _, st := range s.waiting {
		st.waits = false
		st.enqueue()
	}
	s.waiting = s.waiting[:0]
}

func (s *Set) handleMaxStreamData(f wire.MaxStreamData) error {
	st, err := s.sending(ID(f.ID))
	if err != nil || st == nil || int64(f.Max) <= st.send.max {
		return err
	}
	st.send.max = int64(f.Max)
	st.send.blocked.Clear()
	st.enqueue()
	return nil
}

func (s *Set) handleMaxStreams(f wire.MaxStreams) {
	l := &s.local[kind(f.Uni)]
	if int64(f.Max) <= l.max {
		return
	}
	l.max = int64(f.Max)
	l.blocked.Clear()
	if l.wanted {
		l.wanted = false
		k := EventCanOpenBidi
		if f.Uni {
			k = EventCanOpenUni
		}
		s.events = append(s.events, Event{Kind: k})
	}
}
