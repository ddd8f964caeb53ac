package quic

import (
	"context"
	"errors"

	"github.com/pqquic/pqquic/quic/internal/streams"
)

// OpenStream opens a bidirectional stream. It waits while the peer's limit on streams is reached. The
// peer learns of the stream with the first bytes, or its end. With a ctx that is done already OpenStream
// does not wait: it returns a stream if the limit permits one, and else the context's error.
func (c *Conn) OpenStream(ctx context.Context) (*Stream, error) { return c.open(ctx, false) }

// OpenUniStream opens a stream on which only we send.
func (c *Conn) OpenUniStream(ctx context.Context) (*SendStream, error) {
	s, err := c.open(ctx, true)
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

func (c *Conn) open(ctx context.Context, uni bool) (*Stream, error) {
	list := &c.opening[uniIndex(uni)]
	return c.wait(ctx, list, func() (*Stream, error) {
		if c.closing {
			return nil, errClosing
		}
		id, err := c.core.OpenStream(c.ep.clock.now(), uni)
		if err != nil {
			return nil, err
		}
		s := c.newStream(StreamID(id))
		s.recv.isDone = uni
		return s, nil
	})
}

func (c *Conn) accept(ctx context.Context, uni bool) (*Stream, error) {
	list := &c.accepting[uniIndex(uni)]
	return c.wait(ctx, list, func() (*Stream, error) {
		queue := &c.incoming[uniIndex(uni)]
		if len(*queue) == 0 {
			return nil, streams.ErrBlocked
		}
		s := c.newStream((*queue)[0])
		*queue = (*queue)[1:]
		s.send.isDone = uni
		return s, nil
	})
}

// errClosing is what calls for something new return while Close waits.
var errClosing error = &closedError{text: "the connection is being closed"}

// wait tries, with mu held, until the answer is something else than that it would block.
func (c *Conn) wait(ctx context.Context, list *waitList, try func() (*Stream, error)) (*Stream, error) {
	for {
		c.mu.Lock()
		s, err := try()
		switch {
		case err == nil:
			c.drive()
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
			c.drive() // STREAMS_BLOCKED may have to be sent
			return nil, context.Cause(ctx)
		}
		w := list.enter()
		c.drive() // likewise
		if err := w.sleep(ctx); err != nil {
			c.mu.Lock()
			list.leave(w)
			c.mu.Unlock()
			return nil, err
		}
	}
}

// newStream makes the handle of a stream. mu is held.
func (c *Conn) newStream(id StreamID) *Stream {
	s := &Stream{c: c, id: id}
	if c.streams == nil {
		c.streams = make(map[StreamID]*Stream)
	}
	c.streams[id] = s
	return s
}

// forgetIfDone drops a stream on which the application can do nothing more. mu is held.
func (c *Conn) forgetIfDone(s *Stream) {
	if s.send.isDone && s.recv.isDone {
		delete(c.streams, s.id)
	}
}
