// Command netbench-driver-quic-go runs the scenarios of netbench on quic-go.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"

	quicgo "github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/qlogwriter"

	"github.com/pqquic/pqquic/cmd/internal/driver"
	"github.com/pqquic/pqquic/cmd/internal/drivercli"
	"github.com/pqquic/pqquic/cmd/internal/stats"
	"github.com/pqquic/pqquic/cmd/internal/transport/tcp"
	"github.com/pqquic/pqquic/tlsprovider"
)

func main() {
	drivercli.Main("netbench-driver-quic-go", drivercli.Stack{Name: "quic-go", New: func(o *drivercli.Options) (drivercli.Transport, error) {
		return &transport{o}, o.Refuse("quic-go")
	}})
}

type transport struct{ opt *drivercli.Options }

func (t *transport) Stack() driver.Stack {
	return driver.Stack{Classify: classify, Provenance: stats.Provenance{Transport: "quic-go", Provider: "crypto/tls",
		Library: "crypto/tls " + runtime.Version()}}
}

func (t *transport) config() *quicgo.Config {
	return &quicgo.Config{HandshakeIdleTimeout: t.opt.HandshakeTimeout, MaxIdleTimeout: t.opt.IdleTimeout,
		MaxIncomingStreams: 1 << 20, MaxIncomingUniStreams: 1 << 20}
}

func (t *transport) Listen(addr string, m *drivercli.Materials) (driver.Listener, error) {
	c, err := tcp.Config(t.opt, m, true)
	if err != nil {
		return nil, err
	}
	pc, err := net.ListenPacket("udp", addr)
	if err != nil {
		return nil, err
	}
	tr := &quicgo.Transport{Conn: pc}
	if t.opt.Retry {
		tr.VerifySourceAddress = func(net.Addr) bool { return true }
	}
	l, err := tr.Listen(c, t.config())
	if err != nil {
		return nil, errors.Join(err, pc.Close())
	}
	return &listener{l, tr}, nil
}

type listener struct {
	l  *quicgo.Listener
	tr *quicgo.Transport
}

func (l *listener) Accept(ctx context.Context) (driver.Conn, error) {
	c, err := l.l.Accept(ctx)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c}, nil
}

func (l *listener) Addr() net.Addr { return l.l.Addr() }
func (l *listener) Close() error   { return errors.Join(l.l.Close(), l.tr.Close(), l.tr.Conn.Close()) }

func (t *transport) Client(local string, m *drivercli.Materials) (driver.Transport, error) {
	if t.opt.Retry {
		return nil, errors.New("--retry applies only to servers")
	}
	c, err := tcp.Config(t.opt, m, false)
	if err != nil {
		return nil, err
	}
	pc, err := net.ListenPacket("udp", net.JoinHostPort(local, "0"))
	if err != nil {
		return nil, err
	}
	return &client{t, &quicgo.Transport{Conn: pc}, c, m.Authorities, m.Unanswered}, nil
}

type client struct {
	t           *transport
	tr          *quicgo.Transport
	tls         *tls.Config
	authorities string
	unanswered  bool
}

func (c *client) Dial(ctx context.Context, addr, name string) (driver.Conn, error) {
	to, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, err
	}
	cfg, out := c.t.config(), new(conn)
	if c.unanswered {
		out.delivery = newDelivery()
		cfg.Tracer = func(context.Context, bool, quicgo.ConnectionID) qlogwriter.Trace { return out.delivery }
	}
	if out.Conn, err = c.tr.Dial(ctx, to, tcp.Named(c.tls, name, c.authorities), cfg); err != nil {
		return nil, err
	}
	return out, nil
}

func (c *client) Close() error { return errors.Join(c.tr.Close(), c.tr.Conn.Close()) }

type conn struct {
	*quicgo.Conn
	once     sync.Once
	acceptor *driver.Acceptor

	delivery *delivery // nil if stream ends show the delivery
	mu       sync.Mutex
	ended    []quicgo.StreamID // streams that we have ended
}

func (c *conn) Abort(reason string)   { _ = c.CloseWithError(1, reason) }
func (c *conn) Done() <-chan struct{} { return c.Context().Done() }

// Close waits until everything sent is acknowledged, if delivery is tracked. Otherwise it closes at once:
// the driver has already waited for the ends of the peer's streams.
func (c *conn) Close() error {
	if c.delivery != nil {
		c.mu.Lock()
		ended := c.ended
		c.ended = nil
		c.mu.Unlock()
		c.delivery.wait(c.Context(), ended)
	}
	return c.CloseWithError(0, "")
}

