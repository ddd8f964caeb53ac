package http3

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/http3/internal/frame"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
)

// echo answers with the method, the path and the body.
func echo(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_, _ = io.WriteString(w, r.Method+" "+r.URL.Path+" "+string(b))
}

func TestRequests(t *testing.T) {
	forProviders(t, func(t *testing.T, p tlsprovider.Provider) {
		s := serve(t, p, http.HandlerFunc(echo), nil)
		c := dialRaw(t, s)
		m := c.roundTrip(get("/hello")...)
		require.Equal(t, "200", m.status)
		require.Equal(t, "GET /hello ", m.body)
		require.Equal(t, "11", m.header.Get("Content-Length"))
		require.Equal(t, "text/plain; charset=utf-8", m.header.Get("Content-Type"))
		require.NotEmpty(t, m.header.Get("Date"))
		m = c.open(join(c.headers(post("/")...), data("one "), data("two"))).end().response()
		require.Equal(t, "POST / one two", m.body)
		m = c.roundTrip(":method", "OPTIONS", ":scheme", "https", ":authority", "localhost", ":path", "*")
		require.Equal(t, []string{"200", "", "0"}, []string{m.status, m.body, m.header.Get("Content-Length")})
	})
}

// What a handler sees of a request.
func TestRequestFields(t *testing.T) {
	forProviders(t, func(t *testing.T, p tlsprovider.Provider) {
		reqs := make(chan *http.Request, 1)
		s := serve(t, p, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { reqs <- r }), func(s *Server) {
			s.ConnContext = func(ctx context.Context, c *quic.Conn) context.Context {
				return context.WithValue(ctx, contextKey("id"), c.ID())
			}
		})
		c := dialRaw(t, s)
		c.roundTrip(get("/p?a=b", "user-agent", "test", "accept", "x", "accept", "y")...)
		r := <-reqs
		require.Equal(t, "GET", r.Method)
		require.Equal(t, "/p?a=b", r.RequestURI)
		require.Equal(t, "b", r.FormValue("a"))
		require.Equal(t, "localhost", r.Host)
		require.Equal(t, http.Header{"User-Agent": {"test"}, "Accept": {"x", "y"}}, r.Header)
		require.Equal(t, "HTTP/3.0", r.Proto)
		require.True(t, r.ProtoAtLeast(3, 0))
		require.Equal(t, c.LocalAddr().(*net.UDPAddr).Port, portOf(t, r.RemoteAddr))
		require.Equal(t, http.NoBody, r.Body)
		require.Zero(t, r.ContentLength)
		require.True(t, r.TLS.HandshakeComplete)
		require.Equal(t, uint16(tls.VersionTLS13), r.TLS.Version)
		require.Equal(t, "localhost", r.TLS.ServerName)
		require.Equal(t, NextProto, r.TLS.NegotiatedProtocol)
		require.Equal(t, tls.CurveID(c.ConnectionState().TLS.Group), r.TLS.CurveID)
		require.Equal(t, c.ID(), r.Context().Value(contextKey("id")))
		require.Equal(t, s.Server, r.Context().Value(ServerContextKey))
		require.Equal(t, s.addr, r.Context().Value(http.LocalAddrContextKey).(net.Addr).String())
		conn, ok := ConnFromContext(r.Context())
		require.True(t, ok)
		require.Equal(t, c.ID(), conn.ID())
		require.ErrorIs(t, r.Context().Err(), context.Canceled, "the context ends with the handler")

		c.open(c.headers(post("/", "content-length", "3")...)).response()
		r = <-reqs
		require.Equal(t, int64(3), r.ContentLength)
		c.open(c.headers(post("/")...)).response()
		r = <-reqs
		require.Equal(t, int64(-1), r.ContentLength)
	})
}

func portOf(t *testing.T, addr string) int {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	n, err := strconv.Atoi(port)
	require.NoError(t, err)
	return n
}

