package http3

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/http3/internal/frame"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
)

// Requests that begin at the same time share one connection. Its dialing does not end with one of them.
func TestPoolDialsOnce(t *testing.T) {
	s := serve(t, nil, http.HandlerFunc(oneKB), nil)
	dialing, proceed := make(chan struct{}), make(chan struct{})
	var dials atomic.Int32
	tr := newTransport(t, nil, func(tr *Transport) {
		tr.Dial = func(ctx context.Context, addr string, cfg *quic.Config) (*quic.Conn, error) {
			dials.Add(1)
			close(dialing)
			<-proceed
			return quic.Dial(ctx, "udp", addr, cfg)
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	first := begin(tr, newRequest(t, "GET", s.url("/"), nil).WithContext(ctx))
	<-dialing
	second := begin(tr, newRequest(t, "GET", s.url("/"), nil))
	for tr.waiting(t, s.addr) < 2 {
		runtime.Gosched()
	}
	cancel()
	require.ErrorIs(t, (<-first).err, context.Canceled)
	close(proceed)
	r := <-second
	require.NoError(t, r.err)
	readBody(t, r.resp)
	require.Equal(t, int32(1), dials.Load())
}

// The certificate is verified for the host of the URL, which the server learns in the handshake, whatever address was dialed. Origins
// do not share connections, even if they have the same address.
//
// "Upon receiving a server certificate in the TLS handshake, the client MUST verify that the certificate is an acceptable match for
// the URI's origin server using the process described in Section 4.3.4 of [HTTP]. If the certificate cannot be verified with
// respect to the URI's origin server, the client MUST NOT consider the server authoritative for that origin."
// https://www.rfc-editor.org/rfc/rfc9114#section-3.1-2
//
// "HTTP/3 clients MUST support a mechanism to indicate the target host to the server during the TLS handshake. If the server is
// identified by a domain name ([DNS-TERMS]), clients MUST send the Server Name Indication (SNI; [RFC6066]) TLS extension unless an
// alternative mechanism to indicate the target host is used."
// https://www.rfc-editor.org/rfc/rfc9114#section-3.2-2
//
// "To use an existing connection for a new origin, clients MUST validate the certificate presented by the server for the new origin
// server using the process described in Section 4.3.4 of [HTTP]."
// https://www.rfc-editor.org/rfc/rfc9114#section-3.3-2
//
// "If the certificate is not acceptable with regard to the new origin for any reason, the connection MUST NOT be reused and a new
// connection SHOULD be established for the new origin."
// https://www.rfc-editor.org/rfc/rfc9114#section-3.3-3
func TestServerIsVerified(t *testing.T) {
	forProviders(t, func(t *testing.T, p tlsprovider.Provider) {
		names := make(chan string, 1)
		s := serve(t, p, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { names <- r.TLS.ServerName }), nil)
		tr := newTransport(t, p, func(tr *Transport) {
			tr.Dial = func(ctx context.Context, _ string, cfg *quic.Config) (*quic.Conn, error) {
				return quic.Dial(ctx, "udp", s.addr, cfg)
			}
		})
		do(t, tr, newRequest(t, "GET", "https://localhost/", nil))
		require.Equal(t, "localhost", <-names)
		_, err := tr.RoundTrip(newRequest(t, "GET", "https://other.example/", nil))
		require.Error(t, err)
		require.Empty(t, names)
		require.Len(t, tr.cached(), 1)
		do(t, tr, newRequest(t, "GET", "https://127.0.0.1/", nil))
		require.Empty(t, <-names)
		require.Len(t, tr.cached(), 2)
	})
}

func (t *Transport) waiting(tb testing.TB, addr string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.conns[route{addr, addr}]
	require.NotNil(tb, p)
	return p.waiting
}

// Dialing ends when no request waits for it.
func TestPoolCancelsDial(t *testing.T) {
	ended, dialing := make(chan error, 1), make(chan struct{})
	tr := newTransport(t, nil, func(tr *Transport) {
		tr.Dial = func(ctx context.Context, _ string, _ *quic.Config) (*quic.Conn, error) {
			close(dialing)
			<-ctx.Done()
			ended <- context.Cause(ctx)
			return nil, context.Cause(ctx)
		}
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	r := begin(tr, newRequest(t, "GET", "https://localhost:1/", nil).WithContext(ctx))
	<-dialing
	reason := errors.New("no longer needed")
	cancel(reason)
	require.ErrorIs(t, (<-r).err, reason)
	require.ErrorIs(t, <-ended, reason)
}

// A connection that the server has closed is replaced, and the request is sent again if it is safe: its body comes from GetBody.
func TestStaleConnection(t *testing.T) {
	s := listenRaw(t, nil)
	tr := newTransport(t, nil, nil)
	done := begin(tr, newRequest(t, "GET", s.url(), nil))
	c, _ := s.accept()
	c.next().answer("one")
	require.Equal(t, "one", readBody(t, (<-done).resp))
	req := newRequest(t, "PUT", s.url(), strings.NewReader("body"))
	req.Header["Idempotency-Key"] = []string{"1"}
	var reused []bool
	done = begin(tr, req.WithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) { reused = append(reused, i.Reused) },
	})))
	c.next()
	require.NoError(t, c.CloseWithError(frame.NoError, "idle"))
	c, _ = s.accept()
	st := c.next()
	b, err := io.ReadAll(st)
	require.NoError(t, err)
	require.Contains(t, string(b), "body")
	st.answer("two")
	require.Equal(t, "two", readBody(t, (<-done).resp))
	require.Equal(t, []bool{true, false}, reused)
	// POST is not safe.
	//
	// "If a connection terminates without a GOAWAY frame, clients MUST assume that any request that was sent, whether in whole or
	// in part, might have been processed."
	// https://www.rfc-editor.org/rfc/rfc9114#section-5.4-2
	done = begin(tr, newRequest(t, "POST", s.url(), strings.NewReader("body")))
	c.next()
	require.NoError(t, c.CloseWithError(frame.NoError, "idle"))
	var e *Error
	require.ErrorAs(t, (<-done).err, &e)
	require.True(t, e.Remote)
}

