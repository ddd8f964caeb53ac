package interop

import (
	"context"
	"errors"
	"net"

	quicgo "github.com/quic-go/quic-go"

	"github.com/pqquic/pqquic/tlsprovider"
)

type quicGo struct{ c *creds }

func quicGoConfig(o options) *quicgo.Config {
	cfg := &quicgo.Config{EnableDatagrams: o.datagrams, EnableStreamResetPartialDelivery: o.resetAt}
	if o.version2 {
		cfg.Versions = []quicgo.Version{quicgo.Version2}
	}
	return cfg
}

func (s quicGo) dial(ctx context.Context, addr string, o options) (conn, error) {
	dial := func() (*quicgo.Conn, error) { return quicgo.DialAddr(ctx, addr, s.c.config(o), quicGoConfig(o)) }
	if o.moves { // DialAddr makes connections with empty connection IDs, which cannot move
		to, err := net.ResolveUDPAddr("udp", addr)
		if err != nil {
			return nil, err
		}
		pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			return nil, err
		}
		tr := &quicgo.Transport{Conn: pc}
		dial = func() (*quicgo.Conn, error) {
			c, err := tr.Dial(ctx, to, s.c.config(o), quicGoConfig(o))
			if err == nil {
				context.AfterFunc(c.Context(), func() { tr.Close(); pc.Close() })
			}
			return c, err
		}
	}
	c, err := dial()
	if err != nil {
		return nil, err
	}
	return goConn{c}, nil
}

func (s quicGo) listen(o options) (listener, error) {
	pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	tr := &quicgo.Transport{Conn: pc, VerifySourceAddress: func(net.Addr) bool { return o.retry }}
	if o.resetKey {
		tr.StatelessResetKey = (*quicgo.StatelessResetKey)(&resetKey)
	}
	l, err := tr.ListenEarly(s.c.config(o), quicGoConfig(o))
	return &goListener{tr, pc, l}, err
}

type goListener struct {
	tr *quicgo.Transport
	pc net.PacketConn
	l  *quicgo.EarlyListener
}

func (l *goListener) addr() string { return l.l.Addr().String() }
func (l *goListener) close()       { l.l.Close(); l.tr.Close(); l.pc.Close() }
func (l *goListener) accept(ctx context.Context) (conn, error) {
	c, err := l.l.Accept(ctx)
	if err != nil {
		return nil, err
	}
	select {
	case <-c.HandshakeComplete():
		return goConn{c}, nil
	case <-c.Context().Done():
		return nil, context.Cause(c.Context())
	}
}

// failed returns errors of handshakes that reached the server's certificate.
func (l *goListener) failed(ctx context.Context) error {
	c, err := l.accept(ctx)
	if err == nil {
		c.closeCode(0, "")
	}
	return err
}

type goConn struct{ *quicgo.Conn }

func (c goConn) open(ctx context.Context) (stream, error) {
	s, err := c.OpenStreamSync(ctx)
	return goStream{s}, err
}

func (c goConn) accept(ctx context.Context) (stream, error) {
	s, err := c.AcceptStream(ctx)
	return goStream{s}, err
}

func (c goConn) closeCode(code uint64, reason string) {
	_ = c.CloseWithError(quicgo.ApplicationErrorCode(code), reason)
}
func (c goConn) group() tlsprovider.Group {
	return tlsprovider.Group(c.ConnectionState().TLS.CurveID)
}
func (c goConn) gone(ctx context.Context) error {
	select {
	case <-c.Context().Done():
		return context.Cause(c.Context())
	case <-ctx.Done():
		return ctx.Err()
	}
}

type goStream struct{ *quicgo.Stream }

func (s goStream) closeWrite() error { return s.Close() }

// resetAt resets a stream of which all has been written that must arrive.
func (s goStream) resetAt(code uint64) error {
	s.SetReliableBoundary()
	s.CancelWrite(quicgo.StreamErrorCode(code))
	return nil
}

func (s goStream) resetCode(err error) (code uint64, ok bool) {
	var reset *quicgo.StreamError
	if errors.As(err, &reset) {
		return uint64(reset.ErrorCode), reset.Remote
	}
	return 0, false
}