// responses are handlers and what the client receives of them.
var responses = map[string]struct {
	method  string // GET if it is empty
	handler http.HandlerFunc
	want    message // header lists only what is compared; an empty value means that the field is absent
}{
	"nothing": {"", func(http.ResponseWriter, *http.Request) {},
		message{status: "200", header: http.Header{"Content-Length": {"0"}, "Content-Type": {""}}}},
	"status": {"", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) },
		message{status: "404", header: http.Header{"Content-Length": {"0"}}}},
	"html": {"", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html></html>") },
		message{status: "200", header: http.Header{"Content-Type": {"text/html; charset=utf-8"}}, body: "<html></html>", dataSize: []int{13}}},
	"own type, own date": {"", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "x/y")
		w.Header()["Date"] = nil
		_, _ = io.WriteString(w, "<html>")
	}, message{status: "200", header: http.Header{"Content-Type": {"x/y"}, "Date": {""}}, body: "<html>", dataSize: []int{6}}},
	"no type for encoded content": {"", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = io.WriteString(w, "xyz")
	}, message{status: "200", header: http.Header{"Content-Type": {""}, "Content-Encoding": {"gzip"}}, body: "xyz", dataSize: []int{3}}},
	"HEAD": {"HEAD", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
		message{status: "200", header: http.Header{"Content-Length": {"6"}, "Content-Type": {"text/html; charset=utf-8"}}}},
	"HEAD with a length": {"HEAD", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "99") },
		message{status: "200", header: http.Header{"Content-Length": {"99"}}}},
	"HEAD of much": {"HEAD", func(w http.ResponseWriter, _ *http.Request) {
		for range 10 {
			_, err := w.Write(make([]byte, 3000))
			must(err)
		}
	}, message{status: "200", header: http.Header{"Content-Length": {""}, "Content-Type": {"application/octet-stream"}}}},
	"204": {"", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5")
		w.WriteHeader(204)
		if _, err := w.Write([]byte("x")); err == nil {
			panic("content of a response with status 204")
		}
	}, message{status: "204", header: http.Header{"Content-Length": {""}, "Content-Type": {""}}}},
	"304": {"", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "5")
		w.WriteHeader(304)
	}, message{status: "304", header: http.Header{"Content-Length": {"5"}, "Content-Type": {""}}}},
	"interim": {"", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</x>")
		w.WriteHeader(103)
		w.WriteHeader(102)
		w.WriteHeader(201)
	}, message{interim: []string{"103", "102"}, status: "201", header: http.Header{"Link": {"</x>"}}}},
	"declared trailers": {"", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-A, X-B")
		_, _ = io.WriteString(w, "body")
		w.Header().Set("X-A", "1")
		w.Header().Set("X-C", "not declared")
	}, message{status: "200", header: http.Header{"Trailer": {"X-A, X-B"}, "X-A": {""}, "Content-Length": {"4"}}, body: "body", dataSize: []int{4},
		trailer: http.Header{"X-A": {"1"}}}},
	"trailers with the prefix": {"", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "body")
		w.(http.Flusher).Flush()
		w.Header().Set(http.TrailerPrefix+"X-A", "1")
		w.Header().Set(http.TrailerPrefix+"Content-Length", "not in trailers")
	}, message{status: "200", body: "body", dataSize: []int{4}, trailer: http.Header{"X-A": {"1"}}}},
	// "An endpoint MUST NOT generate an HTTP/3 field section containing connection-specific fields"
	// https://www.rfc-editor.org/rfc/rfc9114#section-4.2-3
	//
	// "Transfer codings (see Section 7 of [HTTP/1.1]) are not defined for HTTP/3; the Transfer-Encoding header field MUST NOT be
	// used."
	// https://www.rfc-editor.org/rfc/rfc9114#section-4.1-11
	"fields that cannot be sent": {"", func(w http.ResponseWriter, _ *http.Request) {
		for _, name := range []string{"Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade", "Bad Name"} {
			w.Header()[name] = []string{"x"}
		}
		w.Header()["X-Bad"] = []string{"a\nb"}
		w.Header()["lower"] = []string{"ok"}
	}, message{status: "200", header: http.Header{"Connection": {""}, "X-Bad": {""}, "Lower": {"ok"}}}},
	"header changed after WriteHeader": {"", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X", "1")
		w.WriteHeader(200)
		w.Header().Set("X", "2")
	}, message{status: "200", header: http.Header{"X": {"1"}}}},
	"more than the buffer": {"", func(w http.ResponseWriter, _ *http.Request) {
		for range 3 {
			_, err := w.Write(bytes.Repeat([]byte("a"), 2000))
			must(err)
		}
	}, message{status: "200", header: http.Header{"Content-Length": {""}}, body: strings.Repeat("a", 6000), dataSize: []int{6000}}},
	// A declared length is one DATA frame, which begins with the head.
	"declared length": {"", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "20000")
		w.(http.Flusher).Flush()
		for range 10 {
			_, err := w.Write(make([]byte, 2000))
			must(err)
			w.(http.Flusher).Flush()
		}
		if _, err := w.Write([]byte("x")); err == nil {
			panic("more content than Content-Length")
		}
	}, message{status: "200", header: http.Header{"Content-Length": {"20000"}}, body: string(make([]byte, 20000)), dataSize: []int{20000}}},
	"flush": {"", func(w http.ResponseWriter, _ *http.Request) {
		for _, s := range []string{"a", "b", ""} {
			_, _ = io.WriteString(w, s)
			w.(http.Flusher).Flush()
		}
	}, message{status: "200", header: http.Header{"Content-Length": {""}}, body: "ab", dataSize: []int{1, 1}}},
	"ReadFrom with a length": {"", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100001")
		w.Header().Set("Content-Type", "x/y")
		_, _ = io.WriteString(w, "a")
		n, err := io.Copy(w, strings.NewReader(strings.Repeat("b", 100_000)))
		must(err)
		if n != 100_000 {
			panic(n)
		}
	}, message{status: "200", body: "a" + strings.Repeat("b", 100_000), dataSize: []int{100_001}}},
	"ReadFrom without a length": {"", func(w http.ResponseWriter, _ *http.Request) {
		_, err := io.Copy(w, io.LimitReader(strings.NewReader(strings.Repeat("b", 1000)), 500))
		must(err)
	}, message{status: "200", header: http.Header{"Content-Length": {"500"}, "Content-Type": {"text/plain; charset=utf-8"}},
		body: strings.Repeat("b", 500), dataSize: []int{500}}},
	"ServeContent": {"", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "x.txt", time.Time{}, strings.NewReader(strings.Repeat("c", 70_000)))
	}, message{status: "200", header: http.Header{"Content-Type": {"text/plain; charset=utf-8"}}, body: strings.Repeat("c", 70_000),
		dataSize: []int{70_000}}},
	"a large header": {"", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X", strings.Repeat("~", 5000)) // a character with a long code
		_, _ = io.WriteString(w, "body")
	}, message{status: "200", header: http.Header{"X": {strings.Repeat("~", 5000)}}, body: "body", dataSize: []int{4}}},
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func TestResponses(t *testing.T) {
	forProviders(t, func(t *testing.T, p tlsprovider.Provider) {
		mux := http.NewServeMux()
		for name, tc := range responses {
			mux.HandleFunc("/"+strings.ReplaceAll(name, " ", "-"), tc.handler)
		}
		s := serve(t, p, mux, nil)
		c := dialRaw(t, s)
		for name, tc := range responses {
			t.Run(name, func(t *testing.T) {
				c := *c
				c.TB = t
				kv := get("/" + strings.ReplaceAll(name, " ", "-"))
				if tc.method != "" {
					kv[1] = tc.method
				}
				// "After sending a final response, the server MUST close the stream for sending."
				// https://www.rfc-editor.org/rfc/rfc9114#section-4.1-13
				m := c.roundTrip(kv...)
				for name, want := range tc.want.header {
					require.Equal(t, want[0], m.header.Get(name), name)
				}
				m.header, tc.want.header = nil, nil
				require.Equal(t, &tc.want, m)
			})
		}
		require.Empty(t, s.log.String())
	})
}

