package http3

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A clientCase is a request and a handler.
type clientCase struct {
	method  string
	body    func() io.Reader
	change  func(*http.Request)
	handler http.HandlerFunc
	// read reads the response; nil means io.ReadAll.
	read func(*http.Response) ([]byte, error)
}

// mirror answers with what it has received of the request.
func mirror(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	_, _ = fmt.Fprintf(w, "%s %s host=%t length=%d body=%q err=%v\n", r.Method, r.RequestURI, r.Host != "", r.ContentLength, b, err)
	for _, h := range []http.Header{r.Header, r.Trailer} {
		for _, name := range slices.Sorted(maps.Keys(h)) {
			if name != "User-Agent" && name != "Connection" && name != "Te" && name != "Trailer" && name != "Content-Length" {
				_, _ = fmt.Fprintf(w, "%s: %q\n", name, h[name])
			}
		}
	}
}

var clientCases = map[string]clientCase{
	"GET":                  {handler: mirror},
	"query":                {change: func(r *http.Request) { r.URL.Path, r.URL.RawQuery = "/a b/ü", "q=1&r=%20" }, handler: mirror},
	"opaque":               {change: func(r *http.Request) { r.URL.Opaque = "/%2f/x" }, handler: mirror},
	"OPTIONS *":            {method: "OPTIONS", change: func(r *http.Request) { r.URL.Opaque = "*" }, handler: mirror},
	"own method":           {method: "BREW", handler: mirror},
	"HEAD":                 {method: "HEAD", handler: mirror},
	"POST":                 {method: "POST", body: func() io.Reader { return strings.NewReader("short") }, handler: mirror},
	"POST, empty":          {method: "POST", body: func() io.Reader { return strings.NewReader("") }, handler: mirror},
	"POST, nil":            {method: "POST", handler: mirror},
	"POST, unknown length": {method: "POST", body: func() io.Reader { return io.MultiReader(strings.NewReader("a"), strings.NewReader("b")) }, handler: mirror},
	"PUT, large":           {method: "PUT", body: func() io.Reader { return strings.NewReader(strings.Repeat("x", 300_000)) }, handler: countBody},
	"GET with a body":      {body: func() io.Reader { return strings.NewReader("body") }, handler: mirror},
	"fields":               {change: func(r *http.Request) { r.Header["X-A"] = []string{"1", "2"}; r.Header.Set("X-Empty", "") }, handler: mirror},
	"cookies": {change: func(r *http.Request) {
		r.AddCookie(&http.Cookie{Name: "a", Value: "1"})
		r.AddCookie(&http.Cookie{Name: "b", Value: "2"})
	}, handler: mirror},
	"own Host":      {change: func(r *http.Request) { r.Host = "other.example" }, handler: func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Host) }},
	"no User-Agent": {change: func(r *http.Request) { r.Header.Set("User-Agent", "") }, handler: func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, len(r.Header["User-Agent"])) }},
	"connection fields": {change: func(r *http.Request) {
		r.Header.Set("Keep-Alive", "x")
		r.Header.Set("Proxy-Connection", "y")
		r.Header.Del("Keep-Alive")
	}, handler: func(w http.ResponseWriter, r *http.Request) {}},
	"own Accept-Encoding": {change: func(r *http.Request) { r.Header.Set("Accept-Encoding", "gzip") }, handler: zipped},
	"gzip":                {handler: zipped},
	"broken gzip": {handler: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = io.WriteString(w, "plain")
	}},
	"empty gzip":         {handler: func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Encoding", "gzip") }},
	"range without gzip": {change: func(r *http.Request) { r.Header.Set("Range", "bytes=0-1") }, handler: mirror},
	"204":                {handler: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }},
	"304":                {handler: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(304) }},
	"404":                {handler: http.NotFound},
	"418":                {handler: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(418) }},
	"599":                {handler: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(599) }},
	"redirect":           {handler: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) }},
	"flushed":            {handler: func(w http.ResponseWriter, _ *http.Request) { flushTwice(w) }},
	"announced trailers": {handler: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Trailer", "X-A, X-B")
		_, _ = io.WriteString(w, "x")
		w.Header().Set("X-A", "1")
	}},
	"late trailers": {handler: func(w http.ResponseWriter, _ *http.Request) {
		flushTwice(w)
		w.Header().Set(http.TrailerPrefix+"X-Late", "1")
	}},
	"request trailers": {method: "POST", body: func() io.Reader { return io.MultiReader(strings.NewReader("x")) }, change: func(r *http.Request) { r.Trailer = http.Header{"X-T": {"v"}} }, handler: mirror},
	"103": {handler: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "l")
		w.WriteHeader(103)
		w.WriteHeader(200)
	}},
	"100-continue":          {method: "POST", body: func() io.Reader { return io.MultiReader(strings.NewReader("x")) }, change: expect, handler: func(w http.ResponseWriter, r *http.Request) { countBody(w, r) }},
	"100-continue, refused": {method: "POST", body: func() io.Reader { return io.MultiReader(strings.NewReader("x")) }, change: expect, handler: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(417) }},
	"panic":                 {handler: func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
	"panic in the body":     {handler: func(w http.ResponseWriter, _ *http.Request) { flushTwice(w); <-wasRead; panic(http.ErrAbortHandler) }, read: readSix},
	"too few bytes": {handler: func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		flushTwice(w)
		<-wasRead
	}, read: readSix},
	"body not read":       {method: "POST", body: func() io.Reader { return strings.NewReader(strings.Repeat("x", 10_000)) }, handler: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "enough") }},
	"body too short":      {method: "POST", body: func() io.Reader { return io.MultiReader(strings.NewReader("x")) }, change: func(r *http.Request) { r.ContentLength = 5 }, handler: waitForEnd},
	"body too long":       {method: "POST", body: func() io.Reader { return io.MultiReader(strings.NewReader("xyz")) }, change: func(r *http.Request) { r.ContentLength = 2 }, handler: waitForEnd},
	"body that fails":     {method: "POST", body: func() io.Reader { return errReader{errMine} }, handler: waitForEnd},
	"invalid field name":  {change: func(r *http.Request) { r.Header["a b"] = []string{"x"} }, handler: mirror},
	"invalid field value": {change: func(r *http.Request) { r.Header["A"] = []string{"x\n"} }, handler: mirror},
	"invalid trailer":     {method: "POST", body: func() io.Reader { return io.MultiReader(strings.NewReader("x")) }, change: func(r *http.Request) { r.Trailer = http.Header{"Content-Length": {"1"}} }, handler: mirror},
	"invalid method":      {method: "GET", change: func(r *http.Request) { r.Method = "A B" }, handler: mirror},
	"cancelled":           {change: func(r *http.Request) { *r = *r.WithContext(endedContext(r.Context())) }, handler: mirror},
	"cancelled, waiting":  {change: func(r *http.Request) { cancelSoon(r) }, handler: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }},
	"cancelled in the body": {handler: func(w http.ResponseWriter, r *http.Request) {
		flushTwice(w)
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	}, change: func(r *http.Request) { withCancel(r) }, read: cancelAndRead},
	"read after close":      {handler: mirror, read: func(r *http.Response) ([]byte, error) { _ = r.Body.Close(); return io.ReadAll(r.Body) }},
	"closed before its end": {handler: func(w http.ResponseWriter, r *http.Request) { flushTwice(w); <-r.Context().Done() }, read: func(r *http.Response) ([]byte, error) { return nil, r.Body.Close() }},
	"header of many fields": {handler: func(w http.ResponseWriter, _ *http.Request) {
		for i := range 100 {
			w.Header().Add("X-Many", fmt.Sprint(i))
		}
	}},
	"content sniffed": {handler: func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }},
	"early answer": {method: "POST", body: func() io.Reader { return pipeReader() }, handler: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(413); flushTwice(w) }, read: func(r *http.Response) ([]byte, error) {
		b := make([]byte, 3)
		_, err := io.ReadFull(r.Body, b)
		return b, err
	}},
}

