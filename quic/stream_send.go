package quic

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/pqquic/pqquic/quic/internal/streams"
)

// Write copies p into the stream's send buffer. It blocks while the buffer is full, because the peer does
// not read or the network is slow. It returns when all of p is in the buffer, which does not mean that the
// peer has received it: see Conn.Close. The data of concurrent Writes is not interleaved.
//
// The error is os.ErrDeadlineExceeded, a *StreamError after the peer has asked us to stop or after Reset,
// ErrWriteClosed after Close, or the connection's error. A part of p may be in the buffer even if Write
// fails.
func (s *Stream) Write(p []byte) (int, error) {
	s.send.turn.Lock()
	n, err := s.write(p) // no deferred Unlock, for a smaller stack: see Conn.leave
	s.send.turn.Unlock()
	return n, err
}

// TryWrite copies as much of p into the stream's send buffer as there is room for, without waiting, and returns how much
// that is: 0 if the buffer is full or another goroutine is writing. The rest can be given to Write, which waits. The errors
// are those of Write. A write deadline has no effect.
func (s *Stream) TryWrite(p []byte) (int, error) {
	if !s.send.turn.TryLock() {
		return 0, nil
	}
	defer s.send.turn.Unlock()
	written := 0
	for {
		piece := p[written:min(len(p), written+copyPiece)]
		s.c.mu.Lock()
		n, err := s.tryWrite(piece)
		written += n
		s.c.follow(n)
		if err != nil || n < len(piece) || written == len(p) {
			return written, err
		}
	}
}

// write is Write. turn is held.
func (s *Stream) write(p []byte) (int, error) {
	c, d, written := s.c, &s.send, 0
	for {
		piece := p[written:min(len(p), written+copyPiece)]
		c.mu.Lock()
		if d.deadline.isPassed {
			c.mu.Unlock()
			return written, os.ErrDeadlineExceeded
		}
		n, err := s.tryWrite(piece)
		written += n
		if err != nil || written == len(p) {
			c.follow(n)
			return written, err
		}
		if n == len(piece) {
			c.follow(n)
			continue
		}
		ready := d.enter()
		c.follow(n)
		<-ready
	}
}

// follow follows a Write of n bytes. It is called with mu held and returns without it.
func (c *Conn) follow(n int) {
	if n < ownTrain {
		c.leave()
	} else {
		c.drive()
	}
}

// tryWrite writes as much of p as there is room for. If it returns no error, the rest must wait. The
// connection's mu is held.
func (s *Stream) tryWrite(p []byte) (int, error) {
	if err := s.canWrite(); err != nil {
		return 0, err
	}
	n, err := s.c.core.Write(s.c.ep.clock.now(), streams.ID(s.id), p)
	return n, s.writeError(err)
}

// canWrite returns the error of a write that cannot be given to the core, or nil. The connection's mu is held.
func (s *Stream) canWrite() error {
	switch c := s.c; {
	case s.send.isDone:
		s.learnStopped()
		return s.doneError(&s.send.side, ErrWriteClosed)
	case c.over:
		return c.err
	case c.closing:
		return errClosing
	}
	return nil
}

// writeError converts the core's error of a write, and finishes the sending direction. It returns nil if
// the write has to wait. The connection's mu is held.
func (s *Stream) writeError(err error) error {
	if err == nil || errors.Is(err, streams.ErrBlocked) {
		return nil
	}
	err = s.streamError(err)
	s.send.finish(err)
	s.c.forgetIfDone(s)
	return err
}

// noteStopped ends our direction of a stream if the peer asked us to stop sending before the stream was accepted. The
// connection's mu is held.
func (s *Stream) noteStopped() {
	_, err := s.c.core.Write(s.c.ep.clock.now(), streams.ID(s.id), nil)
	if err == nil {
		return
	}
	var stopped *streams.StoppedError // allocated
	if errors.As(err, &stopped) {
		s.send.finish(s.streamError(err))
		s.c.forgetIfDone(s)
	}
}

// learnStopped tells the core that the application knows that the peer has stopped us. Until then the
// stream counts against the peer's limit, because the application may still work for it. The connection's
// mu is held.
func (s *Stream) learnStopped() {
	if s.send.wasStopped {
		s.send.wasStopped = false
		// Write returns the StoppedError that is in s.send.err, or the connection has ended.
		_, _ = s.c.core.Write(s.c.ep.clock.now(), streams.ID(s.id), nil)
	}
}

// doneError returns the error of a direction that is finished, or otherwise if the stream does not have
// this direction.
func (s *Stream) doneError(d *side, otherwise error) error {
	if d.err != nil {
		return d.err
	}
	return otherwise
}

