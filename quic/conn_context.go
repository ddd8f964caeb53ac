package quic

import (
	"context"
	"sync/atomic"
)

// A lifetime tells the application of the two changes of a connection: its handshake is complete, and it has ended. The
// channel and the context are made when they are first asked for: they take 300 bytes, and most connections of a server
// need neither. The connection's mu guards the fields, but ended can be read without it.
type lifetime struct {
	complete chan struct{}   // nil until it is asked for; closedChannel once the handshake is complete
	ctx      context.Context // the parent of the context until that is asked for
	cancel   context.CancelCauseFunc
	ended    atomic.Bool
}

// closedChannel is the channel of each connection whose handshake is complete.
var closedChannel = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// HandshakeComplete returns a channel that is closed when the handshake is complete. If the connection
// ends before that, the channel stays open: see Context.
func (c *Conn) HandshakeComplete() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life.complete == nil {
		c.life.complete = make(chan struct{})
	}
	return c.life.complete
}

// Context returns a context that is canceled when the connection ends. context.Cause returns the error that
// calls return from then on.
func (c *Conn) Context() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.context()
}

// context is Context with mu held.
func (c *Conn) context() context.Context {
	l := &c.life
	if l.cancel == nil {
		l.ctx, l.cancel = context.WithCancelCause(l.ctx)
		if l.ended.Load() {
			l.cancel(c.err)
		}
	}
	return l.ctx
}

// WhenEnded calls f, once and on a goroutine of its own, when the connection has ended, which may be now. It does not replace the
// functions of earlier calls: package http3 has one, too. It takes less memory than context.AfterFunc with Context, which is for
// servers with many connections: Context takes 600 bytes with such a function.
func (c *Conn) WhenEnded(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life.ended.Load() {
		go f()
		return
	}
	h := c.handlersLocked()
	if before := h.ended; before != nil {
		h.ended = func() {
			go before()
			f()
		}
		return
	}
	h.ended = f
}

// setComplete closes the channel of HandshakeComplete. No lock is held.
func (c *Conn) setComplete() {
	c.mu.Lock()
	waiting := c.life.complete
	c.life.complete = closedChannel
	c.mu.Unlock()
	if waiting != nil {
		close(waiting)
	}
}

// setEnded cancels the context and starts the functions of WhenEnded. c.err is set, and no lock is held, because the functions of
// context.AfterFunc and derived contexts may call the connection.
func (c *Conn) setEnded() {
	c.mu.Lock()
	c.life.ended.Store(true)
	cancel := c.life.cancel
	if h := c.handlers; h != nil && h.ended != nil {
		go h.ended()
		h.ended = nil
	}
	c.mu.Unlock()
	if cancel != nil {
		cancel(c.err)
	}
}
