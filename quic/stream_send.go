package quic

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/pqquic/pqquic/quic/internal/streams"
)

// Write copies p into the stream's send buffer. It blocks while the buffer is full, because the peer
// does not read or the network is slower than we are, and returns when all of p is in the buffer.
// That the peer has received it, nobody knows: see Conn.Close. Concurrent Writes do not mix.
//
// Errors: os.ErrDeadlineExceeded; *StreamError after the peer has asked us to stop, or after Reset;
// ErrWriteClosed after Close; or the connection's. Fewer bytes than len(p) may have been taken.
func (s *Stream) Write(p []byte) (int, error) {
	d := &s.send
	d.turn.Lock()
	defer d.turn.Unlock()
	c, written := s.c, 0
	for {
		if d.deadline.expired() {
			return written, os.ErrDeadlineExceeded
		}
		piece := p[written:min(len(p), written+copyPiece)]
		c.mu.Lock()
		n, err := s.tryWrite(piece)
		written += n
		if err != nil || written == len(p) {
			c.drive()
			return written, err
		}
		if n == len(piece) {
			c.drive()
			continue
		}
		ready := d.enter()
		c.drive()
		if !d.sleep(ready) {
			return written, os.ErrDeadlineExceeded
		}
	}
}

// tryWrite writes what there is room for; no error means that the rest has to wait. The connection's
// mu is held.
func (s *Stream) tryWrite(p []byte) (int, error) {
	c, d := s.c, &s.send
	switch {
	case d.isDone:
		return 0, s.doneError(&d.side, ErrWriteClosed)
	case c.over:
		return 0, c.err
	case c.closing:
		return 0, errClosing
	}
	n, err := c.core.Write(c.ep.clock.now(), streams.ID(s.id), p)
	if err == nil || errors.Is(err, streams.ErrBlocked) {
		return n, nil
	}
	err = s.streamError(err)
	d.finish(err)
	c.forgetIfDone(s)
	return n, err
}

// noteStopped ends our direction of a stream that the peer has asked us to stop before it was accepted. The
// connection's mu is held.
func (s *Stream) noteStopped() {
	if s.send.isDone {
		return
	}
	_, err := s.c.core.Write(s.c.ep.clock.now(), streams.ID(s.id), nil)
	var stopped *streams.StoppedError
	if errors.As(err, &stopped) {
		s.send.finish(s.streamError(err))
		s.c.forgetIfDone(s)
	}
}

// doneError is the error of a direction that is finished, or was never there.
func (s *Stream) doneError(d *side, otherwise error) error {
	if d.err != nil {
		return d.err
	}
	return otherwise
}

// CloseWrite ends our direction after what was written: the peer reads io.EOF there. It does not wait.
// After Reset it does nothing.
func (s *Stream) CloseWrite() error {
	c := s.c
	c.mu.Lock()
	if s.send.isDone {
		c.mu.Unlock()
		return nil
	}
	if c.over {
		err := c.err
		c.mu.Unlock()
		return err
	}
	err := s.streamError(c.core.CloseWrite(c.ep.clock.now(), streams.ID(s.id)))
	s.endSend(ErrWriteClosed)
	return err
}

// Reset cuts our direction off: what the peer has not received is dropped, and its Read fails with
// code, below 2^62. After Close it still does so, as long as something is not acknowledged.
func (s *Stream) Reset(code uint64) error {
	if code > maxVarint {
		return fmt.Errorf("quic: stream error code %#x exceeds 2^62-1", code)
	}
	c := s.c
	c.mu.Lock()
	if c.over {
		err := c.err
		c.mu.Unlock()
		return err
	}
	// A stream that is gone already needs no reset: the error says nothing to anybody.
	_ = c.core.ResetStream(c.ep.clock.now(), streams.ID(s.id), code)
	s.endSend(&StreamError{ID: s.id, Code: code})
	return nil
}

// endSend finishes our direction and wakes a Write that waits in it. The connection's mu is held, and
// released.
func (s *Stream) endSend(err error) {
	s.send.finish(err)
	s.c.forgetIfDone(s)
	ready := s.send.ready
	s.c.drive()
	s.send.deadline.stop()
	if ready != nil {
		ready.wake()
	}
}

// SetWriteDeadline sets the deadline of Write, also of one that is waiting.
func (s *Stream) SetWriteDeadline(t time.Time) error {
	s.send.deadline.set(t)
	return nil
}

// streamError turns an error of the core about a stream into a public one.
func (s *Stream) streamError(err error) error {
	var reset *streams.ResetError
	var stopped *streams.StoppedError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &reset):
		return &StreamError{ID: s.id, Code: reset.Code, Remote: true}
	case errors.As(err, &stopped):
		return &StreamError{ID: s.id, Code: stopped.Code, Remote: true}
	case s.c.over:
		return s.c.err
	}
	return fmt.Errorf("quic: stream %d: %w", s.id, err)
}
