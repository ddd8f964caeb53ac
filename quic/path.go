package quic

import (
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/datagram"
	"github.com/pqquic/pqquic/quic/internal/udp"
)

// The errors of paths.
var (
	// ErrMigrationDisabled means that the server does not permit its clients to change their addresses.
	ErrMigrationDisabled = errors.New("quic: the server does not permit clients to change their addresses (disable_active_migration)")
	// ErrTooManyPaths means that a connection has as many paths as are possible. Close one of them.
	ErrTooManyPaths = errors.New("quic: the connection has as many paths as are possible")
	// ErrPathFailed means that a path was given up because nothing that was sent on it was answered, or because another
	// path is in use.
	ErrPathFailed = errors.New("quic: the path was given up")
)

// A Path is a network path of a client's connection from another socket than the Endpoint's. See Conn.AddPath.
type Path struct {
	conn *Conn
	sock *udp.Conn
	// validated and gone are closed, and id and err are set, with conn.mu held.
	validated chan struct{}
	gone      chan struct{}
	id        uint32 // 0 while the path waits for a connection ID of the server
	err       error
}

// AddPath adds a path from another socket to the server, and begins to validate it (RFC 9000, section 9). pc may be bound to
// an address of another network. It must reach the server's address, is used by this connection only, and is closed with
// the path. If AddPath returns an error, pc stays open. AddPath does not block, and the connection does not use the path
// before Path.Switch.
//
// If the handshake is not confirmed yet, or the server has not provided a connection ID for another path, the path waits.
// Only clients can add paths: servers follow them.
func (c *Conn) AddPath(pc net.PacketConn) (*Path, error) {
	if c.server {
		return nil, fmt.Errorf("quic: AddPath: %w", core.ErrServerMigrates)
	}
	sock, err := udp.New(pc, c.ep.log)
	if err != nil {
		return nil, fmt.Errorf("quic: AddPath: %w", err)
	}
	if !c.ep.reserve() {
		return nil, ErrEndpointClosed
	}
	p := &Path{conn: c, sock: sock, validated: make(chan struct{}), gone: make(chan struct{})}
	c.mu.Lock()
	if err := c.tryPath(p); err != nil {
		c.mu.Unlock()
		c.ep.running.Done()
		return nil, err
	}
	c.paths = append(c.paths, p)
	c.leave()
	go (&socketReader{ep: c.ep, sock: sock, path: p}).run()
	return p, nil
}

// reserve adds a goroutine to those that Close waits for. It returns false if the Endpoint is closing.
func (e *Endpoint) reserve() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.noMore {
		e.running.Add(1)
	}
	return !e.noMore
}

// tryPath passes a path to the core. If the core cannot take it yet, the path waits. mu is held.
func (c *Conn) tryPath(p *Path) error {
	id, err := c.core.AddPath(c.ep.clock.now(), p.sock.LocalAddr())
	switch {
	case err == nil:
		p.id = id
	case errors.Is(err, core.ErrNotConfirmed), errors.Is(err, core.ErrNoUnusedConnID):
	case errors.Is(err, core.ErrMustStay):
		return ErrMigrationDisabled
	case errors.Is(err, core.ErrTooManyPaths):
		return ErrTooManyPaths
	default:
		return endError(err)
	}
	return nil
}

// retryPaths passes the paths that wait to the core. mu is held.
func (c *Conn) retryPaths(out *outcome) {
	for _, p := range slices.Clone(c.paths) {
		if p.id == 0 {
			if err := c.tryPath(p); err != nil {
				c.endPath(p, err, out)
			}
		}
	}
}

// handlePathEvent handles an event of the core. mu is held.
func (c *Conn) handlePathEvent(ev core.Event, out *outcome) {
	for _, p := range c.paths {
		switch {
		case p.id != ev.Path:
		case ev.Kind == core.EventPathValidated:
			if !isClosed(p.validated) { // it may be validated again
				close(p.validated)
			}
		default:
			c.endPath(p, ErrPathFailed, out)
			return
		}
	}
}

// endPath ends a path. Its socket is closed after mu is released. mu is held.
func (c *Conn) endPath(p *Path, err error, out *outcome) {
	c.paths = slices.DeleteFunc(c.paths, func(o *Path) bool { return o == p })
	p.err = err
	close(p.gone)
	out.paths = append(out.paths, p)
}

// endPaths ends all paths of a connection that has ended.
func (c *Conn) endPaths() {
	var out outcome
	c.mu.Lock()
	for len(c.paths) > 0 {
		c.endPath(c.paths[0], c.err, &out)
	}
	c.mu.Unlock()
	out.closePaths()
}

func (out *outcome) closePaths() {
	for _, p := range out.paths {
		_ = p.sock.Close()
	}
	out.paths = nil
}

// socketOf returns the socket from which to send on a path. mu is held.
func (c *Conn) socketOf(addrs datagram.Path) *udp.Conn {
	for _, p := range c.paths {
		if p.sock.LocalAddr() == addrs.Local {
			return p.sock
		}
	}
	return c.ep.sock
}

// Validated returns a channel that is closed when the path has been validated: datagrams of 1200 bytes arrive in both
// directions.
func (p *Path) Validated() <-chan struct{} { return p.validated }

// Done returns a channel that is closed when the path is given up, because its validation has failed, another path is in use,
// or Close was called, or when the connection has ended.
func (p *Path) Done() <-chan struct{} { return p.gone }

// Err returns nil if Done is not closed, and otherwise why the path has ended: ErrPathFailed, an error that wraps
// net.ErrClosed, or the error of the connection.
func (p *Path) Err() error {
	p.conn.mu.Lock()
	defer p.conn.mu.Unlock()
	return p.err
}

// LocalAddr returns the address of the path's socket.
func (p *Path) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(p.sock.LocalAddr()) }

// Switch moves the connection to the path. It is best called when the path is validated. Before that, the connection may
// stand still until the validation succeeds, or fails and the connection returns to the path that it has left. A path that is
// left is given up soon after the new one is validated; if it was the Endpoint's, its socket stays open.
func (p *Path) Switch() error {
	c := p.conn
	c.mu.Lock()
	err := p.err
	switch {
	case err == nil && p.id == 0:
		err = core.ErrNoUnusedConnID
	case err == nil:
		err = endError(c.core.SwitchPath(c.ep.clock.now(), p.id))
	}
	c.drive()
	if err != nil {
		return fmt.Errorf("quic: switch path: %w", err)
	}
	return nil
}

// Close gives the path up and closes its socket. The path in use cannot be closed: use Conn.Close, or another path.
func (p *Path) Close() error {
	c := p.conn
	c.mu.Lock()
	if p.err != nil {
		c.mu.Unlock()
		return nil
	}
	if p.id != 0 {
		if err := c.core.RemovePath(c.ep.clock.now(), p.id); err != nil {
			c.mu.Unlock()
			return fmt.Errorf("quic: close path: %w", err)
		}
	}
	var out outcome
	c.endPath(p, fmt.Errorf("quic: path: %w", net.ErrClosed), &out)
	c.leave()
	out.closePaths()
	return nil
}
