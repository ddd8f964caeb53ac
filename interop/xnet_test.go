package interop

import (
	"context"
	"errors"

	xquic "golang.org/x/net/quic"

	"github.com/pqquic/pqquic/tlsprovider"
)

type xNet struct{ c *creds }

func (s xNet) dial(ctx context.Context, addr string, o options) (conn, error) {
	e, err := xquic.Listen("udp", "127.0.0.1:0", nil)
	if err != nil {
		return nil, err
	}
	c, err := e.Dial(ctx, "udp", addr, &xquic.Config{TLSConfig: s.c.config(o)})
	if err != nil {
		_ = e.Close(canceled())
		return nil, err
	}
	return xConn{c}, nil
}

func (s xNet) listen(o options) (listener, error) {
	cfg := &xquic.Config{TLSConfig: s.c.config(o), RequireAddressValidation: o.retry}
	if o.resetKey {
		cfg.StatelessResetKey = resetKey
	}
	e, err := xquic.Listen("udp", "127.0.0.1:0", cfg)
	return xListener{e}, err
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

type xListener struct{ e *xquic.Endpoint }

func (l xListener) addr() string { return l.e.LocalAddr().String() }

// x/net does not return a connection whose handshake failed.
func (l xListener) failed(context.Context) error { return nil }

func (l xListener) close() { _ = l.e.Close(canceled()) }
func (l xListener) accept(ctx context.Context) (conn, error) {
	c, err := l.e.Accept(ctx)
	if err != nil {
		return nil, err
	}
	return xConn{c}, nil
}

type xConn struct{ *xquic.Conn }

func (c xConn) open(ctx context.Context) (stream, error) {
	s, err := c.NewStream(ctx)
	return xStream{s}, err
}

func (c xConn) accept(ctx context.Context) (stream, error) {
	s, err := c.AcceptStream(ctx)
	return xStream{s}, err
}

func (c xConn) closeCode(code uint64, reason string) {
	c.Abort(&xquic.ConnectionCloseError{Code: code, Reason: reason})
}
func (c xConn) gone(ctx context.Context) error { return c.Wait(ctx) }
func (c xConn) group() tlsprovider.Group       { return tlsprovider.Group(c.ConnectionState().CurveID) }

type xStream struct{ *xquic.Stream }

func (s xStream) Write(p []byte) (int, error) {
	n, err := s.Stream.Write(p)
	return n, errors.Join(err, s.Flush())
}

func (s xStream) closeWrite() error { s.CloseWrite(); return nil }
