package quic

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// unused reports whether nothing keeps the Endpoint open. mu is held.
func (e *Endpoint) unused() bool {
	return e.autoClose.Load() && e.numConns.Load() == 0 && e.listener.Load() == nil && !e.noMore
}

// closeIfUnused closes an Endpoint that was made for a Listener or a Conn if that is closed.
func (e *Endpoint) closeIfUnused() {
	e.mu.Lock()
	unused := e.unused()
	e.mu.Unlock()
	if unused {
		e.Close()
	}
}

// stopConns stops new connections from being added and returns the existing ones.
func (g *common) stopConns() (conns []*Conn, l *Listener) {
	for _, e := range g.loops {
		e.mu.Lock()
		e.noMore = true
		for _, c := range e.conns {
			conns = append(conns, c)
		}
		e.mu.Unlock()
	}
	return conns, g.listener.Load()
}

// Close ends every connection at once, notifies the peers, and closes the socket. Calls that wait for
// anything on the Endpoint return ErrEndpointClosed. When Close returns, the Endpoint's goroutines have
// ended, except for calls of a Certificate.Signer that do not return. Closing a closed Endpoint is not an
// error.
func (e *Endpoint) Close() error { return e.closeBecause(ErrEndpointClosed) }

// closeBecause is like Close, but waiting calls return cause.
func (e *Endpoint) closeBecause(cause error) error {
	var err error
	e.closeOnce.Do(func() {
		conns, l := e.stopConns()
		if l != nil {
			l.stop(cause)
		}
		for _, c := range conns {
			c.abort(cause, uint64(NoError))
		}
		close(e.closed)
		ctx, cancel := closeFlushContext()
		defer cancel()
		for _, c := range conns {
			c.waitSent(ctx)
		}
		for _, m := range e.loops {
			err = errors.Join(err, m.sock.Close())
			if m.handshakeSock != nil {
				err = errors.Join(err, m.handshakeSock.Close())
			}
		}
		for _, c := range conns {
			c.endPaths() // of those that have not drained
		}
		e.running.Wait()
		e.pool.end()
		e.active.Wait()
		for _, m := range e.loops {
			m.sends.close()
			m.mu.Lock()
			m.core.Close()
			m.mu.Unlock()
		}
		e.tls.close()
		e.serving.Swap(nil).Close()
		e.closeKeys()
		e.qlogs.wait(ctx)
		close(e.done)
	})
	<-e.done
	return err
}

// Shutdown stops accepting, and closes each connection with application code 0 as soon as it has no open
// stream and nothing to deliver. When all connections have ended, it closes the Endpoint. If ctx ends
// first, Shutdown returns the cause of ctx and the remaining connections stay open: call Close to end them.
func (e *Endpoint) Shutdown(ctx context.Context) error { return e.ShutdownWithError(ctx, 0, "") }

// ShutdownWithError is like Shutdown, but closes connections with an application error code, which must be
// below 2^62, and a reason: see Conn.CloseWithError. A second call changes the code and the reason.
func (e *Endpoint) ShutdownWithError(ctx context.Context, code uint64, reason string) error {
	if code > maxVarint {
		return fmt.Errorf("quic: application error code %#x exceeds 2^62-1", code)
	}
	e.draining.Store(&ApplicationError{Code: code, Reason: reason})
	conns, l := e.stopConns()
	if l != nil {
		l.stop(ErrEndpointClosed)
	}
	for _, c := range conns {
		c.closeIfIdle()
	}
	for _, m := range e.loops {
		if err := m.waitEmpty(ctx); err != nil {
			return err
		}
	}
	return e.Close()
}

// waitEmpty waits until a loop has no connection. stopConns has been called.
func (e *Endpoint) waitEmpty(ctx context.Context) error {
	for {
		e.mu.Lock()
		if len(e.conns) == 0 {
			e.mu.Unlock()
			return nil
		}
		w := e.empty.enter()
		e.mu.Unlock()
		if err := w.sleep(ctx); err != nil {
			e.mu.Lock()
			e.empty.leave(w)
			e.mu.Unlock()
			return err
		}
	}
}

// fail closes the Endpoint because its socket failed.
func (e *Endpoint) fail(err error) {
	if isClosed(e.closed) {
		return
	}
	e.log.Error("quic: socket failed", "local", e.sock.LocalAddr(), "err", err)
	go e.closeBecause(&socketError{ErrEndpointClosed, err})
}

// closeFlushTimeout bounds how long Close waits until CONNECTION_CLOSE has been sent through a full socket.
const closeFlushTimeout = time.Second
