package http3

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
)

// newTransport returns a Transport that trusts the test's servers, and ends with the test.
func newTransport(t testing.TB, p tlsprovider.Provider, change func(*Transport)) *Transport {
	t.Helper()
	if p == nil {
		p = defaultProvider()
	}
	tr := &Transport{Provider: p, TLS: &tlsprovider.Config{RootCAs: testPKI().Roots()}}
	if change != nil {
		change(tr)
	}
	t.Cleanup(func() { require.NoError(t, tr.Close()) })
	return tr
}

func (s *testServer) url(path string) string { return "https://" + s.addr + path }

// newRequest returns a request with the context of the test.
func newRequest(t testing.TB, method, url string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	require.NoError(t, err)
	return req
}

// readBody reads and closes the body of a response.
func readBody(t testing.TB, resp *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return string(b)
}

// do performs a request that must succeed.
func do(t testing.TB, rt http.RoundTripper, req *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := rt.RoundTrip(req)
	require.NoError(t, err)
	return resp, readBody(t, resp)
}

// reflectBack answers with what it has received.
func reflectBack(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Trailer", "X-Sum")
	_, _ = fmt.Fprintf(w, "%s %s %s %d %s", r.Method, r.URL.Path, r.Host, r.ContentLength, b)
	w.Header().Set("X-Sum", fmt.Sprint(len(b)))
	for k, v := range r.Trailer {
		w.Header()[http.TrailerPrefix+k] = v
	}
}

func TestRoundTrip(t *testing.T) {
	forProviders(t, func(t *testing.T, p tlsprovider.Provider) {
		s := serve(t, p, http.HandlerFunc(reflectBack), nil)
		tr := newTransport(t, p, nil)
		large := strings.Repeat("0123456789", 100_000)
		for _, tt := range []struct {
			name, method string
			body         io.Reader
			want         string
		}{
			{"GET", "GET", nil, "GET /a %s 0 "},
			{"short body", "POST", strings.NewReader("hello"), "POST /a %s 5 hello"},
			{"large body", "PUT", strings.NewReader(large), "PUT /a %s 1000000 " + large},
			{"body of unknown length", "POST", io.MultiReader(strings.NewReader("a"), strings.NewReader("b")), "POST /a %s -1 ab"},
			{"empty body", "POST", http.NoBody, "POST /a %s 0 "},
		} {
			t.Run(tt.name, func(t *testing.T) {
				resp, body := do(t, tr, newRequest(t, tt.method, s.url("/a"), tt.body))
				require.Equal(t, fmt.Sprintf(tt.want, s.addr), body)
				require.Equal(t, "200 OK", resp.Status)
				require.Equal(t, "HTTP/3.0", resp.Proto)
				require.NotEmpty(t, resp.Trailer.Get("X-Sum"))
				require.True(t, resp.TLS.HandshakeComplete)
				require.Equal(t, "h3", resp.TLS.NegotiatedProtocol)
			})
		}
		require.Len(t, tr.cached(), 1)
	})
}

// Trailers of the request arrive, and the trailers that were announced are keys of Response.Trailer before the end of the body.
func TestTrailers(t *testing.T) {
	s := serve(t, nil, http.HandlerFunc(reflectBack), nil)
	tr := newTransport(t, nil, nil)
	for _, body := range []io.Reader{nil, strings.NewReader("x"), io.MultiReader(strings.NewReader("x"))} {
		req := newRequest(t, "POST", s.url("/"), body)
		req.Trailer = http.Header{"X-Late": nil}
		if body != nil {
			req.Body = &hookBody{Reader: body, atEnd: func() { req.Trailer["X-Late"] = []string{"v"} }}
		} else {
			req.Trailer["X-Late"] = []string{"v"}
		}
		resp, err := tr.RoundTrip(req)
		require.NoError(t, err)
		require.Contains(t, resp.Trailer, "X-Sum")
		readBody(t, resp)
		require.Equal(t, "v", resp.Trailer.Get("X-Late"))
	}
}

// A hookBody calls a function at its end, and notes Close.
type hookBody struct {
	io.Reader
	atEnd  func()
	closed chan struct{}
}

func (b *hookBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF && b.atEnd != nil {
		b.atEnd()
	}
	return n, err
}