func (c *conn) Info() driver.Info {
	s := c.ConnectionState().TLS
	return driver.Info{ServerName: s.ServerName, Group: tlsprovider.Group(s.CurveID).String(),
		CipherSuite: tls.CipherSuiteName(s.CipherSuite), Resumed: s.DidResume}
}

func (c *conn) OpenStream(ctx context.Context, id uint64, bidirectional bool) (driver.Stream, error) {
	if !bidirectional {
		s, err := c.Conn.OpenUniStreamSync(ctx)
		if err != nil {
			return nil, wrap(err)
		}
		return driver.NewIDStream(&stream{driver.SendOnly{Sender: sender{s, c}}}, id), nil
	}
	s, err := c.Conn.OpenStreamSync(ctx)
	if err != nil {
		return nil, wrap(err)
	}
	return driver.NewIDStream(&stream{both{s, c}}, id), nil
}

func (c *conn) AcceptStream(ctx context.Context) (driver.Stream, uint64, error) {
	c.once.Do(func() {
		c.acceptor = driver.NewAcceptor(func(ctx context.Context) (driver.Stream, error) {
			s, err := c.Conn.AcceptStream(ctx)
			return &stream{both{s, c}}, wrap(err)
		}, func(ctx context.Context) (driver.Stream, error) {
			s, err := c.Conn.AcceptUniStream(ctx)
			return &stream{driver.ReceiveOnly{Receiver: receiver{s}}}, wrap(err)
		})
	})
	return c.acceptor.Accept(ctx)
}

type both struct {
	*quicgo.Stream
	c *conn
}

func (s both) Flush() error       { return nil }
func (s both) CloseWrite() error  { return s.c.finish(s.Stream) }
func (s both) StopReading() error { s.Stream.CancelRead(0); return nil }

type sender struct {
	*quicgo.SendStream
	c *conn
}

func (s sender) Close() error { return s.c.finish(s.SendStream) }

// finish ends our direction. If the peer has reset it, quic-go's Close returns an untyped error, but the
// stream's context has a typed one.
func (c *conn) finish(s interface {
	Close() error
	Context() context.Context
	StreamID() quicgo.StreamID
}) error {
	err := s.Close()
	if err == nil && c.delivery != nil {
		c.mu.Lock()
		c.ended = append(c.ended, s.StreamID())
		c.mu.Unlock()
	}
	var st *quicgo.StreamError
	if err != nil && errors.As(context.Cause(s.Context()), &st) {
		return st
	}
	return err
}

type receiver struct{ *quicgo.ReceiveStream }

func (s receiver) StopReading() error { s.ReceiveStream.CancelRead(0); return nil }

// stream adds the errors that the driver distinguishes.
type stream struct{ driver.Stream }

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.Stream.Read(p)
	return n, wrap(err)
}

func (s *stream) Write(p []byte) (int, error) {
	n, err := s.Stream.Write(p)
	return n, wrap(err)
}

func (s *stream) CloseWrite() error { return wrap(s.Stream.CloseWrite()) }

func wrap(err error) error {
	var app *quicgo.ApplicationError
	var st *quicgo.StreamError
	var transport *quicgo.TransportError
	switch {
	case errors.As(err, &app) && app.Remote && app.ErrorCode == 0,
		errors.As(err, &transport) && transport.Remote && transport.ErrorCode == quicgo.NoError:
		return fmt.Errorf("%w: %w", driver.ErrClosedCleanly, err)
	case errors.As(err, &st) && st.Remote && st.ErrorCode == 0:
		return fmt.Errorf("%w: %w", driver.ErrStopped, err)
	}
	return err
}

func classify(err error) string {
	var transport *quicgo.TransportError
	switch {
	case errors.As(err, new(*quicgo.HandshakeTimeoutError)):
		return driver.ClassHandshake
	case errors.As(err, new(*quicgo.IdleTimeoutError)):
		return driver.ClassIdle
	case errors.As(err, new(*quicgo.VersionNegotiationError)):
		return driver.ClassVersion
	case errors.As(err, &transport):
		if transport.ErrorCode.IsCryptoError() {
			return fmt.Sprintf("tls alert %v", tlsprovider.Alert(transport.ErrorCode-0x100))
		}
		if transport.ErrorCode == quicgo.ConnectionRefused {
			return driver.ClassRefused
		}
		return fmt.Sprintf("transport error %v", transport.ErrorCode)
	case errors.As(err, new(*quicgo.StreamError)):
		return driver.ClassReset
	case errors.As(err, new(*quicgo.ApplicationError)), errors.As(err, new(*quicgo.StatelessResetError)):
		return driver.ClassPeerClosed
	}
	return tcp.Classify(err)
}
