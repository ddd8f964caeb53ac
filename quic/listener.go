package quic

import (
	"context"
	"fmt"
	"net"
	"sync"

	"github.com/pqquic/pqquic/quic/internal/udp"
)

// A Listener accepts connections of an Endpoint. Its methods are safe for concurrent use.
type Listener struct {
	ep *Endpoint

	// mu is a leaf: no other lock is taken while it is held.
	mu      sync.Mutex
	queue   []*Conn
	waiting waitList
	err     error // set when it is closed
}

func newListener(e *Endpoint) *Listener { return &Listener{ep: e} }

// Listen opens a UDP socket and accepts connections on it. network is "udp", "udp4" or "udp6". An addr
// without a host means all addresses. cfg.TLS must have a certificate and an application protocol, unless
// cfg.GetTLSConfig supplies them. The socket is closed once the Listener and all its connections are
// closed. To close everything at once, use Shutdown or Close of Listener.Endpoint.
func Listen(network, addr string, cfg *Config) (*Listener, error) {
	if err := checkNetwork(network); err != nil {
		return nil, err
	}
	full, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if full.connIDLen() == 0 {
		return nil, errEmptyIDsListen
	}
	e, err := open(network, addr, full, full.Loops, full.SeparateHandshakes)
	if err != nil {
		return nil, err
	}
	l, err := e.Listen()
	if err != nil {
		e.Close()
		return nil, err
	}
	e.autoClose.Store(true)
	return l, nil
}

// open returns an Endpoint with a number of loops, each on a new socket, and possibly another one for handshakes.
func open(network, addr string, cfg *Config, loops int, split bool) (*Endpoint, error) {
	pcs, err := openSockets(network, addr, cfg, loops, split)
	if err != nil {
		return nil, err
	}
	e, err := newEndpoint(pcs, cfg)
	if err != nil {
		pcs.close()
	}
	return e, err
}

func openSockets(network, addr string, cfg *Config, loops int, split bool) (sockets, error) {
	switch {
	case split:
		pcs, err := udp.ListenSplit(network, addr)
		if err != nil {
			return sockets{}, fmt.Errorf("quic: Config.SeparateHandshakes: %w", err)
		}
		return sockets{loops: pcs[:1], handshakes: pcs[1]}, nil
	case loops > 1:
		pcs, ids, err := openLoops(network, addr, cfg, loops)
		return sockets{loops: pcs, ids: ids}, err
	}
	pc, err := net.ListenPacket(network, addr)
	return sockets{loops: []net.PacketConn{pc}}, err
}

func checkNetwork(network string) error {
	switch network {
	case "udp", "udp4", "udp6":
		return nil
	}
	return fmt.Errorf("quic: unknown network %q: use udp, udp4 or udp6", network)
}

// Accept waits for a connection whose handshake is complete, or which has sent early data that the server accepts: see
// tlsprovider.Config.EarlyData and Conn.HandshakeComplete. With Config.EnableHalfRTT it does not wait for the handshake. After Close, it returns ErrListenerClosed or
// ErrEndpointClosed, which both unwrap to net.ErrClosed.
func (l *Listener) Accept(ctx context.Context) (*Conn, error) {
	for {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		l.mu.Lock()
		if len(l.queue) > 0 {
			c := l.queue[0]
			l.queue[0] = nil
			l.queue = l.queue[1:]
			l.mu.Unlock()
			return c, nil
		}
		if l.err != nil {
			l.mu.Unlock()
			return nil, l.err
		}
		w := l.waiting.enter()
		l.mu.Unlock()
		if err := w.sleep(ctx); err != nil {
			l.mu.Lock()
			l.waiting.leave(w)
			l.mu.Unlock()
			return nil, err
		}
	}
}

// Addr returns the local address of the socket.
func (l *Listener) Addr() net.Addr { return l.ep.Addr() }

// Endpoint returns the Listener's Endpoint.
func (l *Listener) Endpoint() *Endpoint { return l.ep }

// Close stops accepting. Calls of Accept return, and clients are refused, including those whose connections
// wait for Accept. Accepted connections stay open. Closing a closed Listener is not an error.
func (l *Listener) Close() error {
	l.stop(ErrListenerClosed)
	l.ep.closeIfUnused()
	return nil
}

func (l *Listener) stop(err error) {
	l.ep.listener.CompareAndSwap(l, nil)
	var w wakeSet
	l.mu.Lock()
	if l.err == nil {
		l.err = err
	}
	queue := l.queue
	l.queue = nil
	l.waiting.addAll(&w)
	l.mu.Unlock()
	w.wake()
	for _, c := range queue {
		c.abort(err, uint64(ConnectionRefused))
	}
	ctx, cancel := closeFlushContext()
	defer cancel()
	for _, c := range queue {
		c.waitSent(ctx)
	}
}

// full reports whether as many connections wait for Accept as Config.AcceptBacklog allows.
func (l *Listener) full() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue) >= l.ep.cfg.AcceptBacklog
}

// deliver queues a connection for Accept. It returns false if there is no Listener.
func (e *Endpoint) deliver(c *Conn) bool {
	l := e.listener.Load()
	if l == nil {
		return false
	}
	var w wakeSet
	l.mu.Lock()
	if l.err != nil {
		l.mu.Unlock()
		return false
	}
	l.queue = append(l.queue, c)
	l.waiting.addAll(&w)
	l.mu.Unlock()
	e.counters.accepted.Add(1)
	w.wake()
	return true
}
