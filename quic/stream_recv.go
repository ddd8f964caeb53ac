package quic

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/pqquic/pqquic/quic/internal/streams"
)

// Read reads data that has arrived, in order. It blocks if there is none. It returns io.EOF when everything
// up to the end of the stream has been read.
//
// Other errors are os.ErrDeadlineExceeded, a *StreamError after the peer has reset the stream or after
// StopSending, ErrReadClosed after Close, and the connection's error. Data that had arrived when the peer
// closed the connection can still be read.
func (s *Stream) Read(p []byte) (int, error) {
	d := &s.recv
	d.turn.Lock()
	defer d.turn.Unlock()
	c, read := s.c, 0
	for {
		piece := p[read:min(len(p), read+copyPiece)]
		c.mu.Lock()
		if d.deadline.isPassed {
			c.mu.Unlock()
			if read > 0 {
				return read, nil
			}
			return 0, os.ErrDeadlineExceeded
		}
		n, err := s.tryRead(piece)
		read += n
		if n > 0 && n == len(piece) && read < len(p) {
			c.leave() // there may be more
			continue
		}
		if read > 0 {
			err = nil // returned by the next call
		}
		if read > 0 || err != nil || len(p) == 0 {
			c.leave() // flow control credit may have to be sent
			return read, err
		}
		ready := d.enter()
		c.mu.Unlock()
		<-ready
	}
}

// tryRead reads what has arrived. If it returns 0 and no error, Read has to wait. The connection's mu is held.
func (s *Stream) tryRead(p []byte) (int, error) {
	c, d := s.c, &s.recv
	if d.isDone {
		return 0, s.doneError(&d.side, ErrReadClosed)
	}
	n, err := c.core.Read(c.ep.clock.now(), streams.ID(s.id), p)
	return n, s.readError(err)
}

// readError converts the core's error of a read, and finishes the receiving direction. It returns nil if
// the read has to wait. The connection's mu is held.
func (s *Stream) readError(err error) error {
	switch {
	case err == nil, errors.Is(err, streams.ErrBlocked) && !s.c.over:
		return nil
	case err != io.EOF:
		err = s.streamError(err)
	}
	s.recv.finish(err)
	s.c.forgetIfDone(s)
	return err
}

// StopSending asks the peer to stop sending, because the application will not read any more. The peer's
// Write fails with code, which must be below 2^62. After io.EOF, StopSending does nothing.
func (s *Stream) StopSending(code uint64) error {
	if code > maxVarint {
		return fmt.Errorf("quic: stream error code %#x exceeds 2^62-1", code)
	}
	return s.closeRead(&StreamError{ID: s.id, Code: code}, code)
}

func (s *Stream) closeRead(readErr error, code uint64) error {
	c := s.c
	c.mu.Lock()
	if s.recv.isDone {
		c.mu.Unlock()
		return nil
	}
	// If the stream's end has arrived, no STOP_SENDING is sent, and what is buffered is dropped.
	_ = c.core.StopSending(c.ep.clock.now(), streams.ID(s.id), code)
	s.recv.finish(readErr)
	s.recv.whenReadable = nil
	c.forgetIfDone(s)
	ready := s.recv.ready
	c.leave()
	if ready != nil {
		ready.wake()
	}
	return nil
}

// SetReadDeadline sets the deadline of Read, including one that is waiting.
func (s *Stream) SetReadDeadline(t time.Time) error {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.recv.deadline.set(t, &s.c.mu, &s.recv.ready)
	return nil
}