func (b *hookBody) Close() error {
	if c, ok := b.Reader.(io.Closer); ok {
		_ = c.Close()
	}
	if b.closed != nil {
		select {
		case <-b.closed:
		default:
			close(b.closed)
		}
	}
	return nil
}

// The end of the context ends a request, whatever it waits for, with the error of the context, and the server learns of it.
func TestCancel(t *testing.T) {
	started, ended := make(chan struct{}, 1), make(chan error, 1)
	s := serve(t, nil, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			_, _ = io.WriteString(w, "begin")
			_ = http.NewResponseController(w).Flush()
		}
		started <- struct{}{}
		<-r.Context().Done()
		ended <- context.Cause(r.Context())
	}), nil)
	tr := newTransport(t, nil, nil)
	reason := errors.New("the user has left")
	check := func(t *testing.T) {
		var e *quic.StreamError
		require.ErrorAs(t, <-ended, &e)
		// "Clients MUST NOT use the H3_REQUEST_REJECTED error code, except when a server has requested closure of the request
		// stream with this error code."
		// https://www.rfc-editor.org/rfc/rfc9114#section-4.1.1-5
		require.Equal(t, ErrCodeRequestCanceled, ErrorCode(e.Code))
	}
	t.Run("before the response", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() { <-started; cancel(reason) }()
		_, err := tr.RoundTrip(newRequest(t, "GET", s.url("/"), nil).WithContext(ctx))
		require.ErrorIs(t, err, reason)
		check(t)
	})
	t.Run("in the response", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		resp, err := tr.RoundTrip(newRequest(t, "GET", s.url("/body"), nil).WithContext(ctx))
		require.NoError(t, err)
		<-started
		go cancel()
		_, err = io.ReadAll(resp.Body)
		require.ErrorIs(t, err, context.Canceled)
		check(t)
	})
	t.Run("by Close", func(t *testing.T) {
		resp, err := tr.RoundTrip(newRequest(t, "GET", s.url("/body"), nil))
		require.NoError(t, err)
		<-started
		require.NoError(t, resp.Body.Close())
		check(t)
		_, err = resp.Body.Read(make([]byte, 1))
		require.ErrorIs(t, err, errBodyClosed)
	})
	t.Run("in the request body", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r, w := io.Pipe()
		go func() { <-started; cancel() }()
		_, err := tr.RoundTrip(newRequest(t, "POST", s.url("/"), r).WithContext(ctx))
		require.ErrorIs(t, err, context.Canceled)
		check(t)
		_, err = w.Write([]byte("x")) // the body was closed
		require.ErrorIs(t, err, io.ErrClosedPipe)
	})
	t.Run("by Request.Cancel", func(t *testing.T) {
		c := make(chan struct{})
		req := newRequest(t, "GET", s.url("/"), nil)
		//lint:ignore SA1019 it is still part of http.RoundTripper
		req.Cancel = c
		go func() { <-started; close(c) }()
		_, err := tr.RoundTrip(req)
		require.ErrorIs(t, err, context.Canceled)
		check(t)
	})
	// The end of the last request is counted after RoundTrip has returned.
	reqs := &tr.cached()[0].reqs
	require.Eventually(t, func() bool {
		reqs.mu.Lock()
		defer reqs.mu.Unlock()
		return reqs.active == 0 && len(reqs.open) == 0
	}, 10*time.Second, time.Millisecond)
}

func TestGzip(t *testing.T) {
	text := strings.Repeat("compressible ", 1000)
	s := serve(t, nil, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			_, _ = io.WriteString(w, "plain")
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = io.WriteString(z, text)
		_ = z.Close()
		w.Header().Set("Content-Length", fmt.Sprint(b.Len()))
		w.Header().Set(http.TrailerPrefix+"X-T", "v")
		_, _ = w.Write(b.Bytes())
	}), nil)
	resp, body := do(t, newTransport(t, nil, nil), newRequest(t, "GET", s.url("/"), nil))
	require.Equal(t, text, body)
	require.True(t, resp.Uncompressed)
	require.Equal(t, int64(-1), resp.ContentLength)
	require.Empty(t, resp.Header.Get("Content-Encoding"))
	require.Empty(t, resp.Header.Get("Content-Length"))
	_, body = do(t, newTransport(t, nil, func(tr *Transport) { tr.DisableCompression = true }), newRequest(t, "GET", s.url("/"), nil))
	require.Equal(t, "plain", body)
	req := newRequest(t, "GET", s.url("/"), nil)
	req.Header.Set("Accept-Encoding", "gzip")
	resp, body = do(t, newTransport(t, nil, nil), req)
	require.False(t, resp.Uncompressed)
	require.Equal(t, "gzip", resp.Header.Get("Content-Encoding"))
	require.NotEqual(t, text, body)
}

