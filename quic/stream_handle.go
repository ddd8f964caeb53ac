package quic

import (
	"context"
	"errors"
	"os"

	"github.com/pqquic/pqquic/quic/internal/streams"
)

// handlers are the functions that a connection calls: those that take the peer's streams in place of AcceptStream and
// AcceptUniStream, and that of WhenEnded, which calls all of them if there are several.
type handlers struct {
	bidi  func(*Stream)
	uni   func(*ReceiveStream)
	ended func()
}

// HandleStreams calls bidi or uni for each stream that the peer opens, on a goroutine of the stream's own, including the
// streams that wait for AcceptStream or AcceptUniStream. It takes the place of the goroutines that wait in these methods,
// which an idle connection then does not need: with a function, the method returns no more streams. If a function is nil, its
// streams are still accepted by the method.
//
// Config.MaxIncomingStreams and MaxIncomingUniStreams bound the number of goroutines: a stream whose function has not closed
// or reset it counts, even if the peer has aborted it. A panic in a function is not recovered. Functions are not called for
// streams that are opened by early data before the connection accepts them.
func (c *Conn) HandleStreams(bidi func(*Stream), uni func(*ReceiveStream)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.handlersLocked()
	h.bidi, h.uni = bidi, uni
	for i := range c.incoming {
		c.startHandlers(i)
	}
}

// handlersLocked returns the functions of the connection. mu is held.
func (c *Conn) handlersLocked() *handlers {
	if c.handlers == nil {
		c.handlers = new(handlers)
	}
	return c.handlers
}

// startHandlers starts the goroutines of the streams that wait to be accepted, if there is a function for them. mu is held.
func (c *Conn) startHandlers(i int) {
	h := c.handlers
	if h == nil || i == 0 && h.bidi == nil || i == 1 && h.uni == nil {
		return
	}
	for len(c.incoming[i]) > 0 {
		s := c.takeIncoming(i)
		if i == 0 {
			go h.bidi(s)
		} else {
			go h.uni(&ReceiveStream{s})
		}
	}
}

// WhenReadable calls f, once and on a goroutine of its own, as soon as Read would not wait: data or the end of the stream
// has arrived, or the stream or the connection has failed. It replaces the function of an earlier call that was not
// called. A stream that is read only after f was called needs no goroutine while it waits. After StopSending or Close, f
// is not called.
func (s *ReceiveStream) WhenReadable(f func()) {
	c := s.s.c
	c.mu.Lock()
	b, err := s.s.tryPeek(1)
	if len(b) > 0 || err != nil || c.over {
		go f()
	} else {
		s.s.recv.whenReadable = f
	}
	c.leave()
}

// startReadable starts the function of WhenReadable, if there is one. The connection's mu is held.
func (d *recvSide) startReadable() {
	if f := d.whenReadable; f != nil {
		d.whenReadable = nil
		go f()
	}
}

// WhenReset calls f, once and on a goroutine of its own, when the peer resets its sending direction. f receives the error that
// Read returns. It replaces the function of an earlier call. A handler that does not read can so learn that the peer has
// given up; Context reports whether the peer still reads.
func (s *Stream) WhenReset(f func(error)) {
	c := s.c
	c.mu.Lock()
	s.recv.whenReset = f
	if _, err := s.tryPeek(0); err != nil {
		s.recv.startReset()
	}
	c.leave()
}

// startReset starts the function of WhenReset if the peer has reset the stream. The connection's mu is held.
func (d *recvSide) startReset() {
	var se *StreamError
	f, err := d.whenReset, d.err
	if f != nil && errors.As(err, &se) && se.Remote {
		d.whenReset = nil
		go f(err)
	}
}

// WhenStopped calls f, once and on a goroutine of its own, when the peer asks this side to stop sending. f receives the error that Write
// returns. It replaces the function of an earlier call. A stream on which nothing is written for long, such as HTTP/3's control stream,
// so notices at once that the peer does not read it.
func (s *SendStream) WhenStopped(f func(error)) {
	c := s.s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	s.s.send.whenStopped = f
	s.s.send.startStopped()
}

// startStopped starts the function of WhenStopped if the peer has stopped the stream. The connection's mu is held.
func (d *sendSide) startStopped() {
	var se *StreamError
	f, err := d.whenStopped, d.err
	if f != nil && errors.As(err, &se) && se.Remote {
		d.whenStopped = nil
		go f(err)
	}
}

// WriteEnd writes p and ends the sending direction, like Write followed by CloseWrite. If p fits into the send buffer, both
// are one step, and the end is in the same packet as the last byte.
func (s *Stream) WriteEnd(p []byte) (int, error) {
	s.send.turn.Lock()
	defer s.send.turn.Unlock()
	written := 0
	if len(p) <= copyPiece {
		c := s.c
		c.mu.Lock()
		if s.send.deadline.isPassed {
			c.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		}
		n, err := s.tryWrite(p)
		if err == nil && n == len(p) {
			err = s.streamError(c.core.CloseWrite(c.ep.clock.now(), streams.ID(s.id)))
			s.endSend(ErrWriteClosed)
			return n, err
		}
		c.follow(n)
		if err != nil {
			return n, err
		}
		written = n
	}
	n, err := s.write(p[written:])
	if written += n; err != nil {
		return written, err
	}
	return written, s.CloseWrite()
}

// Flush waits until the peer has acknowledged everything that was written to the connection's streams, with their ends if
// they were closed. If ctx ends first, Flush returns its cause.
func (c *Conn) Flush(ctx context.Context) error {
	for {
		c.mu.Lock()
		switch {
		case c.over:
			err := c.err
			c.mu.Unlock()
			return err
		case c.core.Flushed():
			c.mu.Unlock()
			return nil
		}
		w := c.flushing.enter()
		c.mu.Unlock()
		if err := w.sleep(ctx); err != nil {
			c.mu.Lock()
			c.flushing.leave(w)
			c.mu.Unlock()
			return err
		}
	}
}
