package streams

import "github.com/pqquic/pqquic/quic/internal/wire"

// Write copies bytes into a stream's send buffer. When not all of p has found room it returns
// ErrBlocked, and EventWritable will tell. A *StoppedError says that the peer has asked us to stop;
// after CloseWrite and Reset Write returns ErrClosed.
func (s *Set) Write(id ID, p []byte) (int, error) {
	st := s.find(id)
	if err := st.sendError(); err != nil {
		s.maybeEndSend(st)
		return 0, err
	}
	h := &st.send
	s.keepPromise(st)
	room := s.cfg.SendBuffer - (h.end - h.acked)
	memory := max(s.sendShare.room(), 0)
	n := int(min(int64(len(p)), room, memory))
	if n > 0 {
		h.buf.write(h.end, p[:n])
		h.end += int64(n)
		s.chargeSend(st)
		s.soil(st)
		s.schedule(st)
	}
	if n < len(p) {
		h.waiting = true
		if memory < room {
			s.starve(st)
		}
		return n, ErrBlocked
	}
	return n, nil
}

// sendError is why the application cannot send on a stream, which may be nil.
func (st *stream) sendError() error {
	switch {
	case st == nil:
		return ErrClosed
	case st.send.done:
		return ErrClosed
	case st.send.stopped:
		st.send.told = true
		return &StoppedError{st.send.stopCode}
	case st.send.fin || st.send.resetting:
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
	st.send.fin, st.send.told = true, true
	st.send.finVal.Set()
	s.soil(st)
	s.schedule(st)
	return nil
}

// Reset cuts the sending part of a stream off, with code, which is below 2^62. What is not
// acknowledged may never arrive.
func (s *Set) Reset(id ID, code uint64) error {
	st := s.find(id)
	if st == nil || st.send.done {
		return ErrClosed
	}
	st.send.told = true
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
	h.resetting, h.code = true, code
	h.reset.Set()
	h.end, h.acked = h.sent, h.sent
	h.buf.free()
	s.chargeSend(st)
	h.above.Clear()
	h.lost.Clear()
	h.finVal.Clear()
	h.blocked.Clear()
	s.soil(st)
	s.enqueue(qControl, st)
	s.wakeWriter(st)
}

// handleStopSending handles STOP_SENDING.
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
	if !h.fin && !h.resetting {
		// Otherwise our application has finished its work for the peer: nothing was aborted.
		st.aborted = true
	}
	s.report(st, EventStopped)
	if !h.resetting {
		s.reset(st, f.Code)
	}
	return nil
}

// handleMaxStreamData handles MAX_STREAM_DATA.
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

// raiseSendMax takes a limit of the peer's on the connection.
func (s *Set) raiseSendMax(limit int64) {
	if limit > s.sendMax {
		s.sendMax = limit
		s.blocked.Clear()
	}
}

// soil notes that a stream has something that is not acknowledged.
func (s *Set) soil(st *stream) {
	if !st.send.dirty && !st.send.isClean() {
		st.send.dirty = true
		s.unflushed++
	}
}

// maybeClean notes that it has not any more.
func (s *Set) maybeClean(st *stream) {
	if st.send.dirty && st.send.isClean() {
		st.send.dirty = false
		if s.unflushed--; s.unflushed == 0 {
			s.flushed = true
		}
	}
}

// isClean reports whether everything that the peer should know is acknowledged.
func (h *sendHalf) isClean() bool {
	if h.resetting {
		return h.reset.IsReceived()
	}
	return h.acked == h.end && (!h.fin || h.finVal.IsReceived())
}

// maybeEndSend ends the sending part of a stream when the peer and the application know all about it.
func (s *Set) maybeEndSend(st *stream) {
	if st == nil || st.send.done {
		return
	}
	if h := &st.send; h.told && (h.fin || h.resetting) && h.isClean() {
		h.done = true
		h.buf.free()
		s.chargeSend(st)
		s.maybeFree(st)
	}
}

// Flushed reports whether the peer has acknowledged all that was written, with every end and reset.
func (s *Set) Flushed() bool { return s.unflushed == 0 }
