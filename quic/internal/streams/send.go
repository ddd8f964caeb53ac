package streams

import "github.com/pqquic/pqquic/quic/internal/wire"

// Write copies data into a stream's send buffer. If there is no room for all of p, it returns ErrBlocked,
// and EventWritable follows when there is room. If the peer has asked us to stop, it returns a
// *StoppedError. After CloseWrite and Reset, it returns ErrClosed.
func (s *Set) Write(id ID, p []byte) (int, error) {
	st := s.find(id)
	if err := st.sendError(); err != nil {
		s.maybeEndSend(st)
		return 0, err
	}
	h := &st.send
	s.keepPromise(st)
	room := s.writeRoom(st)
	memory := s.sendRoom(st)
	n := int(min(int64(len(p)), room, memory))
	if n > 0 {
		h.buf.write(h.end, p[:n])
		s.chargeSend(st)
		s.extend(st, int64(n))
	}
	if n < len(p) {
		h.waiting, h.copies = true, true
		if memory < room {
			s.starve(st)
		}
		return n, ErrBlocked
	}
	return n, nil
}

// extend makes n bytes due that were added to a stream's send buffer.
func (s *Set) extend(st *stream, n int64) {
	st.send.end += n
	s.countUnflushed(st)
	s.schedule(st)
}

// sendError returns the reason why the application cannot send on a stream, or nil. st may be nil.
func (st *stream) sendError() error {
	switch {
	case st == nil:
		return ErrClosed
	case st.send.done:
		return ErrClosed
	case st.send.stopped:
		st.send.isKnown = true
		return &StoppedError{st.send.stopCode}
	// "An endpoint MUST NOT send data on a stream at or beyond the final size."
	// https://www.rfc-editor.org/rfc/rfc9000#section-4.5-4
	case st.send.fin || st.send.resetting || st.send.resettingAt:
		return ErrClosed
	}
	return nil
}

// CloseWrite ends the sending part of a stream after what was written.
func (s *Set) CloseWrite(id ID) error {
	st := s.find(id)
	if err := st.sendError(); err != nil {
		s.maybeEndSend(st)
		return err
	}
	st.send.fin, st.send.isKnown = true, true
	st.send.finVal.Set()
	s.countUnflushed(st)
	s.schedule(st)
	return nil
}

// Reset aborts the sending part of a stream with code, which must be below 2^62. Data that is not
// acknowledged may never arrive.
func (s *Set) Reset(id ID, code uint64) error {
	st := s.find(id)
	if st == nil || st.send.done {
		return ErrClosed
	}
	st.send.isKnown = true
	if st.send.resetting {
		s.maybeEndSend(st)
		return ErrClosed
	}
	s.reset(st, code)
	return nil
}

// reset drops what was written and makes RESET_STREAM due.
//
// "A sender MUST NOT send a STREAM or STREAM_DATA_BLOCKED frame for a stream in the 'Reset Sent'
// state or any terminal state".
// https://www.rfc-editor.org/rfc/rfc9000#section-3.3-2
func (s *Set) reset(st *stream, code uint64) {
	h := &st.send
	if !h.resettingAt { // the code cannot change once RESET_STREAM_AT has been sent
		h.code = code
	}
	h.resetting = true
	h.reset.Set()
	h.end, h.acked = h.sent, h.sent
	h.buf.free(&s.returned)
	s.chargeSend(st)
	h.above.Clear()
	h.lost.Clear()
	h.finVal.Clear()
	h.blocked.Clear()
	s.countUnflushed(st)
	s.enqueue(qControl, st)
	s.wakeWriter(st)
}

// handleStopSending processes STOP_SENDING.
//
// "An endpoint that receives a STOP_SENDING frame MUST send a RESET_STREAM frame if the stream is in
// the 'Ready' or 'Send' state. [...] An endpoint SHOULD copy the error code from the STOP_SENDING
// frame to the RESET_STREAM frame it sends".
// https://www.rfc-editor.org/rfc/rfc9000#section-3.5-4
func (s *Set) handleStopSending(f wire.StopSending) error {
	st, err := s.sendingStream(ID(f.ID))
	if st == nil || st.send.stopped {
		return err
	}
	h := &st.send
	h.stopped, h.stopCode = true, f.Code
	if !h.fin && !h.resetting && !h.resettingAt {
		// Otherwise our application has finished its work for the peer, so this is not an abort.
		st.aborted = true
	}
	s.report(st, EventStopped)
	if !h.resetting {
		s.reset(st, f.Code)
	}
	return nil
}

// handleMaxStreamData processes MAX_STREAM_DATA.
//
// "A sender MUST ignore any MAX_STREAM_DATA or MAX_DATA frames that do not increase flow control
// limits."
// https://www.rfc-editor.org/rfc/rfc9000#section-4.1-9
func (s *Set) handleMaxStreamData(f wire.MaxStreamData) error {
	st, err := s.sendingStream(ID(f.ID))
	if st == nil || int64(f.Max) <= st.send.max {
		return err
	}
	st.send.max = int64(f.Max)
	st.send.blocked.Clear()
	s.schedule(st)
	return nil
}

// raiseSendMax processes the peer's limit on the connection.
//
// "A receiver MUST accept packets containing an outdated frame, such as a MAX_DATA frame carrying a smaller maximum
// data value than one found in an older packet."
// https://www.rfc-editor.org/rfc/rfc9000#section-13.3-5
func (s *Set) raiseSendMax(limit int64) {
	if limit > s.sendMax {
		s.sendMax = limit
		s.blocked.Clear()
	}
}

// countUnflushed adds a stream to unflushed if something of it is not acknowledged.
func (s *Set) countUnflushed(st *stream) {
	if !st.send.unflushed && !st.send.isFlushed() {
		st.send.unflushed = true
		s.unflushed++
	}
}

// uncountFlushed removes a stream from unflushed if everything is acknowledged.
func (s *Set) uncountFlushed(st *stream) {
	if st.send.unflushed && st.send.isFlushed() {
		st.send.unflushed = false
		if s.unflushed--; s.unflushed == 0 {
			s.flushed = true
		}
	}
}

// isFlushed reports whether everything that must reach the peer is acknowledged.
func (h *sendHalf) isFlushed() bool {
	if h.resetting {
		return h.reset.IsReceived()
	}
	if h.resettingAt {
		return h.acked >= h.reliable && h.reset.IsReceived()
	}
	return h.acked == h.end && (!h.fin || h.finVal.IsReceived())
}

// maybeEndSend ends the sending part of a stream once the peer has acknowledged everything and the
// application knows the outcome.
func (s *Set) maybeEndSend(st *stream) {
	if st == nil || st.send.done {
		return
	}
	if h := &st.send; h.isKnown && (h.fin || h.resetting || h.resettingAt) && h.isFlushed() {
		h.done = true
		h.buf.free(&s.returned)
		s.chargeSend(st)
		s.maybeFree(st)
	}
}

// Flushed reports whether the peer has acknowledged all that was written, including every end and reset.
func (s *Set) Flushed() bool { return s.unflushed == 0 }