// CloseWrite ends the sending direction after what was written. The peer then reads io.EOF. CloseWrite does
// not wait. After Reset, it does nothing. The error is the connection's.
//
// The end usually shares a packet with the data of a Write just before.
func (s *Stream) CloseWrite() error {
	c := s.c
	c.mu.Lock()
	if s.send.isDone {
		s.learnStopped()
		c.leave() // the peer may get credit for another stream
		return nil
	}
	if c.over {
		s.send.deadline.stop()
		err := c.err
		c.mu.Unlock()
		return err
	}
	err := s.streamError(c.core.CloseWrite(c.ep.clock.now(), streams.ID(s.id)))
	s.endSend(ErrWriteClosed)
	return err
}

// Reset aborts the sending direction: data that the peer has not received is dropped, and its Read fails
// with code, which must be below 2^62. After Close, Reset has this effect if the peer has not acknowledged
// everything.
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
	// The error means that the stream is finished, and needs no reset.
	_ = c.core.ResetStream(c.ep.clock.now(), streams.ID(s.id), code)
	s.endSend(&StreamError{ID: s.id, Code: code})
	return nil
}

// ResetAt aborts the sending direction like Reset, but still delivers the first size bytes that were written: the peer
// reads them before its Read fails with code. Applications use it if the beginning of a stream says what the stream is
// (RESET_STREAM_AT, draft-ietf-quic-reliable-stream-reset). It may be called again with a smaller size, and after Close
// and CloseWrite; the peer then sees the first code.
//
// If the peer does not accept RESET_STREAM_AT (Config.EnableResetStreamAt), the error wraps errors.ErrUnsupported and
// nothing happens. The same goes for a size above the number of bytes that were written.
func (s *Stream) ResetAt(code uint64, size int64) error {
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
	err := c.core.ResetStreamAt(c.ep.clock.now(), streams.ID(s.id), code, size)
	switch {
	case errors.Is(err, streams.ErrResetAtUnsupported):
		c.mu.Unlock()
		return fmt.Errorf("quic: the peer does not accept RESET_STREAM_AT: %w", errors.ErrUnsupported)
	case errors.Is(err, streams.ErrResetAtSize):
		c.mu.Unlock()
		return fmt.Errorf("quic: stream %d has fewer than %d bytes to be delivered", s.id, size)
	}
	// Other errors mean that the stream is finished.
	s.endSend(&StreamError{ID: s.id, Code: code})
	return nil
}

// SetPriority sets the priority of the data that this side sends on the stream, with the parameters of RFC 9218.
// urgency is from 0, the most urgent, to 7; other values are changed to the nearest of these. A stream sends nothing
// while one of a lower number has something to send, except for data that was lost. Streams of the same urgency share
// the bandwidth if they are incremental; the others send one after another, in the order of their IDs. If an urgency has
// both kinds of streams, the two kinds take turns.
//
// All streams begin with urgency 3, incremental. Priorities concern the streams of one connection, in one direction: the
// peer does not learn of them.
func (s *Stream) SetPriority(urgency int, incremental bool) {
	s.c.SetStreamPriority(s.id, urgency, incremental)
}

// SetStreamPriority is Stream.SetPriority for the stream with an ID, which may not have been accepted yet. If the connection has
// no such stream, it does nothing.
func (c *Conn) SetStreamPriority(id StreamID, urgency int, incremental bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.core.SetStreamPriority(streams.ID(id), uint8(min(max(urgency, 0), 7)), incremental)
}

// endSend finishes the sending direction and wakes a waiting Write. It is called with the connection's mu
// held and releases it.
func (s *Stream) endSend(err error) {
	s.send.finish(err)
	s.c.forgetIfDone(s)
	ready := s.send.ready
	s.c.leave()
	if ready != nil {
		ready.wake()
	}
}

// SetWriteDeadline sets the deadline of Write, including one that is waiting.
func (s *Stream) SetWriteDeadline(t time.Time) error {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.send.deadline.set(t, &s.c.mu, &s.send.ready)
	return nil
}

// streamError converts an error of the core about a stream.
func (s *Stream) streamError(err error) error {
	if err == nil { // before the variables below, which are allocated
		return nil
	}
	var reset *streams.ResetError
	var stopped *streams.StoppedError
	switch {
	case errors.As(err, &reset):
		return &StreamError{ID: s.id, Code: reset.Code, Remote: true}
	case errors.As(err, &stopped):
		return &StreamError{ID: s.id, Code: stopped.Code, Remote: true}
	case s.c.over:
		return s.c.err
	}
	if ended := endError(err); ended != err {
		return ended
	}
	return fmt.Errorf("quic: stream %d: %w", s.id, err)
}
