package streams

import (
	"io"
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// maxGaps bounds the gaps in what has arrived of a stream, and so the work for a frame, unless a gap and
// the data behind it have bytesPerGap bytes on average. Slow start ends by sending at twice the rate of the
// path, which loses every other packet of a window. A window of 16 MiB then has 16,384 gaps.
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
		// Data that was lost before the reset does not matter any more.
	case r.stopped:
		s.discard(st)
		s.maybeEndStopped(st)
	case r.resettingAt && start >= r.reliable:
	default:
		data := f.Data
		if r.resettingAt && end > r.reliable {
			end, data = r.reliable, data[:r.reliable-start]
		}
		s.readable -= r.next
		ok := r.store(start, end, data)
		s.readable += r.next
		if !ok {
			return &Error{wire.ProtocolViolation, "too many gaps in a stream"}
		}
		s.chargeRecv(st)
		s.wakeReader(st)
	}
	return nil
}

// account checks a frame's end offset against the final size and both windows, and counts new data. fin
// reports whether end is the final size.
func (s *Set) account(st *stream, end int64, fin bool) error {
	r := &st.recv
	// "Once a final size for a stream is known, it cannot change. If a RESET_STREAM or STREAM
	// frame is received indicating a change in the final size for the stream, an endpoint SHOULD
	// respond with an error of type FINAL_SIZE_ERROR [...]. A receiver SHOULD treat receipt of
	// data at or beyond the final size as an error of type FINAL_SIZE_ERROR".
	// https://www.rfc-editor.org/rfc/rfc9000#section-4.5-5
	switch {
	case r.final >= 0 && (end > r.final || fin && end != r.final):
		return &Error{wire.FinalSizeError, "the final size changed or data exceeds it"}
	case fin && end < r.win.received:
		return &Error{wire.FinalSizeError, "the final size is below the data received"}
	}
	wasBulk := r.isBulk()
	if more := end - r.win.received; more > 0 {
		// "A receiver MUST close the connection with an error of type FLOW_CONTROL_ERROR if
		// the sender violates the advertised connection or stream data limits".
		// https://www.rfc-editor.org/rfc/rfc9000#section-4.1-8
		switch {
		case more > r.win.space():
			return &Error{wire.FlowControlError, "the data exceeds the stream's limit"}
		case more > s.recv.space():
			return &Error{wire.FlowControlError, "the data exceeds the connection's limit"}
		}
		r.win.received = end
		s.recv.received += more
	}
	if fin {
		r.final = end
		r.win.update.Clear()
	}
	if isBulk := r.isBulk(); isBulk != wasBulk {
		s.countBulk(isBulk)
	}
	return nil
}

// store stores the new data of a frame. It returns false if that makes too many gaps.
//
// "Endpoints MUST be able to deliver stream data to an application as an ordered byte stream."
// https://www.rfc-editor.org/rfc/rfc9000#section-2.2-2
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

// tooManyGaps compares the number of gaps with the size of the data between the first and the last.
func (r *recvHalf) tooManyGaps() bool {
	return int64(r.later.NumRanges()) > max(maxGaps, (r.win.received-r.next)/bytesPerGap)
}

// handleReset processes RESET_STREAM.
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
	complete := r.final >= 0 && r.next == r.final && !r.resettingAt // the FIN and all data before it have arrived
	if err := s.account(st, int64(f.FinalSize), true); err != nil {
		return err
	}
	if err := r.checkCode(f.Code); err != nil && r.resettingAt {
		return err
	}
	if r.reset || complete && !r.stopped {
		// "A RESET_STREAM signal might be suppressed or withheld if stream data is completely
		// received and is buffered to be read by the application."
		// https://www.rfc-editor.org/rfc/rfc9000#section-3.2-13
		return nil
	}
	r.code = f.Code
	s.applyReset(st)
	return nil
}

// applyReset lets a reset take effect: data that was not read is dropped.
func (s *Set) applyReset(st *stream) {
	r := &st.recv
	r.reset = true
	r.stop.Clear()
	s.discard(st)
	if r.stopped {
		// Our application has asked for the reset, so it does not count as an abort by the peer.
		s.maybeEndStopped(st)
		return
	}
	st.aborted = true
	s.report(st, EventReset)
	s.wakeReader(st)
}

// discard drops data that has arrived but was not read, and returns its credit to the connection.
func (s *Set) discard(st *stream) {
	r := &st.recv
	n := r.win.received - r.win.consumed
	s.readable -= r.next - r.win.consumed
	r.win.consumed, r.next = r.win.received, r.win.received
	s.recv.consume(n, unlimited)
	r.buf.free()
	r.later.Clear()
	s.chargeRecv(st)
}

// maybeEndStopped ends the receiving part of a stream that the application has stopped, once the peer has
// nothing more to send and has received STOP_SENDING or does not need it.
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

// Expecting reports whether the peer has to send data on a stream before our application can read its end.
func (s *Set) Expecting() bool {
	for _, st := range s.all {
		if r := &st.recv; !r.done && !r.reset && (r.final < 0 || r.next < r.final) {
			return true
		}
	}
	return false
}

// Read copies data of a stream, in order, to p. If there is none, it returns io.EOF at the end of the
// stream, a *ResetError if the peer has reset it, and otherwise ErrBlocked, in which case EventReadable
// follows. After the end or StopSending, it returns ErrClosed.
func (s *Set) Read(now monotime.Time, rtt time.Duration, id ID, p []byte) (int, error) {
	n, err := s.receive(now, rtt, id, int64(len(p)), p)
	return int(n), err
}

// receive consumes up to n bytes of a stream. It copies them to p, of length n, unless that is nil.
func (s *Set) receive(now monotime.Time, rtt time.Duration, id ID, n int64, p []byte) (int64, error) {
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
	if some := min(n, r.next-r.win.consumed); some > 0 {
		if p != nil {
			r.buf.read(p[:some], r.win.consumed)
		}
		s.consume(st, some, rtt)
		s.maybeApplyReset(st)
		return some, nil
	}
	switch {
	case r.win.consumed == r.final:
		s.endRecv(st)
		return 0, io.EOF
	case n == 0 && r.next > r.win.consumed:
		return 0, nil
	}
	r.wants = 1
	return 0, ErrBlocked
}

// consume counts n bytes that were read as consumed in both windows.
func (s *Set) consume(st *stream, n int64, rtt time.Duration) {
	r := &st.recv
	r.buf.reclaim()
	s.isNear = rtt <= nearRTT
	r.win.consume(n, s.ahead())
	s.readable -= n
	r.buf.release(r.win.consumed, r.win.received)
	s.chargeRecv(st)
	s.recv.consume(n, unlimited)
	if r.final < 0 {
		if r.win.wantsMore(s.now, rtt) {
			r.win.grow(2 * r.win.size)
			// The window is large enough that one stream cannot use all of it.
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

// growConn increases the connection's window to size bytes, or as far as its maximum and the connection's
// share of the memory allow.
func (s *Set) growConn(size int64) {
	if size = min(size, s.recv.max, s.recvShare.limit()); size > s.recv.size {
		s.recv.grow(size)
	}
}

// StopSending stops the receiving part of a stream: it drops what has arrived and asks the peer to reset
// the stream with code, which must be below 2^62.
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
