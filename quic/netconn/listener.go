package netconn

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/pqquic/pqquic/quic"
)

const (
	// backlog is the number of connections with a stream that may wait for Accept. Further ones are closed.
	backlog = 256
	// openTimeout is how long a client may take to open its stream after the handshake.
	openTimeout = 10 * time.Second
)

// The application error codes with which a Listener closes connections. Code 0 is that of Conn.Close.
const (
	// CodeNoStream means that the client did not open a stream within 10 seconds.
	CodeNoStream = 1
	// CodeBusy means that 256 connections were waiting for Accept.
	CodeBusy = 2
	// CodeListenerClosed means that the Listener was closed before Accept returned the connection.
	CodeListenerClosed = 3
)

// A Listener accepts connections with one stream. It implements net.Listener.
type Listener struct {
	l      *quic.Listener
	cancel context.CancelFunc // ends the goroutines
	conns  chan *Conn
	wg     sync.WaitGroup

	failed chan struct{} // closed when l does not accept any more
	err    error         // why; set before failed is closed
}

var _ net.Listener = (*Listener)(nil)

// Listen opens a UDP socket and accepts connections on it: see quic.Listen.
func Listen(network, addr string, cfg *quic.Config) (*Listener, error) {
	l, err := quic.Listen(network, addr, oneStream(cfg, 1))
	if err != nil {
		return nil, err
	}
	return NewListener(l), nil
}

// NewListener returns a Listener that takes all connections of a quic.Listener and closes it. Nothing else may call
// Accept of l.
func NewListener(l *quic.Listener) *Listener {
	ctx, cancel := context.WithCancel(context.Background())
	n := &Listener{l: l, cancel: cancel, conns: make(chan *Conn, backlog), failed: make(chan struct{})}
	n.wg.Go(func() { n.serve(ctx) })
	return n
}

// serve waits for the streams of all connections, each on a goroutine of its own, so that a client that opens none
// delays no other.
func (n *Listener) serve(ctx context.Context) {
	for {
		q, err := n.l.Accept(ctx)
		if err != nil {
			n.err = quic.ErrListenerClosed
			if ctx.Err() == nil {
				n.err = err
			}
			close(n.failed)
			return
		}
		n.wg.Go(func() { n.awaitStream(ctx, q) })
	}
}

// awaitStream waits for the stream of a connection and queues it for Accept.
func (n *Listener) awaitStream(ctx context.Context, q *quic.Conn) {
	timeout, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	s, err := q.AcceptStream(timeout)
	switch {
	case ctx.Err() != nil:
		q.CloseWithError(CodeListenerClosed, "the listener was closed")
		return
	case err != nil:
		q.CloseWithError(CodeNoStream, "no stream was opened in time")
		return
	}
	select {
	case n.conns <- &Conn{s}:
	default:
		q.CloseWithError(CodeBusy, "too many connections wait to be accepted")
	}
}

// Accept waits for a connection whose client has opened its stream. After Close, its error wraps net.ErrClosed.
func (n *Listener) Accept() (net.Conn, error) {
	select {
	case <-n.failed:
		return nil, n.err
	default:
	}
	select {
	case c := <-n.conns:
		return c, nil
	case <-n.failed:
		return nil, n.err
	}
}

// Close stops accepting. Connections that Accept has returned stay open; the socket is closed after the last of them if
// Listen has opened it.
func (n *Listener) Close() error {
	n.cancel()
	err := n.l.Close()
	n.wg.Wait()
	for {
		select {
		case c := <-n.conns:
			c.Conn().CloseWithError(CodeListenerClosed, "the listener was closed")
		default:
			return err
		}
	}
}

// Addr returns the local address of the socket.
func (n *Listener) Addr() net.Addr { return n.l.Addr() }

// Endpoint returns the Endpoint of the socket.
func (n *Listener) Endpoint() *quic.Endpoint { return n.l.Endpoint() }