// Handlers that fail, and the code with which their stream is reset. The connection stays.
func TestFailingHandlers(t *testing.T) {
	forProviders(t, func(t *testing.T, p tlsprovider.Provider) {
		mux := http.NewServeMux()
		mux.HandleFunc("/", echo)
		s := serve(t, p, mux, nil)
		c := dialRaw(t, s)
		for name, tc := range map[string]struct {
			handler http.HandlerFunc
			code    uint64
			log     string
		}{
			// "Servers MUST NOT use the H3_REQUEST_REJECTED error code for requests that were partially or fully processed."
			// https://www.rfc-editor.org/rfc/rfc9114#section-4.1.1-4
			"panic": {func(http.ResponseWriter, *http.Request) { panic("oops") }, frame.InternalError, "panic serving"},
			// "When a server abandons a response after partial processing, it SHOULD abort its response stream with the error code
			// H3_REQUEST_CANCELLED."
			// https://www.rfc-editor.org/rfc/rfc9114#section-4.1.1-4
			"ErrAbortHandler": {func(w http.ResponseWriter, _ *http.Request) {
				_, _ = io.WriteString(w, "part")
				panic(http.ErrAbortHandler)
			}, frame.RequestCancelled, ""},
			"too little content": {func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "10")
				_, _ = io.WriteString(w, "part")
			}, frame.InternalError, "Content-Length 10"},
			"too little content after a flush": {func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "10")
				_, _ = io.WriteString(w, "part")
				w.(http.Flusher).Flush()
			}, frame.InternalError, "Content-Length 10"},
			"101": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(101) }, frame.InternalError, "101"},
		} {
			t.Run(name, func(t *testing.T) {
				path := "/" + strings.ReplaceAll(name, " ", "-")
				mux.HandleFunc(path, tc.handler)
				c := *c
				c.TB = t
				c.open(c.headers(get(path)...)).end().wantReset(tc.code)
				s.wantLog(t, tc.log)
			})
		}
		require.Equal(t, "200", c.roundTrip(get("/")...).status)
	})
}

