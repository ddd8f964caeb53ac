// Command netbench-driver-xnet runs the scenarios of netbench on golang.org/x/net/quic.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"time"

	xquic "golang.org/x/net/quic"

	"github.com/pqquic/pqquic/cmd/internal/driver"
	"github.com/pqquic/pqquic/cmd/internal/drivercli"
	"github.com/pqquic/pqquic/cmd/internal/stats"
	"github.com/pqquic/pqquic/cmd/internal/transport/tcp"
	"github.com/pqquic/pqquic/tlsprovider"
)

func main() {
	drivercli.Main("netbench-driver-xnet", drivercli.Stack{Name: "xnet", New: func(o *drivercli.Options) (drivercli.Transport, error) {
		return &transport{o}, o.Refuse("x/net/quic")
	}})
}

type transport struct{ opt *drivercli.Options }

func (t *transport) Stack() driver.Stack {
	return driver.Stack{Classify: classify, Provenance: stats.Provenance{Transport: "xnet", Provider: "crypto/tls",
		Library: "crypto/tls " + runtime.Version()}}
}

func (t *transport) config(c *tls.Config) *xquic.Config {
	return &xquic.Config{TLSConfig: c, HandshakeTimeout: t.opt.HandshakeTimeout, MaxIdleTimeout: t.opt.IdleTimeout,
		MaxBidiRemoteStreams: 1 << 20, MaxUniRemoteStreams: 1 << 20, RequireAddressValidation: t.opt.Retry}
}

func (t *transport) Listen(addr string, m *drivercli.Materials) (driver.Listener, error) {
	if t.opt.Resumption {
		return nil, errors.New("--resumption is not supported: x/net/quic servers send no tickets")
	}
	c, err := tcp.Config(t.opt, m, true)
	if err != nil {
		return nil, err
	}
	e, _, err := listen(addr, t.config(c))
	if err != nil {
		return nil, err
	}
	return &listener{e}, nil
}

// socketBuffer is the size of the socket's buffers, as those of package quic, quic-go and the drivers in Rust. Those of
// the system's default overflow with the first flights of 32 clients when the server is not scheduled for some
// milliseconds. A client whose datagrams were lost waits for a second or more, up to the handshake timeout.
const socketBuffer = 4 << 20

// listen returns an endpoint on a local address, and its socket. x/net leaves the socket's buffers as they are.
func listen(addr string, c *xquic.Config) (*xquic.Endpoint, *net.UDPConn, error) {
	a, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, nil, err
	}
	u, err := net.ListenUDP("udp", a)
	if err != nil {
		return nil, nil, err
	}
	// The system may grant less.
	_ = u.SetReadBuffer(socketBuffer)
	_ = u.SetWriteBuffer(socketBuffer)
	e, err := xquic.NewEndpoint(u, c)
	if err != nil {
		return nil, nil, errors.Join(err, u.Close())
	}
	return e, u, nil
}

type listener struct{ e *xquic.Endpoint }

func (l *listener) Accept(ctx context.Context) (driver.Conn, error) {
	c, err := l.e.Accept(ctx)
	if err != nil {
		return nil, err
	}
	return newConn(c), nil
}

func (l *listener) Addr() net.Addr { return net.UDPAddrFromAddrPort(l.e.LocalAddr()) }
func (l *listener) Close() error   { return closeNow(l.e, 0) }

