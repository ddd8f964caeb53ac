package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/pqquic/pqquic/cmd/internal/cli"
	"github.com/pqquic/pqquic/http3"
)

// A fetcher sends requests and reports what happens.
type fetcher struct {
	*options
	transports *transports
	sessions   *sessionFile // nil without --session
	client     *http.Client
}

func newFetcher(o *options) (*fetcher, error) {
	f := &fetcher{options: o}
	var err error
	if o.session != "" {
		if f.sessions, err = openSessions(o.session); err != nil {
			return nil, err
		}
	}
	if f.transports, err = newTransports(o, f.sessions); err != nil {
		return nil, err
	}
	f.client = &http.Client{Transport: f.transports.own, CheckRedirect: f.redirect}
	return f, nil
}

// close closes the connections and writes the sessions.
func (f *fetcher) close() error {
	if f.sessions != nil && f.transports.connected() {
		f.sessions.await()
	}
	err := f.transports.close()
	if f.sessions != nil {
		err = errors.Join(err, f.sessions.save())
	}
	return err
}

// maxRedirects is the number of redirects that are followed.
const maxRedirects = 20

func (f *fetcher) redirect(req *http.Request, via []*http.Request) error {
	switch {
	case !f.follow:
		return http.ErrUseLastResponse
	case len(via) > maxRedirects:
		return fmt.Errorf("the server has redirected %d times", maxRedirects)
	case req.URL.Scheme != "https":
		return fmt.Errorf("the redirect to %s is refused, because it is not encrypted", req.URL)
	}
	if v := viewOf(req.Context()); v != nil {
		v.redirected(req.Response, req)
	}
	return nil
}

// fetch requests a URL, repeatedly if --retry permits it, and reports the result.
func (f *fetcher) fetch(ctx context.Context, r request) error {
	ctx, cancel := f.withTimeout(ctx)
	defer cancel()
	v := newView(f.options, f.transports.conn)
	var err error
	for attempt := 0; ; attempt++ {
		err = f.attempt(ctx, r, v)
		if err == nil || attempt == f.retries || !isTransient(err, r) || ctx.Err() != nil {
			break
		}
		v.retrying(err)
		select {
		case <-time.After(pause(attempt)):
		case <-ctx.Done():
		}
	}
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	return v.finish(r, err)
}

// pause returns how long to wait after an attempt, which are numbered from 0.
func pause(attempt int) time.Duration { return min(time.Second<<min(attempt, 4), 10*time.Second) }

// isTransient reports whether a request that failed may succeed when it is repeated, and may be repeated.
func isTransient(err error, r request) bool {
	return exitStatus(err) == statusFailed && slices.Contains([]string{http.MethodGet, http.MethodHead}, r.method)
}

// attempt requests a URL once, with its redirects.
func (f *fetcher) attempt(ctx context.Context, r request, v *view) error {
	req, err := f.newRequest(v.trace(ctx), r, v)
	if err != nil {
		return err
	}
	v.begin()
	resp, err := f.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	v.response(resp)
	if err := f.save(v.progress(resp.Body, resp.ContentLength, "receiving"), v); err != nil {
		return err
	}
	v.complete(resp)
	if f.fail && resp.StatusCode >= 400 {
		return &statusError{resp.Request.URL.String(), resp.Status}
	}
	return nil
}

func (f *fetcher) newRequest(ctx context.Context, r request, v *view) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, r.url.String(), http.NoBody)
	if err != nil {
		return nil, cli.Usagef("%w", err)
	}
	req.Header = r.header.Clone()
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
		req.Header.Del("Host")
	}
	if r.body == nil {
		req.Body = nil
		return req, nil
	}
	open := func() (io.ReadCloser, error) {
		in, err := r.body.open()
		if err != nil {
			return nil, cli.Usagef("the file to send: %w", err)
		}
		return v.progress(in, r.body.size, "sending"), nil
	}
	req.ContentLength = r.body.size
	if r.body.open == nil {
		req.Body = v.progress(r.body.once, r.body.size, "sending")
		return req, nil
	}
	req.GetBody = open
	req.Body, err = open()
	return req, err
}

// save writes the content of a response to where the command line says.
func (f *fetcher) save(content io.Reader, v *view) (err error) {
	out, close, err := f.openOutput()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, close()) }()
	buf := make([]byte, copyBuffer)
	for {
		n, err := content.Read(buf)
		v.bytes += int64(n)
		if _, werr := out.Write(buf[:n]); werr != nil {
			return cli.Usagef("the content cannot be written: %w", werr)
		}
		if err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("the response is incomplete after %d bytes: %w", v.bytes, err)
		}
	}
}

// openOutput opens the output of a response. close flushes it.
func (f *fetcher) openOutput() (out io.Writer, close func() error, err error) {
	switch {
	case f.output != "" && f.output != "-":
		file, err := os.Create(f.output)
		if err != nil {
			return nil, nil, cli.Usagef("-o: %w", err)
		}
		return file, func() error { return asUsage(file.Close()) }, nil
	case f.json:
		return io.Discard, func() error { return nil }, nil
	}
	w := bufio.NewWriter(f.stdout)
	return w, func() error { return asUsage(w.Flush()) }, nil
}

func asUsage(err error) error {
	if err == nil {
		return nil
	}
	return cli.Usagef("the content cannot be written: %w", err)
}

// earlyRequests sends GET and HEAD as early data if there is a session that permits it.
type earlyRequests struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (e earlyRequests) RoundTrip(req *http.Request) (*http.Response, error) {
	method := map[string]string{http.MethodGet: http3.MethodGet0RTT, http.MethodHead: http3.MethodHead0RTT}[req.Method]
	if method == "" || req.Body != nil {
		return e.next.RoundTrip(req)
	}
	early := req.Clone(req.Context())
	early.Method = method
	resp, err := e.next.RoundTrip(early)
	if resp != nil {
		resp.Request = req
	}
	return resp, err
}

// An unread is a body that can be sent with another request if nothing has been read.
type unread struct {
	io.ReadCloser
	begun atomic.Bool
}

func (u *unread) Read(b []byte) (int, error) {
	u.begun.Store(true)
	return u.ReadCloser.Read(b)
}

// Close closes the body if it has been begun. One that has not is closed by the request that sends it.
func (u *unread) Close() error {
	if u.begun.Load() {
		return u.ReadCloser.Close()
	}
	return nil
}