// A response that the handler abandons does not overtake what was flushed, if the client accepts RESET_STREAM_AT.
func TestAbandonedResponse(t *testing.T) {
	part := strings.Repeat("part", 8<<10) // more than the client's window
	for name, tc := range map[string]struct {
		handler http.HandlerFunc
		code    uint64
	}{
		"panic": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, part)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, frame.RequestCancelled},
		"too little content": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000000")
			w.Header().Set("Content-Type", "text/plain")
			_, _ = w.(io.ReaderFrom).ReadFrom(strings.NewReader(part))
		}, frame.InternalError},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, nil, tc.handler, nil)
			c := dialWith(t, s, func(cfg *quic.Config) {
				cfg.EnableResetStreamAt = true
				cfg.StreamWindow, cfg.MaxStreamWindow = 1000, 1000
			})
			c.uni(frame.StreamControl, frame.AppendHeader(nil, frame.Settings, 0))
			b, err := io.ReadAll(c.sendAll(c.headers(get("/")...)))
			var se *quic.StreamError
			require.ErrorAs(t, err, &se)
			require.Equal(t, quic.StreamError{ID: se.ID, Code: tc.code, Remote: true}, *se)
			require.Equal(t, len(part), bytes.Count(b, []byte("part"))*4)
		})
	}
}

// The client sends the body only after a response with status 100, which the first Read sends.
func TestExpectContinue(t *testing.T) {
	forProviders(t, func(t *testing.T, p tlsprovider.Provider) {
		s := serve(t, p, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/refuse" {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			echo(w, r)
		}), nil)
		c := dialRaw(t, s)
		req := c.open(c.headers(post("/", "expect", "100-continue")...))
		b, err := req.Peek(1)
		require.NoError(t, err)
		h, n := frame.ParseHeader(b)
		interim := make([]byte, n+int(h.Length))
		_, err = io.ReadFull(req, interim)
		require.NoError(t, err)
		require.Equal(t, []string{"100"}, req.parse(interim).interim)
		_, err = req.WriteEnd(data("body"))
		require.NoError(t, err)
		require.Equal(t, "POST / body", req.response().body)
		m := c.open(c.headers(post("/refuse", "expect", "100-continue")...)).response()
		require.Equal(t, "403", m.status)
		require.Nil(t, m.interim)
	})
}