func closeNow(e *xquic.Endpoint, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := e.Close(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return nil
}

func (t *transport) Client(local string, m *drivercli.Materials) (driver.Transport, error) {
	if t.opt.Retry {
		return nil, errors.New("--retry applies only to servers")
	}
	c, err := tcp.Config(t.opt, m, false)
	if err != nil {
		return nil, err
	}
	e, _, err := listen(net.JoinHostPort(local, "0"), nil)
	if err != nil {
		return nil, err
	}
	return &client{t, e, c, m.Authorities}, nil
}

type client struct {
	t           *transport
	e           *xquic.Endpoint
	tls         *tls.Config
	authorities string
}

func (c *client) Dial(ctx context.Context, addr, name string) (driver.Conn, error) {
	q, err := c.e.Dial(ctx, "udp", addr, c.t.config(tcp.Named(c.tls, name, c.authorities)))
	if err != nil {
		return nil, err
	}
	return newConn(q), nil
}

func (c *client) Close() error { return closeNow(c.e, time.Second) }

type conn struct {
	*xquic.Conn
	once     sync.Once
	acceptor *driver.Acceptor
	done     chan struct{}

	mu      sync.Mutex
	streams []*xquic.Stream // streams that we may have sent on
}

func newConn(q *xquic.Conn) *conn {
	c := &conn{Conn: q, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		_ = q.Wait(context.Background()) // the calls that it ends report why
	}()
	return c
}

func (c *conn) Abort(reason string) {
	c.Conn.Abort(&xquic.ConnectionCloseError{Code: 1, Reason: reason})
}
func (c *conn) Done() <-chan struct{} { return c.done }

// Close waits until everything sent is acknowledged.
func (c *conn) Close() error {
	c.mu.Lock()
	streams := c.streams
	c.streams = nil
	c.mu.Unlock()
	for _, s := range streams {
		_ = s.Close() // a reset stream has nothing to deliver
	}
	c.Conn.Abort(&xquic.ConnectionCloseError{})
	return nil
}

func (c *conn) newStream(s *xquic.Stream) *stream {
	if !s.IsReadOnly() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.streams = append(c.streams, s)
	}
	return &stream{s, func() {}, func() {}}
}

func (c *conn) Info() driver.Info {
	s := c.ConnectionState()
	return driver.Info{ServerName: s.ServerName, Group: tlsprovider.Group(s.CurveID).String(),
		CipherSuite: tls.CipherSuiteName(s.CipherSuite), Resumed: s.DidResume}
}

func (c *conn) OpenStream(ctx context.Context, id uint64, bidirectional bool) (driver.Stream, error) {
	open := c.NewStream
	if !bidirectional {
		open = c.NewSendOnlyStream
	}
	s, err := open(ctx)
	if err != nil {
		return nil, wrap(err)
	}
	return driver.NewIDStream(c.newStream(s), id), nil
}

func (c *conn) AcceptStream(ctx context.Context) (driver.Stream, uint64, error) {
	c.once.Do(func() {
		c.acceptor = driver.NewAcceptor(func(ctx context.Context) (driver.Stream, error) {
			s, err := c.Conn.AcceptStream(ctx)
			if err != nil {
				return nil, wrap(err)
			}
			return c.newStream(s), nil
		})
	})
	return c.acceptor.Accept(ctx)
}

// stream turns the contexts of x/net's streams into deadlines. One goroutine reads, one writes.
type stream struct {
	*xquic.Stream
	cancelRead, cancelWrite context.CancelFunc
}

func deadline(old *context.CancelFunc, set func(context.Context), t time.Time) {
	(*old)()
	if t.IsZero() {
		*old = func() {}
		set(context.Background())
		return
	}
	ctx, cancel := context.WithDeadlineCause(context.Background(), t, os.ErrDeadlineExceeded)
	*old = cancel
	set(ctx)
}

func (s *stream) SetReadDeadline(t time.Time) error {
	deadline(&s.cancelRead, s.SetReadContext, t)
	return nil
}

func (s *stream) SetWriteDeadline(t time.Time) error {
	deadline(&s.cancelWrite, s.SetWriteContext, t)
	return nil
}

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.Stream.Read(p)
	return n, wrap(err)
}

func (s *stream) Write(p []byte) (int, error) {
	n, err := s.Stream.Write(p)
	return n, wrap(err)
}

func (s *stream) Flush() error { return wrap(s.Stream.Flush()) }

func (s *stream) CloseWrite() error {
	s.Stream.CloseWrite()
	return nil
}

func (s *stream) StopReading() error {
	s.Stream.CloseRead()
	return nil
}

func wrap(err error) error {
	var app *xquic.ConnectionCloseError
	var st xquic.StreamError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &app) && app.Code == 0:
		return fmt.Errorf("%w: %w", driver.ErrClosedCleanly, err)
	case errors.As(err, &st) && st == 0:
		return fmt.Errorf("%w: %w", driver.ErrStopped, err)
	}
	return err
}

func classify(err error) string {
	var st xquic.StreamError
	switch {
	case errors.As(err, &st):
		return driver.ClassReset
	case errors.As(err, new(*xquic.ConnectionCloseError)):
		return driver.ClassPeerClosed
	}
	return tcp.Classify(err)
}
