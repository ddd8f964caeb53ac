package quic

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/pqquic/pqquic/quic/internal/streams"
)

// OpenStream opens a bidirectional stream. It waits while the peer's stream limit is reached. If ctx ends
// first, the error wraps ErrStreamLimit and the cause of ctx. The peer learns of the stream when it
// receives the stream's first bytes or its end.
func (c *Conn) OpenStream(ctx context.Context) (*Stream, error) { return c.open(ctx, false) }

// TryOpenStream is like OpenStream but does not wait. If the peer's stream limit is reached, it returns an
// error that wraps ErrStreamLimit.
func (c *Conn) TryOpenStream() (*Stream, error) { return c.tryOpen(false) }

// OpenUniStream opens a stream on which only this side sends. It waits like OpenStream.
func (c *Conn) OpenUniStream(ctx context.Context) (*SendStream, error) {
	s, err := c.open(ctx, true)
	if err != nil {
		return nil, err
	}
	return &SendStream{s}, nil
}

// TryOpenUniStream is like OpenUniStream but does not wait: see TryOpenStream.
func (c *Conn) TryOpenUniStream() (*SendStream, error) {
	s, err := c.tryOpen(true)
	if err != nil {
		return nil, err
	}
	return &SendStream{s}, nil
}

// AcceptStream waits for the next bidirectional stream that the peer opens.
func (c *Conn) AcceptStream(ctx context.Context) (*Stream, error) { return c.accept(ctx, false) }

// AcceptUniStream waits for the next stream on which only the peer sends.
func (c *Conn) AcceptUniStream(ctx context.Context) (*ReceiveStream, error) {
	s, err := c.accept(ctx, true)
	if err != nil {
		return nil, err
	}
	return &ReceiveStream{s}, nil
}

// Announce tells the peer of a stream on which nothing was written, so that its AcceptStream returns. It is for
// protocols in which the side that accepts the stream writes first. It does not wait.
func (s *Stream) Announce() error {
	c := s.c
	c.mu.Lock()
	if c.over {
		err := c.err
		c.mu.Unlock()
		return err
	}
	err := s.streamError(c.core.Announce(c.ep.clock.now(), streams.ID(s.id)))
	c.leave()
	return err
}

func (c *Conn) open(ctx context.Context, uni bool) (*Stream, error) {
	list := &c.opening[uniIndex(uni)]
	limited := false
	s, err := c.wait(ctx, list, func() (*Stream, error) {
		s, err := c.openLocked(uni)
		limited = errors.Is(err, streams.ErrLimit)
		return s, err
	})
	if err != nil && limited {
		err = c.limitError(uni, err)
	}
	return s, err
}

func (c *Conn) tryOpen(uni bool) (*Stream, error) {
	c.mu.Lock()
	s, err := c.openLocked(uni)
	if err != nil && c.over {
		err = c.err
	}
	c.leave() // STREAMS_BLOCKED may have to be sent
	if errors.Is(err, streams.ErrLimit) {
		err = c.limitError(uni, nil)
	}
	return s, err
}

// openLocked opens a stream if the peer's limit permits one. mu is held.
func (c *Conn) openLocked(uni bool) (*Stream, error) {
	if c.closing {
		return nil, errClosing
	}
	id, err := c.core.OpenStream(c.ep.clock.now(), uni)
	if err != nil {
		return nil, endError(err)
	}
	s := c.newStream(StreamID(id))
	s.recv.isDone = uni
	return s, nil
}

// limitError returns the error for the peer's stream limit. cause is the reason why the call stopped
// waiting, or nil.
func (c *Conn) limitError(uni bool, cause error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := &streamLimitError{uni: uni, limit: c.core.StreamLimit(uni), cause: cause}
	for s := range c.streams.all() {
		if id := s.id; id.Client() != c.server && id.Unidirectional() == uni {
			e.open++
		}
	}
	return e
}