// Interim responses reach the trace, and the body of a request that expects 100 waits for it.
func TestInterim(t *testing.T) {
	s := serve(t, nil, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>")
		w.WriteHeader(http.StatusEarlyHints)
		if r.URL.Path == "/refuse" {
			w.WriteHeader(http.StatusExpectationFailed)
			return
		}
		reflectBack(w, r)
	}), nil)
	tr := newTransport(t, nil, func(tr *Transport) { tr.ExpectContinueTimeout = time.Hour })
	var events []string
	trace := &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			events = append(events, fmt.Sprint(code, h["Link"]))
			return nil
		},
		Got100Continue: func() { events = append(events, "continue") },
	}
	send := func(path string) (*http.Response, *hookBody) {
		body := &hookBody{Reader: io.MultiReader(strings.NewReader("hello")), closed: make(chan struct{})}
		req := newRequest(t, "POST", s.url(path), body)
		req.Header.Set("Expect", "100-continue")
		resp, err := tr.RoundTrip(req.WithContext(httptrace.WithClientTrace(t.Context(), trace)))
		require.NoError(t, err)
		return resp, body
	}
	resp, body := send("/refuse")
	require.Equal(t, http.StatusExpectationFailed, resp.StatusCode)
	readBody(t, resp)
	<-body.closed
	rest, err := io.ReadAll(body.Reader)
	require.NoError(t, err)
	require.Equal(t, "hello", string(rest), "the body was not sent")
	require.Equal(t, []string{"103 [</style.css>]"}, events)
	events = nil
	resp, _ = send("/a")
	require.Equal(t, "POST /a "+s.addr+" -1 hello", readBody(t, resp))
	require.Equal(t, []string{"103 [</style.css>]", "continue", "100 []"}, events)
}

// A header section beyond MaxResponseHeaderBytes is an error of the request only.
func TestMaxResponseHeaderBytes(t *testing.T) {
	s := serve(t, nil, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/large" {
			w.Header().Set("X-Large", strings.Repeat("x", 5000))
		}
	}), nil)
	tr := newTransport(t, nil, func(tr *Transport) { tr.MaxResponseHeaderBytes = 4000 })
	do(t, tr, newRequest(t, "GET", s.url("/"), nil))
	sc := s.onlyConn()
	<-sc.settingsArrived()
	sc.peer.Store(&initialSettings) // a server that ignores SETTINGS_MAX_FIELD_SECTION_SIZE
	_, err := tr.RoundTrip(newRequest(t, "GET", s.url("/large"), nil))
	require.ErrorContains(t, err, "4000")
	do(t, tr, newRequest(t, "GET", s.url("/"), nil))
}

// A body that does not have the length of ContentLength, or that fails, is an error.
func TestRequestBodyErrors(t *testing.T) {
	s := serve(t, nil, http.HandlerFunc(reflectBack), nil)
	tr := newTransport(t, nil, nil)
	broken := errors.New("broken")
	for name, tt := range map[string]struct {
		body   io.Reader
		length int64
		want   string
	}{
		"short in memory": {strings.NewReader("abc"), 4, "has only 3 bytes"},
		"long in memory":  {strings.NewReader("abc"), 2, "is longer"},
		"short":           {io.MultiReader(strings.NewReader("abc")), 4, "has only 3 bytes"},
		"long":            {io.MultiReader(strings.NewReader("abc")), 2, "is longer"},
		"failing":         {io.MultiReader(strings.NewReader("abc"), errReader{broken}), -1, "broken"},
		"failing, length": {io.MultiReader(strings.NewReader("abc"), errReader{broken}), 5, "broken"},
	} {
		t.Run(name, func(t *testing.T) {
			req := newRequest(t, "POST", s.url("/"), tt.body)
			req.ContentLength = tt.length
			_, err := tr.RoundTrip(req)
			require.ErrorContains(t, err, tt.want)
		})
	}
	require.Len(t, tr.cached(), 1, "the connection is still in use")
}

type errReader struct{ error }

func (r errReader) Read([]byte) (int, error) { return 0, r.error }