var errMine = errors.New("the body fails")

func expect(r *http.Request) { r.Header.Set("Expect", "100-continue") }

func countBody(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	_, _ = fmt.Fprint(w, n, err, r.ContentLength)
}

// waitForEnd reads the body and waits until the client gives up.
func waitForEnd(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

func flushTwice(w http.ResponseWriter) {
	for _, s := range []string{"one", "two"} {
		_, _ = io.WriteString(w, s)
		_ = http.NewResponseController(w).Flush()
	}
}

func zipped(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Encoding", "gzip")
	w.Header().Set("X-Asked", r.Header.Get("Accept-Encoding"))
	z := gzip.NewWriter(w)
	_, _ = io.WriteString(z, "text")
	_ = z.Close()
}

// pipeReader returns a reader that waits until it is closed, which a RoundTripper does.
func pipeReader() io.Reader {
	r, _ := io.Pipe()
	return r
}

func endedContext(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx
}

func cancelSoon(r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	*r = *r.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { cancel() }}))
}

type cancelKey struct{}

func withCancel(r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	*r = *r.WithContext(context.WithValue(ctx, cancelKey{}, cancel))
}

func cancelAndRead(r *http.Response) ([]byte, error) {
	b := make([]byte, 6)
	n, err := io.ReadFull(r.Body, b)
	if err != nil {
		return b[:n], err
	}
	r.Request.Context().Value(cancelKey{}).(context.CancelFunc)()
	_, err = io.ReadAll(r.Body)
	return b, err
}

// wasRead has a token when readSix has read what was flushed: the end of a QUIC stream by an error overtakes what was sent before.
var wasRead = make(chan struct{}, 1)

func readSix(r *http.Response) ([]byte, error) {
	b := make([]byte, 6)
	if _, err := io.ReadFull(r.Body, b); err != nil {
		return nil, err
	}
	wasRead <- struct{}{}
	_, err := io.ReadAll(r.Body)
	return b, err
}

