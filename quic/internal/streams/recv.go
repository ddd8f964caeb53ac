package streams

import (
	"io"
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// maxGaps bounds the holes in what has arrived of a stream, and so the work for a frame, unless a hole
// and the piece behind it have bytesPerGap bytes on average: slow start ends by sending at twice the rate
// of the path, which loses every other packet of a window. A window of 16 MiB has 16,384 holes then.
//
// "QUIC deployments SHOULD provide mitigations for stream fragmentation attacks. Mitigations could
// consist of [...] limiting the size of tracking data structures".
// https://www.rfc-editor.org/rfc/rfc9000#section-21.7-4
const (
	maxGaps     = 1000
	bytesPerGap = 1024
)

func (s *Set) handleStream(f wire.Stream) error {
	st, err := s.receivingStream(ID(f.ID))
	if st == nil {
		return err
	}
	start, end := int64(f.Offset), int64(f.Offset)+int64(len(f.Data))
	if err := s.account(st, end, f.Fin); err != nil {
		return err
	}
	r := &st.recv
	switch {
	case r.reset:
		// What was lost on the way to the reset does not matter any more.
	case r.stopped:
		s.discard(st)
		s.maybeEndStopped(st)
	default:
		s.readable -= r.next
		ok := r.store(start, end, f.Data)
		s.readable += r.next
		if !ok {
			return &Error{wire.ProtocolViolation, "too many gaps in a stream"}
		}
		s.chargeRecv(st)
		s.wakeReader(st)
	}
	return nil
}

// account checks what a frame says about the end of a stream, and counts it towards both windows. fin
// says that end is the final size.
func (s *Set) account(st *stream, end int64, fin bool) error {
	r := &st.recv
	// "Once a final size for a stream is known, it cannot change. If a RESET_STREAM or STREAM
	// frame is received indicating a change in the final size for the stream, an endpoint SHOULD
	// respond with an error of type FINAL_SIZE_ERROR [...]. A receiver SHOULD treat receipt of
	// data at or beyond the final size as an error of type FINAL_SIZE_ERROR".
	// https://www.rfc-editor.org/rfc/rfc9000#section-4.5-5
	switch {
	case r.final >= 0 && (end > r.final || fin && end != r.final):
		return &Error{wire.FinalSizeError, "final size changed, or data beyond it"}
	case fin && end < r.win.received:
		return &Error{wire.FinalSizeError, "final size below data received"}
	}
	if more := end - r.win.received; more > 0 {
		// "A receiver MUST close the connection with an error of type FLOW_CONTROL_ERROR if
		// the sender violates the advertised connection or stream data limits".
		// https://www.rfc-editor.org/rfc/rfc9000#section-4.1-8
		switch {
		case more > r.win.space():
			return &Error{wire.FlowControlError, "more data than allowed on a stream"}
		case more > s.recv.space():
			return &Error{wire.FlowControlError, "more data than allowed on the connection"}
		}
		r.win.received = end
		s.recv.received += more
	}
	if fin {
		r.final = end
		r.win.update.Clear()
	}
	return nil
}

// store keeps the bytes of a frame that are new; false if that makes too many gaps.
func (r *recvHalf) store(start, end int64, data []byte) bool {
	if start < r.next {
		if end <= r.next {
			return true
		}
		data, start = data[r.next-start:], r.next
	}
	if start > r.next {
		if !r.later.Covers(start, end) {
			r.buf.write(start, data)
			r.later.Add(start, end)
		}
		return !r.tooManyGaps()
	}
	r.buf.write(start, data)
	r.next = end
	for r.later.NumRanges() > 0 && r.later.Range(0).Start <= r.next {
		r.next = max(r.next, r.later.Range(0).End)
		r.later.Sub(0, r.next)
	}
	return true
}

// tooManyGaps compares the holes with the run of bytes that they are in.
func (r *recvHalf) tooManyGaps() bool {
	return int64(r.later.NumRanges()) > max(maxGaps, (r.win.received-r.next)/bytesPerGap)
}

// handleReset handles RESET_STREAM.
//
// "The receiver MUST use the final size of the stream to account for all bytes sent on the stream in
// its connection-level flow controller."
// https://www.rfc-editor.org/rfc/rfc9000#section-4.5-3
func (s *Set) handleReset(f wire.ResetStream) error {
	st, err := s.receivingStream(ID(f.ID))
	if st == nil {
		return err
	}
	r := &st.recv
	complete := r.final >= 0 && r.next == r.final // a FIN has come, and all before it
	if err := s.account(st, int64(f.FinalSize), true); err != nil {
		return err
	}
	if r.reset || complete && !r.stopped {
		// "A RESET_STREAM signal might be suppressed or withheld if stream data is completely
		// received and is buffered to be read by the application."
		// https://www.rfc-editor.org/rfc/rfc9000#section-3.2-13
		return nil
	}
	r.reset, r.code = true, f.Code
	r.stop.Clear()
	s.discard(st)
	if r.stopped {
		// Our application has asked for it, so it is no abort of the peer's.
		s.maybeEndStopped(st)
		return nil
	}
	st.aborted = true
	s.report(st, EventReset)
	s.wakeReader(st)
	return nil
}

// discard drops what has arrived and was not read, and gives its credit back to the connection.
func (s *Set) discard(st *stream) {
	r := &st.recv
	n := r.win.received - r.win.consumed
	s.readable -= r.next - r.win.consumed
	r.win.consumed, r.next = r.win.received, r.win.received
	s.recv.consume(n)
	r.buf.free()
	r.later.Clear()
	s.chargeRecv(st)
}

// maybeEndStopped ends the receiving part of a stream that the application has given up, when the peer
// has no more of it to send and knows, or need not know, that we did not want it.
func (s *Set) maybeEndStopped(st *stream) {
	r := &st.recv
	if r.reset || r.final >= 0 && !r.stop.ShouldSend(true) {
		s.endRecv(st)
	}
}

func (s *Set) endRecv(st *stream) {
	r := &st.recv
	r.done = true
	r.stop.Clear()
	r.buf.free()
	s.chargeRecv(st)
	s.maybeFree(st)
}

// Read copies bytes of a stream, in order, to p. With none to copy it returns io.EOF at the stream's
// end, a *ResetError if the peer has reset it, and ErrBlocked if more may arrive, in which case
// EventReadable follows. After the end, or StopSending, it returns ErrClosed.
func (s *Set) Read(now monotime.Time, rtt time.Duration, id ID, p []byte) (int, error) {
	s.setTime(now)
	st := s.find(id)
	if st == nil || st.recv.done || st.recv.stopped {
		return 0, ErrClosed
	}
	r := &st.recv
	if r.reset {
		s.endRecv(st)
		return 0, &ResetError{r.code}
	}
	if n := int(min(int64(len(p)), r.next-r.win.consumed)); n > 0 {
		r.buf.read(p[:n], r.win.consumed)
		s.consume(st, int64(n), rtt)
		return n, nil
	}
	switch {
	case r.win.consumed == r.final:
		s.endRecv(st)
		return 0, io.EOF
	case len(p) == 0 && r.next > r.win.consumed:
		return 0, nil
	}
	r.waiting = true
	return 0, ErrBlocked
}

// consume takes n bytes that were read out of both windows.
func (s *Set) consume(st *stream, n int64, rtt time.Duration) {
	r := &st.recv
	r.win.consume(n)
	s.readable -= n
	r.buf.release(r.win.consumed, r.win.received)
	s.chargeRecv(st)
	s.recv.consume(n)
	if r.final < 0 {
		if r.win.wantsMore(s.now, rtt) {
			r.win.grow(2 * r.win.size)
			// One stream cannot use all of the connection's window.
			s.growConn(streamsPerConn * min(r.win.size, s.recv.max/streamsPerConn))
		}
		if r.win.update.ShouldSend(false) {
			s.enqueue(qControl, st)
		}
	} else {
		r.win.update.Clear()
	}
	if s.recv.wantsMore(s.now, rtt) {
		s.growConn(2 * s.recv.size)
	}
}

// growConn makes the connection's window size bytes large, or as large as it may be. It does not grow
// over the connection's share of the memory.
func (s *Set) growConn(size int64) {
	if size = min(size, s.recv.max, s.recvShare.limit()); size > s.recv.size {
		s.recv.grow(size)
	}
}

// StopSending gives up the receiving part of a stream: what has arrived is dropped, and the peer is
// asked to reset it with code, which is below 2^62.
func (s *Set) StopSending(id ID, code uint64) error {
	st := s.find(id)
	if st == nil || st.recv.done || st.recv.stopped {
		return ErrClosed
	}
	r := &st.recv
	r.stopped, r.stopCode = true, code
	r.win.update.Clear()
	// "[O]nce either all stream data or a RESET_STREAM frame has been received for the stream
	// [...] sending a STOP_SENDING frame is unnecessary."
	// https://www.rfc-editor.org/rfc/rfc9000#section-3.5-7
	if !r.reset && r.next != r.final {
		r.stop.Set()
		s.enqueue(qControl, st)
	}
	s.discard(st)
	s.maybeEndStopped(st)
	return nil
}