// A goroutine that reads the body while the handler answers does not send status 100 after the final response.
func TestExpectContinueAgainstResponse(t *testing.T) {
	s := serve(t, nil, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := r.Context().Value(exchangeKey{}).(*exchange)
		x.c.enc.mu.Lock() // the interim response is on its way, but waits
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = r.Body.Read(make([]byte, 1)) // fails when the body is closed
		}()
		for x.body.mu.TryLock() { // until Read holds it
			x.body.mu.Unlock()
			runtime.Gosched()
		}
		x.c.enc.mu.Unlock()
		w.WriteHeader(http.StatusForbidden)
		must(http.NewResponseController(w).Flush())
		must(r.Body.Close())
		<-done
	}), nil)
	c := dialRaw(t, s)
	for range 50 {
		req := c.open(c.headers(post("/", "expect", "100-continue")...))
		b, err := io.ReadAll(req)
		require.NoError(t, err)
		h, n := frame.ParseHeader(b)
		if first := n + int(h.Length); first < len(b) {
			require.Equal(t, []string{"100"}, req.parse(b[:first]).interim)
			b = b[first:]
		}
		last := req.parse(b)
		require.Equal(t, "403", last.status)
		require.Empty(t, last.interim)
	}
}

func TestRequestTrailers(t *testing.T) {
	forProviders(t, func(t *testing.T, p tlsprovider.Provider) {
		s := serve(t, p, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, announced := r.Trailer["X-A"]
			_, err := io.Copy(w, r.Body)
			must(err)
			_, _ = io.WriteString(w, " "+strconv.FormatBool(announced)+" "+r.Trailer.Get("X-A"))
		}), nil)
		c := dialRaw(t, s)
		m := c.open(join(c.headers(post("/", "trailer", "x-a")...), data("body"), c.headers("x-a", "1"))).end().response()
		require.Equal(t, "body true 1", m.body)
		m = c.open(join(c.headers(post("/")...), data("body"), c.headers("x-a", "1", "content-length", "9"))).end().response()
		require.Equal(t, "body false 1", m.body)
	})
}

// A response that does not need the rest of the request is complete, and the server asks the client to stop.
//
// "The error code H3_NO_ERROR SHOULD be used when requesting that the client stop sending on the request stream."
// https://www.rfc-editor.org/rfc/rfc9114#section-4.1-15
func TestEarlyResponse(t *testing.T) {
	forProviders(t, func(t *testing.T, p tlsprovider.Provider) {
		s := serve(t, p, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "enough") }), nil)
		c := dialRaw(t, s)
		req := c.open(join(c.headers(post("/")...), data("part")))
		require.Equal(t, "enough", req.response().body)
		<-req.Context().Done()
		var se *quic.StreamError
		require.ErrorAs(t, context.Cause(req.Context()), &se)
		require.Equal(t, uint64(frame.NoError), se.Code)
		// A client that has sent everything is not stopped.
		req = c.open(join(c.headers(post("/")...), data("all"))).end()
		require.Equal(t, "enough", req.response().body)
	})
}

// A request's context ends when the client gives up, in each way in which it can.
func TestRequestContext(t *testing.T) {
	forProviders(t, func(t *testing.T, p tlsprovider.Provider) {
		started, ended := make(chan struct{}, 1), make(chan error, 1)
		s := serve(t, p, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			child, cancel := context.WithCancel(r.Context())
			defer cancel()
			started <- struct{}{}
			<-child.Done()
			ended <- context.Cause(r.Context())
		}), nil)
		for name, give := range map[string]func(c *rawClient, r *rawStream){
			"STOP_SENDING":  func(_ *rawClient, r *rawStream) { must(r.StopSending(frame.RequestCancelled)) },
			"RESET_STREAM":  func(_ *rawClient, r *rawStream) { must(r.Reset(frame.RequestCancelled)) },
			"closing":       func(c *rawClient, _ *rawStream) { must(c.CloseWithError(frame.RequestCancelled, "")) },
			"after the end": func(_ *rawClient, r *rawStream) { must(r.CloseWrite()); must(r.StopSending(frame.RequestCancelled)) },
		} {
			t.Run(name, func(t *testing.T) {
				c := dialRaw(t, s)
				r := c.open(c.headers(post("/")...))
				<-started
				give(c, r)
				err := <-ended
				var e *Error
				var se *quic.StreamError
				var ae *quic.ApplicationError
				require.True(t, errors.As(err, &e) || errors.As(err, &se) || errors.As(err, &ae), "%v", err)
			})
		}
	})
}

