package streams

import (
	"io"
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// Open opens a stream; ErrLimit if the peer does not allow one more, and EventCanOpen… follows when
// it does.
func (s *Set) Open(uni bool) (ID, error) {
	l := &s.local[kind(uni)]
	if l.opened >= l.max {
		l.wanted = true
		if !l.blocked.IsSet() {
			l.blocked.Set()
		}
		return 0, ErrLimit
	}
	id := MakeID(s.side, uni, l.opened)
	l.opened++
	s.add(id)
	return id, nil
}

// Accept returns the next stream that the peer opened.
func (s *Set) Accept(uni bool) (ID, bool) {
	r := &s.remote[kind(uni)]
	if r.accepted >= r.opened {
		return 0, false
	}
	id := MakeID(s.side.Peer(), uni, r.accepted)
	r.accepted++
	return id, true
}

// Read reads what is there: ErrBlocked if that is nothing, io.EOF after the last byte, *ResetError
// if the peer abandoned the stream.
func (s *Set) Read(now monotime.Time, rtt time.Duration, id ID, p []byte) (int, error) {
	st := s.streams[id]
	if st == nil || !st.recv.open || st.recv.stopped {
		return 0, ErrClosed
	}
	r := &st.recv
	if r.reset {
		code := r.code
		s.recvDone(st)
		return 0, &ResetError{code}
	}
	n := min(int64(len(p)), r.readable())
	if n > 0 {
		r.buf.read(p[:n], r.buf.base)
		r.have.Sub(r.buf.base, r.buf.base+n)
		r.buf.discard(r.buf.base + n)
		s.in.consume(now, rtt, n, s.cfg.Budget)
		r.win.consume(now, rtt, n, s.cfg.Budget)
		if r.final < 0 && r.win.val.ShouldSend(false) {
			st.enqueue()
		}
	}
	switch {
	case r.final >= 0 && r.buf.base == r.final:
		s.recvDone(st)
		return int(n), io.EOF
	case n == 0 && len(p) > 0:
		return 0, ErrBlocked
	}
	return int(n), nil
}

// Write takes as many bytes as the stream's buffer has room for, and returns ErrBlocked if that is
// not all; EventWritable follows when there is room again.
func (s *Set) Write(id ID, p []byte) (int, error) {
	st := s.streams[id]
	if st == nil {
		return 0, ErrClosed
	}
	h := &st.send
	switch {
	case h.stopped:
		return 0, &StoppedError{h.code}
	case !h.open || h.fin || h.reset.IsSet():
		return 0, ErrClosed
	}
	n := min(int64(len(p)), s.cfg.SendBuffer-(h.written-h.buf.base))
	if n > 0 {
		h.buf.write(h.written, p[:n])
		h.written += n
		s.dirty(n)
		st.enqueue()
	}
	if n < int64(len(p)) {
		h.full = true
		return int(max(n, 0)), ErrBlocked
	}
	return int(n), nil
}

// CloseWrite ends the sending half after what was written.
func (s *Set) CloseWrite(id ID) error {
	st := s.streams[id]
	if st == nil {
		return ErrClosed
	}
	h := &st.send
	switch {
	case h.stopped:
		return &StoppedError{h.code}
	case !h.open || h.reset.IsSet():
		return ErrClosed
	case !h.fin:
		h.fin = true
		h.finVal.Set()
		s.dirty(1)
		st.enqueue()
	}
	return nil
}

// Reset abandons the sending half: what is not acknowledged may never arrive.
func (s *Set) Reset(id ID, code uint64) error {
	st := s.streams[id]
	if st == nil || !st.send.open || st.send.reset.IsSet() {
		return ErrClosed
	}
	st.abandon(code)
	return nil
}

// abandon drops what was written and sends RESET_STREAM.
func (st *stream) abandon(code uint64) {
	h := &st.send
	h.code = code
	h.reset.Set()
	st.set.dirty(-h.outstanding())
	h.buf.release()
	h.lost.Clear()
	h.acked.Clear()
	h.finVal.Clear()
	h.blocked.Clear()
	st.enqueue()
}

// outstanding is what the half counts for in Set.unacked.
func (h *sendHalf) outstanding() int64 {
	n := h.written - h.buf.base
	for i := range h.acked.NumRanges() {
		r := h.acked.Range(i)
		n -= r.End - r.Start
	}
	if h.fin && !h.finVal.IsReceived() {
		n++
	}
	return n
}

// StopSending tells the peer that nobody reads the stream any more.
func (s *Set) StopSending(id ID, code uint64) error {
	st := s.streams[id]
	if st == nil || !st.recv.open || st.recv.stopped {
		return ErrClosed
	}
	r := &st.recv
	r.stopped, r.stopFor = true, code
	r.win.val.Clear()
	if r.final >= 0 {
		s.discardStopped(0, 0, st) // the peer has nothing left to stop
		return nil
	}
	r.stop.Set()
	s.discardStopped(0, 0, st)
	st.enqueue()
	return nil
}