// A connection that ends with an unknown code has ended like others.
//
// "[R]eceipt of an unknown error code MUST be treated as equivalent to H3_NO_ERROR."
// https://www.rfc-editor.org/rfc/rfc9114#section-8-5
func TestUnknownErrorCode(t *testing.T) {
	s := listenRaw(t, nil)
	tr := newTransport(t, nil, nil)
	done := begin(tr, newRequest(t, "GET", s.url(), nil))
	c, _ := s.accept()
	c.next().answer("one")
	require.Equal(t, "one", readBody(t, (<-done).resp))
	done = begin(tr, newRequest(t, "GET", s.url(), nil))
	c.next()
	require.NoError(t, c.CloseWithError(0x1f*1000+0x21, ""))
	c, _ = s.accept()
	c.next().answer("two")
	r := <-done
	require.NoError(t, r.err)
	require.Equal(t, "two", readBody(t, r.resp))
}

// After GOAWAY, requests with a lower ID are completed, and others are sent again on a new connection, whatever their method: the
// server has not processed them.
func TestGoAway(t *testing.T) {
	s := listenRaw(t, nil)
	tr := newTransport(t, nil, nil)
	first := begin(tr, newRequest(t, "GET", s.url(), nil))
	c, control := s.accept()
	st := c.next()
	second := begin(tr, newRequest(t, "POST", s.url(), strings.NewReader("again")))
	refused := c.next()
	// "Endpoints MUST NOT initiate new requests or promise new pushes on the connection after receipt of a GOAWAY frame from the
	// peer."
	// https://www.rfc-editor.org/rfc/rfc9114#section-5.2-3
	_, err := control.Write(frame.AppendInt(nil, frame.GoAway, uint64(refused.ID())))
	require.NoError(t, err)
	other, _ := s.accept()
	again := other.next()
	b, err := io.ReadAll(again)
	require.NoError(t, err)
	require.Contains(t, string(b), "again")
	again.answer("two")
	require.Equal(t, "two", readBody(t, (<-second).resp))
	st.answer("one")
	require.Equal(t, "one", readBody(t, (<-first).resp))
	// The old connection has no requests any more.
	c.wantClose(frame.NoError)
}

// A request that the server has rejected is sent again; one whose body cannot be sent again fails.
func TestRejected(t *testing.T) {
	s := listenRaw(t, nil)
	tr := newTransport(t, nil, nil)
	done := begin(tr, newRequest(t, "POST", s.url(), strings.NewReader("x")))
	c, _ := s.accept()
	reject := func() {
		st := c.next()
		require.NoError(t, st.Stream.Reset(frame.RequestRejected))
		require.NoError(t, st.StopSending(frame.RequestRejected))
	}
	reject()
	c.next().answer("fine")
	require.Equal(t, "fine", readBody(t, (<-done).resp))
	done = begin(tr, newRequest(t, "POST", s.url(), io.MultiReader(strings.NewReader("x"))))
	reject()
	var e *Error
	require.ErrorAs(t, (<-done).err, &e)
	require.Equal(t, ErrCodeRequestRejected, e.Code)
}

