package quic

import (
	"context"
	"fmt"
	"os"
	"time"
)

// Close delivers what was written to the connection's streams and then closes the connection with
// application code 0. It waits until the peer has acknowledged everything, but at most for
// Config.CloseTimeout. After that it closes the connection and returns an error that wraps
// os.ErrDeadlineExceeded. While Close waits, data from the peer can still be read, but no data can be
// written. Closing a closed connection does nothing.
//
// Close does not end streams: the peer reads what was written, and then its Read returns an
// ApplicationError with code 0. To let the peer read io.EOF, close the streams first.
func (c *Conn) Close() error {
	err := c.linger()
	c.closeWith(true, 0, "")
	c.finish()
	return err
}

// CloseWithError closes the connection at once with an application error code, which must be below 2^62.
// Data that was not acknowledged may be lost: what was written just before is sent first, but only as much as one
// train of datagrams holds (64 KiB) and congestion control permits, and it is not repeated. Close delivers
// everything. The reason is cut to 256 bytes and sent to the peer, so it
// must not contain secrets.
func (c *Conn) CloseWithError(code uint64, reason string) error {
	if code > maxVarint {
		return fmt.Errorf("quic: application error code %#x exceeds 2^62-1", code)
	}
	c.closeWith(true, code, reason)
	c.finish()
	return nil
}

// finish waits until CONNECTION_CLOSE has been sent, and closes the Endpoint if it was made for this
// connection.
func (c *Conn) finish() {
	ctx, cancel := closeFlushContext()
	defer cancel()
	c.waitSent(ctx)
	c.ep.closeIfUnused()
	if !c.server && c.ep.autoClose.Load() && c.ep.listener.Load() == nil {
		c.ep.qlogs.wait(ctx) // the Endpoint may be closing on another goroutine
	}
}

// linger waits until everything that was written is acknowledged.
func (c *Conn) linger() error {
	timer := time.NewTimer(c.cfg.CloseTimeout)
	defer timer.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for (c.isUp || c.isEarly) && !c.over && !c.core.Flushed() {
		c.closing = true
		w := c.flushing.enter()
		c.mu.Unlock()
		select {
		case <-w:
			c.mu.Lock()
		case <-timer.C:
			c.mu.Lock()
			c.flushing.leave(w)
			return fmt.Errorf("quic: close: the peer did not acknowledge everything within Config.CloseTimeout (%v): %w",
				c.cfg.CloseTimeout, os.ErrDeadlineExceeded)
		}
	}
	return nil
}

func (c *Conn) closeWith(application bool, code uint64, reason string) {
	c.mu.Lock()
	c.core.Close(c.ep.clock.now(), application, code, reason)
	c.drive() // nothing follows that could share the packet
}

// abort closes the connection with a transport error code. Afterwards, calls on the connection return err.
// abort may be called on any goroutine, because a sender sends CONNECTION_CLOSE.
func (c *Conn) abort(err error, code uint64) {
	c.mu.Lock()
	if !c.over {
		c.override = err
	}
	now := c.ep.clock.now()
	c.core.Close(now, false, code, "")
	c.dispatch(now, false)
}

// discard ends a connection that was not added to the Endpoint. Its packets are dropped.
func (c *Conn) discard() {
	c.mu.Lock()
	now := c.ep.clock.now()
	c.core.Close(now, false, uint64(NoError), "")
	o := outputs.Get().(*output)
	defer o.release()
	c.dropPackets(now, o)
	c.over, c.err = true, ErrEndpointClosed
	c.mu.Unlock()
	c.setEnded()
	c.releaseTLS()
	c.notify(ConnEnded)
}

// releaseTLS releases the configuration that a handshake that has ended began with. A session does not need it any more: a
// ticket that arrives later is dropped if nothing else holds the configuration. No lock is held.
func (c *Conn) releaseTLS() {
	c.mu.Lock()
	p := c.tls
	c.tls = nil
	c.mu.Unlock()
	p.Close()
}

// waitSent waits until the connection is idle, which means that its last packet has been sent. Connections
// that are closed together share one ctx.
func (c *Conn) waitSent(ctx context.Context) {
	c.mu.Lock()
	for c.driving || c.queued {
		w := c.waitingSent.enter()
		c.mu.Unlock()
		if w.sleep(ctx) != nil {
			return
		}
		c.mu.Lock()
	}
	c.mu.Unlock()
}

// closeFlushContext returns a context that bounds waitSent.
func closeFlushContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), closeFlushTimeout)
}

// idle reports whether the connection has no stream open and nothing to deliver, so that Shutdown may
// close it.
func (c *Conn) idle() bool {
	return (c.isUp || c.isEarly) && !c.over &&
		c.streams.len() == 0 && len(c.incoming[0])+len(c.incoming[1]) == 0 && c.core.Flushed()
}

// closeIfIdle is called when Shutdown begins. From then on, each driver checks whether its connection is
// idle.
func (c *Conn) closeIfIdle() {
	c.mu.Lock()
	if !c.isUp && !c.isEarly {
		c.override = ErrEndpointClosed
		c.core.Close(c.ep.clock.now(), false, uint64(ConnectionRefused), "")
	}
	c.leave()
}
