package http3

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/http3/internal/frame"
	"github.com/pqquic/pqquic/internal/varint"
	"github.com/pqquic/pqquic/quic"
)

// A connection for which ConnContext panics or returns nil is closed. The Server serves others.
func TestConnContextPanics(t *testing.T) {
	var answers = []func(context.Context) context.Context{
		func(context.Context) context.Context { panic("of a context") },
		func(context.Context) context.Context { return nil },
		func(ctx context.Context) context.Context { return ctx },
	}
	calls := 0
	s := serve(t, nil, http.HandlerFunc(echo), func(s *Server) {
		s.ConnContext = func(ctx context.Context, _ *quic.Conn) context.Context {
			calls++
			return answers[calls-1](ctx)
		}
	})
	s.wantRefused(t, nil, frame.InternalError)
	s.wantLog(t, "of a context")
	s.wantRefused(t, nil, frame.InternalError)
	s.wantLog(t, "ConnContext has returned nil")
	require.Equal(t, "200", dialRaw(t, s).roundTrip(get("/")...).status)
}

// A panic of a Transport's hijacker, which a server's bytes cause, ends the connection. So does runtime.Goexit.
func TestClientHijackersPanic(t *testing.T) {
	for name, open := range map[string]func(c *rawClient){
		"StreamHijacker":    func(c *rawClient) { c.open(varint.Append(nil, 0x41)) },
		"UniStreamHijacker": func(c *rawClient) { c.uni(0x54, nil) },
	} {
		for _, end := range []func(){func() { panic("of the hijacker") }, runtime.Goexit} {
			t.Run(name, func(t *testing.T) {
				logged := new(lockedBuffer)
				s := listenRaw(t, nil)
				tr := newTransport(t, nil, func(tr *Transport) {
					tr.Logger = slog.New(slog.NewTextHandler(logged, nil))
					tr.StreamHijacker = func(uint64, *quic.Conn, *quic.Stream) bool { end(); return true }
					tr.UniStreamHijacker = func(uint64, *quic.Conn, *quic.ReceiveStream) bool { end(); return true }
				})
				out := begin(tr, newRequest(t, "POST", s.url(), bytes.NewReader(nil)))
				c, _ := s.accept()
				open(c)
				c.wantClose(frame.InternalError)
				r := <-out
				require.ErrorContains(t, r.err, name+" has not returned")
				require.Contains(t, logged.String(), name+" has not returned")
			})
		}
	}
}

// A panic of Dial is the error of the requests that wait for the connection, and the next request dials again.
func TestDialPanics(t *testing.T) {
	s := serve(t, nil, http.HandlerFunc(echo), nil)
	failure := errors.New("of Dial")
	dials := 0
	tr := newTransport(t, nil, func(tr *Transport) {
		tr.Dial = func(ctx context.Context, addr string, cfg *quic.Config) (*quic.Conn, error) {
			switch dials++; dials {
			case 1:
				panic(failure)
			case 2:
				runtime.Goexit()
			}
			return quic.Dial(ctx, "udp", addr, cfg)
		}
	})
	for _, want := range []string{"panic while dialing " + s.addr + ": of Dial", "Dial has not returned for " + s.addr} {
		_, err := tr.RoundTrip(newRequest(t, "GET", s.url("/"), nil))
		require.ErrorContains(t, err, want)
	}
	resp, _ := do(t, tr, newRequest(t, "GET", s.url("/"), nil))
	require.Equal(t, http.StatusOK, resp.StatusCode)
}

// A program that calls WhenEnded of a Server's connection does not prevent the Server from noticing its end, nor the other way round.
func TestWhenEndedOfServerConn(t *testing.T) {
	var ended sync.WaitGroup
	ended.Add(2)
	s := serve(t, nil, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		qc, _ := ConnFromContext(r.Context())
		qc.WhenEnded(ended.Done)
	}), func(s *Server) {
		s.ConnContext = func(ctx context.Context, qc *quic.Conn) context.Context {
			qc.WhenEnded(ended.Done)
			return ctx
		}
	})
	c := dialRaw(t, s)
	require.Equal(t, "200", c.roundTrip(get("/")...).status)
	require.NoError(t, c.CloseWithError(frame.NoError, ""))
	ended.Wait()
	require.NoError(t, s.Shutdown(t.Context()))
}

// A panic of a trace after the handshake closes the connection: no request would use it, and it would be kept alive.
func TestTracePanics(t *testing.T) {
	s := listenRaw(t, nil)
	tr := newTransport(t, nil, nil)
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		TLSHandshakeDone: func(tls.ConnectionState, error) { panic("of a trace") },
	})
	out := begin(tr, newRequest(t, "GET", s.url(), nil).WithContext(ctx))
	s.acceptBare().wantClose(frame.NoError)
	require.ErrorContains(t, (<-out).err, "of a trace")
}