// A request is not sent again without end.
func TestRejectedAlways(t *testing.T) {
	s := listenRaw(t, nil)
	tr := newTransport(t, nil, nil)
	done := begin(tr, newRequest(t, "GET", s.url(), nil))
	c, _ := s.accept()
	for range maxRetries + 1 {
		st := c.next()
		require.NoError(t, st.Stream.Reset(frame.RequestRejected))
	}
	require.Error(t, (<-done).err)
}

// Idle connections are closed by CloseIdleConnections, after IdleConnTimeout and after a request with Close. Others are not.
func TestIdleConnections(t *testing.T) {
	release := make(chan struct{})
	s := serve(t, nil, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			<-release
		}
	}), nil)
	gone := func(tr *Transport, act func()) {
		cc := tr.cached()[0]
		act()
		<-cc.Context().Done()
		require.Eventually(t, func() bool { return len(tr.cached()) == 0 }, 10*time.Second, time.Millisecond)
	}
	tr := newTransport(t, nil, nil)
	do(t, tr, newRequest(t, "GET", s.url("/"), nil))
	gone(tr, tr.CloseIdleConnections)

	do(t, tr, newRequest(t, "GET", s.url("/"), nil))
	gone(tr, func() {
		req := newRequest(t, "GET", s.url("/"), nil)
		req.Close = true
		do(t, tr, req)
	})

	busy := begin(tr, newRequest(t, "GET", s.url("/wait"), nil))
	for len(tr.cached()) == 0 {
		runtime.Gosched()
	}
	tr.CloseIdleConnections()
	close(release)
	require.NoError(t, (<-busy).err)

	tr = newTransport(t, nil, func(tr *Transport) { tr.IdleConnTimeout = time.Nanosecond })
	var cc *ClientConn
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { cc = tr.conns[route{s.addr, s.addr}].cc }}
	do(t, tr, newRequest(t, "GET", s.url("/"), nil).WithContext(httptrace.WithClientTrace(t.Context(), trace)))
	<-cc.Context().Done()
}

func TestTransportClose(t *testing.T) {
	s := serve(t, nil, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), nil)
	tr := newTransport(t, nil, nil)
	r := begin(tr, newRequest(t, "GET", s.url("/"), nil))
	for len(tr.cached()) == 0 {
		runtime.Gosched()
	}
	require.NoError(t, tr.Close())
	require.Error(t, (<-r).err)
	_, err := tr.RoundTrip(newRequest(t, "GET", s.url("/"), nil))
	require.ErrorIs(t, err, ErrTransportClosed)
}

func TestOnlyCachedConn(t *testing.T) {
	s := serve(t, nil, http.HandlerFunc(oneKB), nil)
	tr := newTransport(t, nil, nil)
	_, err := tr.RoundTripOpt(newRequest(t, "GET", s.url("/"), nil), RoundTripOpt{OnlyCachedConn: true})
	require.ErrorIs(t, err, ErrNoCachedConn)
	do(t, tr, newRequest(t, "GET", s.url("/"), nil))
	resp, err := tr.RoundTripOpt(newRequest(t, "GET", s.url("/"), nil), RoundTripOpt{OnlyCachedConn: true})
	require.NoError(t, err)
	readBody(t, resp)
}

// The hooks of httptrace are called in the order of HTTP/2.
func TestTrace(t *testing.T) {
	s := serve(t, nil, http.HandlerFunc(oneKB), nil)
	tr := newTransport(t, nil, nil)
	var mu sync.Mutex
	var events []string
	note := func(s string) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, s)
	}
	trace := &httptrace.ClientTrace{
		GetConn:              func(addr string) { note("GetConn " + addr) },
		TLSHandshakeStart:    func() { note("TLSHandshakeStart") },
		TLSHandshakeDone:     func(s tls.ConnectionState, err error) { note("TLSHandshakeDone " + s.NegotiatedProtocol) },
		GotConn:              func(i httptrace.GotConnInfo) { note("GotConn " + i.Conn.RemoteAddr().String()) },
		WroteHeaderField:     func(k string, v []string) { note(k) },
		WroteHeaders:         func() { note("WroteHeaders") },
		WroteRequest:         func(i httptrace.WroteRequestInfo) { note("WroteRequest") },
		GotFirstResponseByte: func() { note("GotFirstResponseByte") },
	}
	do(t, tr, newRequest(t, "GET", s.url("/"), nil).WithContext(httptrace.WithClientTrace(t.Context(), trace)))
	require.Equal(t, []string{
		"GetConn " + s.addr, "TLSHandshakeStart", "TLSHandshakeDone h3", "GotConn " + s.addr,
		":method", ":scheme", ":authority", ":path", "accept-encoding", "user-agent", "WroteHeaders", "WroteRequest", "GotFirstResponseByte",
	}, events)
}