// A clientResult is what the user of a client sees.
type clientResult struct {
	Status              string
	Code                int
	Header, Trailer     http.Header
	Announced           []string // keys of the trailers before the end of the body
	Body                string
	ContentLength       int64
	Uncompressed        bool
	Interim             []string
	RoundTripErr, Error string // a class of errors
	Closed              bool   // whether the body of the request was closed
}

// errorClass returns what users can rely on of an error.
func errorClass(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, errMine):
		return "mine"
	case errors.Is(err, gzip.ErrHeader):
		return "gzip"
	case errors.Is(err, io.ErrUnexpectedEOF), err == io.EOF:
		return "failed" // HTTP/1.1 only knows that the connection has ended
	}
	return "failed"
}

func (tc *clientCase) run(t *testing.T, name string, rt http.RoundTripper, url string) (r clientResult) {
	method := tc.method
	if method == "" {
		method = "GET"
	}
	var body *hookBody
	var reader io.Reader
	if tc.body != nil {
		reader = tc.body()
	}
	req := newRequest(t, method, url, reader)
	if reader != nil && req.ContentLength == 0 && req.Body != http.NoBody {
		body = &hookBody{Reader: reader, closed: make(chan struct{})}
		req.Body = body
	}
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		r.Interim = append(r.Interim, fmt.Sprint(code, h["Link"]))
		return nil
	}}
	req = req.WithContext(httptrace.WithClientTrace(t.Context(), trace))
	req.Header.Set("X-Case", name)
	if tc.change != nil {
		tc.change(req)
	}
	resp, err := rt.RoundTrip(req)
	r.RoundTripErr = errorClass(err)
	if err == nil {
		r.Status, r.Code, r.Header, r.ContentLength, r.Uncompressed = resp.Status, resp.StatusCode, resp.Header.Clone(), resp.ContentLength, resp.Uncompressed
		r.Announced = slices.Sorted(maps.Keys(resp.Trailer))
		read := tc.read
		if read == nil {
			read = func(r *http.Response) ([]byte, error) { return io.ReadAll(r.Body) }
		}
		b, err := read(resp)
		r.Body, r.Error, r.Trailer = string(b), errorClass(err), resp.Trailer
		require.NoError(t, resp.Body.Close())
		if _, ok := rt.(*Transport); ok { // net/http's have a copy, or not
			require.Same(t, req, resp.Request)
		}
	}
	if body != nil {
		<-body.closed
		r.Closed = true
	}
	return r
}

// clientDiffers are the cases whose results differ, with the reason.
var clientDiffers = map[string]map[string]string{
	"HTTP/1.1": {
		"early answer":       "its server reads the body before it ends the response",
		"599":                "the status has a text of its own",
		"announced trailers": "they need chunks, which have no Content-Length",
	},
	"HTTP/2": {
		"invalid method": "its client does not check it",
		"body too short": "its client does not reset the request",
	},
}

// Requests and handlers have the same results with net/http's HTTP/1.1 and HTTP/2 and with this package.
func TestClientIsThatOfNetHTTP(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { clientCases[r.Header.Get("X-Case")].handler(w, r) })
	h3 := serve(t, nil, handler, nil)
	targets := map[string]struct {
		rt  http.RoundTripper
		url string
	}{"HTTP/3": {newTransport(t, nil, func(tr *Transport) { tr.ExpectContinueTimeout = time.Hour }), h3.url("/path")}}
	for _, version := range []string{"HTTP/1.1", "HTTP/2"} {
		s := httptest.NewUnstartedServer(handler)
		s.EnableHTTP2 = version == "HTTP/2"
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.TLS = &tls.Config{Certificates: []tls.Certificate{testPKI().TLS()}}
		s.StartTLS()
		t.Cleanup(func() {
			s.CloseClientConnections() // a handler may wait for the end of a request that its client has given up
			s.Close()
		})
		tr := &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: testPKI().Pool()}, ForceAttemptHTTP2: s.EnableHTTP2, ExpectContinueTimeout: time.Hour,
		}
		t.Cleanup(tr.CloseIdleConnections)
		targets[version] = struct {
			rt  http.RoundTripper
			url string
		}{tr, s.URL + "/path"}
	}
	for name, tc := range clientCases {
		t.Run(name, func(t *testing.T) {
			ours := tc.run(t, name, targets["HTTP/3"].rt, targets["HTTP/3"].url)
			ours.normalize()
			for _, version := range []string{"HTTP/1.1", "HTTP/2"} {
				if _, ok := clientDiffers[version][name]; ok {
					continue
				}
				theirs := tc.run(t, name, targets[version].rt, targets[version].url)
				theirs.normalize()
				require.Equal(t, theirs, ours, version)
			}
		})
	}
}

// normalize removes what differs between versions or with time.
func (r *clientResult) normalize() {
	if r.Header.Get("Date") != "" {
		r.Header.Set("Date", "present")
	}
	for name := range r.Header {
		if isConnectionSpecific(name) {
			r.Header.Del(name)
		}
	}
}
