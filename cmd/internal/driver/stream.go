package driver

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/pqquic/pqquic/cmd/internal/scenario"
	"github.com/pqquic/pqquic/cmd/internal/stats"
)

// stream is a stream with the state that the script keeps for it.
type stream struct {
	Stream
	id       uint64
	opened   time.Time
	count    *stats.StreamCounter
	rateOut  rate
	rateIn   rate
	sent     uint64 // position of the next byte in the pattern
	received uint64
	ignored  bool // the script reads no more from it
}

// rate is a number of bytes in each period; no limit if the number is 0.
type rate struct {
	bytes  uint64
	period time.Duration
}

// window applies a rate during an operation. The first window begins at once, and unused bytes of a window
// are lost.
type window struct {
	rate
	ends time.Time
	left uint64
}

// take waits until bytes may be sent or received and returns how many of n.
func (w *window) take(ctx context.Context, n uint64) (uint64, error) {
	if w.period == 0 {
		return n, nil
	}
	now := time.Now()
	if w.left == 0 && now.Before(w.ends) {
		if err := sleep(ctx, w.ends.Sub(now)); err != nil {
			return 0, err
		}
		now = time.Now()
	}
	if !now.Before(w.ends) {
		w.ends, w.left = now.Add(w.period), w.bytes
	}
	return min(n, w.left), nil
}

func (w *window) used(n uint64) {
	if w.period > 0 {
		w.left -= n
	}
}

const chunk = 64 << 10

// pattern is the payload: byte k of a stream is k mod 256. Every chunk begins within the first 256 bytes.
var pattern = func() (p [chunk + 256]byte) {
	for i := range p {
		p[i] = byte(i)
	}
	return p
}()

var buffers = sync.Pool{New: func() any { return new([chunk]byte) }}

func (t *thread) streamOp(ctx context.Context, op *scenario.Op) (err error) {
	s := t.s
	switch op.Kind {
	case scenario.OpenBidirectionalStream, scenario.OpenSendStream:
		t.unsent, err = s.open(ctx, op.StreamID, op.Kind == scenario.OpenBidirectionalStream)
		return err
	}
	st := t.peer
	switch {
	case st == nil:
		if st, err = s.opened(op.StreamID); err != nil {
			return err
		}
	case st.id != op.StreamID:
		return scriptError("stream %d is not open", op.StreamID)
	}
	switch op.Kind {
	case scenario.SendRate:
		st.rateOut = rate{op.Bytes, op.Period}
	case scenario.ReceiveRate:
		st.rateIn = rate{op.Bytes, op.Period}
	case scenario.Send:
		return t.send(ctx, st, op.Bytes)
	case scenario.Receive:
		if op.Bytes == 0 {
			return scriptError("%v", scenario.ErrReceiveNothing)
		}
		return t.receive(ctx, st, op.Bytes, false)
	case scenario.ReceiveAll:
		return t.receive(ctx, st, 1<<63, true)
	case scenario.SendFinish:
		s.trace.event(s.number, "sfin[%d]", st.id)
		return t.closed(st.CloseWrite())
	case scenario.ReceiveFinish:
		s.trace.event(s.number, "rfin[%d]", st.id)
		if t.peer == nil {
			s.rec.Latency(stats.Request, time.Since(st.opened))
		}
		return t.closed(s.ignore(st))
	}
	return nil
}

// closed returns the error of ending a direction, or nil if it does not matter: the peer has closed cleanly
// or wants no more of the stream, so nothing is lost.
func (t *thread) closed(err error) error {
	if errors.Is(err, ErrStopped) || errors.Is(err, ErrClosedCleanly) {
		return nil
	}
	return err
}

// Errors that transports wrap.
var (
	// ErrStopped reports that the peer stopped reading a stream with code 0, as receive_finish does.
	ErrStopped = errors.New("the peer has stopped reading")
	// ErrClosedCleanly reports that the peer closed the connection with code 0.
	ErrClosedCleanly = errPeerClosed
)

func (t *thread) send(ctx context.Context, st *stream, n uint64) error {
	s := t.s
	if err := st.SetWriteDeadline(t.deadline); err != nil {
		return t.closed(err)
	}
	w := window{rate: st.rateOut}
	for n > 0 {
		want, err := w.take(ctx, min(n, chunk))
		if err != nil {
			return err
		}
		from := st.sent % 256
		done, err := st.Write(pattern[from : from+want])
		if t.unsent == st && done > 0 {
			t.unsent = nil
		}
		st.sent += uint64(done)
		st.count.Sent(done)
		w.used(uint64(done))
		n -= uint64(done)
		if s.trace.on() {
			s.trace.sent(s.number, st.id, done)
		}
		if errors.Is(err, ErrStopped) && !t.deadline.IsZero() {
			return errPeerDone
		}
		if err != nil {
			return err
		}
	}
	return st.Flush()
}

// receive receives n bytes, or with all set everything up to the end of the stream.
func (t *thread) receive(ctx context.Context, st *stream, n uint64, all bool) error {
	s := t.s
	if st.ignored {
		return scriptError("stream %d was finished by receive_finish and cannot be read", st.id)
	}
	if err := st.SetReadDeadline(t.deadline); err != nil {
		return t.closed(err)
	}
	buf := buffers.Get().(*[chunk]byte)
	defer buffers.Put(buf)
	w := window{rate: st.rateIn}
	for began := n; n > 0; {
		want, err := w.take(ctx, min(n, chunk))
		if err != nil {
			return err
		}
		got, err := st.Read(buf[:want])
		if got > 0 {
			s.answered()
			if err := s.check(st, buf[:got]); err != nil {
				return err
			}
		}
		st.received += uint64(got)
		st.count.Received(got)
		w.used(uint64(got))
		n -= uint64(got)
		if s.trace.on() {
			s.trace.received(s.number, st.id, got)
		}
		switch {
		case err == io.EOF && !all && n == began && !t.deadline.IsZero():
			return errPeerDone
		case err == io.EOF && !all && n > 0 && s.verify && t.deadline.IsZero():
			return scriptError("the stream ended after %d of %d bytes", began-n, began)
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
	return nil
}

// answered records the time to the first byte of an answer, on a client.
func (s *script) answered() {
	s.firstByte.Do(func() {
		if !s.dialed.IsZero() {
			s.rec.Latency(stats.FirstByte, time.Since(s.dialed))
		}
	})
}

// check compares received bytes with the pattern if Verify is set.
func (s *script) check(st *stream, b []byte) error {
	if !s.verify {
		return nil
	}
	for i := range b {
		if want := byte(st.received + uint64(i)); b[i] != want {
			return scriptError("byte %d of stream %d is %#x, not %#x", st.received+uint64(i), st.id, b[i], want)
		}
	}
	return nil
}