// A request with the field Priority orders what the client sends, too, and the server learns of it.
func TestClientPriority(t *testing.T) {
	got := make(chan string, 1)
	s := serve(t, nil, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header.Get("Priority") }), nil)
	req := newRequest(t, "GET", s.url("/"), nil)
	req.Header.Set("Priority", "u=1, i")
	do(t, newTransport(t, nil, nil), req)
	require.Equal(t, "u=1, i", <-got)
}

// Requests that cannot be sent are errors before anything is dialed.
func TestCheckRequest(t *testing.T) {
	tr := newTransport(t, nil, func(tr *Transport) {
		tr.Dial = func(context.Context, string, *quic.Config) (*quic.Conn, error) { return nil, errors.New("dialed") }
	})
	for name, change := range map[string]func(*http.Request){
		// "Prior to making requests for an origin whose scheme is not "https", the client MUST ensure the server is willing to
		// serve that scheme."
		// https://www.rfc-editor.org/rfc/rfc9114#section-3.1.2-2
		"scheme":              func(r *http.Request) { r.URL.Scheme = "http" },
		"no host":             func(r *http.Request) { r.URL.Host = "" },
		"no URL":              func(r *http.Request) { r.URL = nil },
		"no Header":           func(r *http.Request) { r.Header = nil },
		"method":              func(r *http.Request) { r.Method = "G T" },
		"field name":          func(r *http.Request) { r.Header["a b"] = []string{"c"} },
		"field value":         func(r *http.Request) { r.Header["A"] = []string{"a\nb"} },
		"trailer":             func(r *http.Request) { r.Trailer = http.Header{"Content-Length": {"1"}} },
		"upgrade":             func(r *http.Request) { r.Header.Set("Upgrade", "websocket") },
		"transfer-encoding":   func(r *http.Request) { r.Header.Set("Transfer-Encoding", "gzip") },
		"connection":          func(r *http.Request) { r.Header.Set("Connection", "upgrade") },
		"early data and body": func(r *http.Request) { r.Method = MethodGet0RTT; r.Body = io.NopCloser(strings.NewReader("x")) },
	} {
		t.Run(name, func(t *testing.T) {
			req := newRequest(t, "GET", "https://localhost/", nil)
			change(req)
			_, err := tr.RoundTrip(req)
			require.Error(t, err)
			require.NotContains(t, err.Error(), "dialed")
		})
	}
	_, err := tr.RoundTrip(newRequest(t, "GET", "https://localhost/", nil))
	require.ErrorContains(t, err, "dialed")
}

func TestResponseHeaderTimeout(t *testing.T) {
	s := serve(t, nil, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), nil)
	tr := newTransport(t, nil, func(tr *Transport) { tr.ResponseHeaderTimeout = time.Millisecond })
	_, err := tr.RoundTrip(newRequest(t, "GET", s.url("/"), nil))
	var timeout interface{ Timeout() bool }
	require.ErrorAs(t, err, &timeout)
	require.True(t, timeout.Timeout())
}

// A header section larger than the server accepts is not sent.
func TestRequestHeaderTooLarge(t *testing.T) {
	s := serve(t, nil, http.HandlerFunc(oneKB), func(s *Server) { s.MaxHeaderBytes = 1000 })
	tr := newTransport(t, nil, nil)
	do(t, tr, newRequest(t, "GET", s.url("/"), nil))
	_, err := tr.cached()[0].Settings(t.Context())
	require.NoError(t, err)
	req := newRequest(t, "GET", s.url("/"), nil)
	req.Header.Set("X-Large", strings.Repeat("x", 1000))
	_, err = tr.RoundTrip(req)
	// "Once a server has provided new settings, clients MUST comply with those values."
	// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.4.2-6
	require.ErrorContains(t, err, "the server accepts only 1000")
	do(t, tr, newRequest(t, "GET", s.url("/"), nil))
}