// The methods of http.ResponseController.
func TestResponseController(t *testing.T) {
	forProviders(t, func(t *testing.T, p tlsprovider.Provider) {
		s := serve(t, p, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rc := http.NewResponseController(w)
			must(rc.EnableFullDuplex())
			must(rc.SetReadDeadline(time.Now().Add(-time.Second)))
			_, err := r.Body.Read(make([]byte, 1))
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				panic(err)
			}
			must(rc.SetReadDeadline(time.Time{}))
			_, err = io.WriteString(w, "answer before the request")
			must(err)
			must(rc.Flush())
			b, err := io.ReadAll(r.Body)
			must(err)
			_, _ = w.Write(b)
			must(rc.Flush())
			must(rc.SetWriteDeadline(time.Now().Add(-time.Second)))
			_, err = w.Write(make([]byte, 10_000))
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				panic(err)
			}
			must(rc.SetWriteDeadline(time.Time{}))
			panic(http.ErrAbortHandler)
		}), nil)
		c := dialRaw(t, s)
		req := c.open(c.headers(post("/")...))
		_, err := req.Peek(1)
		require.NoError(t, err, "the response begins before the request has ended")
		_, err = req.WriteEnd(data("the request"))
		require.NoError(t, err)
		req.wantReset(frame.RequestCancelled)
		require.Empty(t, s.log.String())
	})
}

// A read deadline that passes anywhere within the request's frames loses nothing: the next Read continues.
func TestReadDeadlineWithinFrames(t *testing.T) {
	body := join(frameBytes(0x21, bytes.Repeat([]byte{7}, 40)), data("0123456789"), frameBytes(0x21, nil), data("abc"))
	for name, read := range map[string]func(r io.Reader, w io.Writer) error{
		"Read": func(r io.Reader, w io.Writer) error {
			_, err := io.Copy(w, struct{ io.Reader }{r})
			return err
		},
		"WriteTo": func(r io.Reader, w io.Writer) error {
			_, err := r.(io.WriterTo).WriteTo(w)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			expired := make(chan struct{})
			s := serve(t, nil, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				var b bytes.Buffer
				rc := http.NewResponseController(w)
				for {
					must(rc.SetReadDeadline(time.Now().Add(5 * time.Millisecond)))
					err := read(r.Body, &b)
					if err == nil {
						break
					}
					if !errors.Is(err, os.ErrDeadlineExceeded) {
						panic(err)
					}
					must(rc.SetReadDeadline(time.Time{}))
					expired <- struct{}{}
				}
				_, _ = w.Write(b.Bytes())
			}), nil)
			c := dialRaw(t, s)
			req := c.open(c.headers(post("/")...))
			for i := range body {
				<-expired
				_, err := req.Write(body[i : i+1])
				require.NoError(t, err)
			}
			<-expired
			require.NoError(t, req.CloseWrite())
			done := make(chan struct{})
			go func() { // the deadline may pass once more
				for {
					select {
					case <-expired:
					case <-done:
						return
					}
				}
			}()
			require.Equal(t, "0123456789abc", req.response().body)
			close(done)
		})
	}
}

// After the handler has returned, its ResponseWriter and body do nothing.
func TestUseAfterHandler(t *testing.T) {
	var w http.ResponseWriter
	var r *http.Request
	p := testProviders(t)["native"]
	s := serve(t, p, http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) { w, r = rw, req }), nil)
	c := dialRaw(t, s)
	c.open(join(c.headers(post("/")...), data("x"))).response()
	for s.activeRequests() > 0 {
		runtime.Gosched()
	}
	_, err := w.Write([]byte("late"))
	require.Error(t, err)
	w.WriteHeader(500)
	s.wantLog(t, "WriteHeader after the handler")
	_, err = r.Body.Read(make([]byte, 1))
	require.ErrorIs(t, err, http.ErrBodyReadAfterClose)
}