// A streamLimitError is the error of opening a stream when the peer's stream limit is reached.
type streamLimitError struct {
	uni   bool
	limit int64 // number of streams allowed since the connection began
	open  int64 // number of our streams that the application has not finished
	cause error
}

func (e *streamLimitError) Error() string {
	kind := "streams"
	if e.uni {
		kind = "unidirectional streams"
	}
	s := fmt.Sprintf("quic: open stream: the peer allows %d %s, all in use", e.limit, kind)
	if e.open < e.limit {
		s = fmt.Sprintf("quic: open stream: the peer has allowed %d %s so far, of which %d are open here: it allows "+
			"more when streams are finished on both sides", e.limit, kind, e.open)
	}
	if e.cause != nil {
		s += ": " + e.cause.Error()
	}
	return s
}

func (e *streamLimitError) Unwrap() []error {
	if e.cause == nil {
		return []error{ErrStreamLimit}
	}
	return []error{ErrStreamLimit, e.cause}
}
func (e *streamLimitError) Timeout() bool {
	var t net.Error
	return errors.As(e.cause, &t) && t.Timeout()
}
func (e *streamLimitError) Temporary() bool { return false }

// accept waits for a stream of the peer. A goroutine that does so is a part of what a server holds for an idle
// connection. It does not drive the connection, so that its stack stays small.
func (c *Conn) accept(ctx context.Context, uni bool) (*Stream, error) {
	i := uniIndex(uni)
	for {
		c.mu.Lock()
		switch {
		case len(c.incoming[i]) > 0:
			s := c.takeIncoming(i)
			c.mu.Unlock()
			return s, nil
		case c.over:
			err := c.err
			c.mu.Unlock()
			return nil, err
		case ctx.Err() != nil:
			c.mu.Unlock()
			return nil, context.Cause(ctx)
		}
		w := c.accepting[i].enter()
		c.mu.Unlock()
		if err := w.sleep(ctx); err != nil {
			c.mu.Lock()
			c.accepting[i].leave(w)
			c.mu.Unlock()
			return nil, err
		}
	}
}

// takeIncoming removes and returns the first stream that waits to be accepted. mu is held. The peer may have stopped it
// already. That gives no credit for another stream, because the end of this one has not been read.
func (c *Conn) takeIncoming(i int) *Stream {
	s := c.newStream(c.incoming[i][0])
	c.incoming[i] = c.incoming[i][1:]
	s.send.isDone = i == 1
	if i == 0 {
		s.noteStopped()
	}
	return s
}

// errClosing is the error of opening a stream or writing while Close waits.
var errClosing error = &closedError{text: "the connection is being closed"}

// wait calls try, with mu held, until it returns without being blocked by the peer or ctx ends.
func (c *Conn) wait(ctx context.Context, list *waitList, try func() (*Stream, error)) (*Stream, error) {
	for {
		c.mu.Lock()
		s, err := try()
		switch {
		case err == nil:
			c.leave()
			return s, nil
		case c.over:
			err := c.err
			c.mu.Unlock()
			return nil, err
		case !errors.Is(err, streams.ErrBlocked) && !errors.Is(err, streams.ErrLimit):
			c.mu.Unlock()
			return nil, err
		}
		if ctx.Err() != nil {
			c.leave() // STREAMS_BLOCKED may have to be sent
			return nil, context.Cause(ctx)
		}
		w := list.enter()
		c.leave() // as above
		if err := w.sleep(ctx); err != nil {
			c.mu.Lock()
			list.leave(w)
			c.mu.Unlock()
			return nil, err
		}
	}
}

// newStream returns a new Stream for an ID. mu is held.
func (c *Conn) newStream(id StreamID) *Stream {
	s := &Stream{c: c, id: id}
	if c.streams == nil {
		c.streams = new(streamTable)
	}
	c.streams.add(s)
	return s
}

// forgetIfDone removes a stream if both directions are finished. mu is held.
func (c *Conn) forgetIfDone(s *Stream) {
	if s.send.isDone && s.recv.isDone {
		c.streams.remove(s.id)
	}
}
