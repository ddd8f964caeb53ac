package streams

import (
	"io"
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// MaxPeek returns the maximum number of bytes that Peek waits for. A peer is always allowed to send that
// many bytes on a stream, unless other streams use up the window of the connection: limits are raised
// before less than three quarters of a window are left.
func (s *Set) MaxPeek() int {
	return int(max(1, min(maxChunk, s.cfg.RecvWindow/2, s.cfg.ConnWindow/2)))
}

// Peek returns the next bytes of a stream, at least n and as many more as lie behind them in memory, and
// does not consume them. If the first n are not contiguous in memory, they are copied. n must not exceed
// MaxPeek.
//
// If fewer than n bytes are left, Peek returns these and io.EOF. If the others have not arrived yet, it
// returns those that have and ErrBlocked, and EventReadable follows when n bytes have arrived or will not.
// Other errors are those of Read.
//
// The bytes stay valid until the next call of Read or Discard, whatever else happens to the stream.
func (s *Set) Peek(id ID, n int) ([]byte, error) {
	st := s.find(id)
	if st == nil || st.recv.done || st.recv.stopped {
		return nil, ErrClosed
	}
	r := &st.recv
	if r.reset {
		s.endRecv(st)
		return nil, &ResetError{r.code}
	}
	b := r.peek(n)
	switch {
	case len(b) > 0 && len(b) >= n:
		return b, nil
	case r.resettingAt && r.next >= r.reliable:
		return b, &ResetError{r.code}
	case r.next == r.final && len(b) > 0:
		return b, io.EOF
	case r.next == r.final:
		s.endRecv(st)
		return nil, io.EOF
	case n <= 0:
		return nil, nil
	}
	r.wants = int64(n)
	return b, ErrBlocked
}

// PeekBehind returns unread bytes that follow the next skip ones of a stream, as many as are contiguous in
// memory, or nil if there are none. They stay valid like those of Peek.
func (s *Set) PeekBehind(id ID, skip int) []byte {
	st := s.find(id)
	if st == nil || st.recv.next-st.recv.win.consumed <= int64(skip) {
		return nil
	}
	r := &st.recv
	return r.buf.peek(r.win.consumed+int64(skip), r.next)
}

// peek returns the unread bytes that are contiguous in memory, or a copy of the first n if that is more.
func (r *recvHalf) peek(n int) []byte {
	from := r.win.consumed
	if r.next == from {
		return nil
	}
	b := r.buf.peek(from, r.next)
	if n = int(min(int64(n), r.next-from)); len(b) < n {
		b = make([]byte, n)
		r.buf.read(b, from)
	}
	return b
}

// Discard consumes up to n bytes of a stream without copying them, and returns how many it has consumed.
// Its errors are those of Read.
func (s *Set) Discard(now monotime.Time, rtt time.Duration, id ID, n int64) (int64, error) {
	return s.receive(now, rtt, id, n, nil)
}
