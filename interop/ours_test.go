package interop

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/s2n"
)

// providers returns our providers in this build.
func providers(t *testing.T) map[string]tlsprovider.Provider {
	out := map[string]tlsprovider.Provider{nativeProvider.Name(): nativeProvider}
	p, err := s2n.New(s2n.AllowClassical()) // in the variant openssl it has classical groups only
	if errors.Is(err, s2n.ErrNotLinked) && os.Getenv("PQQUIC_REQUIRE_LINKED") == "" {
		t.Log(err)
		return out
	}
	require.NoError(t, err)
	out["s2n"] = p
	return out
}

type ours struct {
	provider tlsprovider.Provider
	c        *creds
}

// has returns those of groups that the provider has.
func (s ours) has(groups []tlsprovider.Group) (out []tlsprovider.Group) {
	c := s.provider.Capabilities()
	for _, g := range groups {
		if _, ok := c.Group(g); ok {
			out = append(out, g)
		}
	}
	return out
}

// postQuantum reports whether a stack has the groups of pq.
func postQuantum(s stack) bool {
	o, ok := s.(ours)
	return !ok || len(o.has(pq)) == len(pq)
}

func (s ours) config(o options) *quic.Config {
	cfg := &quic.Config{
		Provider: s.provider, ServerName: serverName,
		TLS: &tlsprovider.Config{NextProtos: []string{o.alpn}, Groups: s.has(o.groups), RootCAs: s.c.Roots()},
	}
	if o.datagrams {
		cfg.MaxDatagramFrameSize = 65535
	}
	cfg.EnableResetStreamAt = o.resetAt
	if o.version2 {
		cfg.Versions = []quic.Version{quic.Version2}
	}
	if o.noRoots {
		cfg.TLS.RootCAs = s.c.other.Roots()
	}
	return cfg
}

func (s ours) dial(ctx context.Context, addr string, o options) (conn, error) {
	c, err := quic.Dial(ctx, "udp", addr, s.config(o))
	if err != nil {
		return nil, err
	}
	return ourConn{c}, nil
}

func (s ours) listen(o options) (listener, error) {
	cfg := s.config(o)
	cfg.TLS.Certificates = []tlsprovider.Certificate{s.c.Provider()}
	cfg.TLS.RootCAs = nil
	if o.resetKey {
		cfg.ResetSecret = resetKey[:]
	}
	if o.retry {
		cfg.RequireAddressValidation = func(netip.AddrPort) bool { return true }
		cfg.Accept = func(client quic.ClientInfo) error {
			if !client.AddrValidated {
				return errors.New("a client without a Retry")
			}
			return nil
		}
	}
	ends := make(endings, 16)
	cfg.Logger = slog.New(ends)
	l, err := quic.Listen("udp", "127.0.0.1:0", cfg)
	return ourListener{l, ends}, err
}

type ourListener struct {
	*quic.Listener
	ends endings
}

func (l ourListener) failed(ctx context.Context) error {
	select {
	case err := <-l.ends:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// endings collects from the log the errors with which connections end.
type endings chan error

func (e endings) Enabled(context.Context, slog.Level) bool { return true }
func (e endings) WithAttrs([]slog.Attr) slog.Handler       { return e }
func (e endings) WithGroup(string) slog.Handler            { return e }
func (e endings) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if err, ok := a.Value.Any().(error); ok && r.Message == "quic: connection closed" {
			select {
			case e <- err:
			default:
			}
		}
		return true
	})
	return nil
}

func (l ourListener) addr() string { return l.Addr().String() }
func (l ourListener) close()       { l.Endpoint().Close() }
func (l ourListener) accept(ctx context.Context) (conn, error) {
	c, err := l.Accept(ctx)
	if err != nil {
		return nil, err
	}
	return ourConn{c}, nil
}

type ourConn struct{ *quic.Conn }

func (c ourConn) open(ctx context.Context) (stream, error) {
	s, err := c.OpenStream(ctx)
	return ourStream{s, new(int64)}, err
}

func (c ourConn) accept(ctx context.Context) (stream, error) {
	s, err := c.AcceptStream(ctx)
	return ourStream{s, new(int64)}, err
}

func (c ourConn) closeCode(code uint64, reason string) { _ = c.CloseWithError(code, reason) }
func (c ourConn) group() tlsprovider.Group             { return c.ConnectionState().TLS.Group }
func (c ourConn) gone(ctx context.Context) error {
	select {
	case <-c.Context().Done():
		return context.Cause(c.Context())
	case <-ctx.Done():
		return ctx.Err()
	}
}

type ourStream struct {
	*quic.Stream
	written *int64
}

func (s ourStream) closeWrite() error { return s.CloseWrite() }

func (s ourStream) Write(p []byte) (int, error) {
	n, err := s.Stream.Write(p)
	*s.written += int64(n)
	return n, err
}

func (s ourStream) resetAt(code uint64) error { return s.ResetAt(code, *s.written) }

func (s ourStream) resetCode(err error) (code uint64, ok bool) {
	var reset *quic.StreamError
	if errors.As(err, &reset) {
		return reset.Code, reset.Remote
	}
	return 0, false
}
