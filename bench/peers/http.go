//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	quicgohttp3 "github.com/quic-go/quic-go/http3"

	"github.com/pqquic/pqquic/http3"
)

// http2TCP is net/http's HTTP/2 over TLS, TCP and crypto/tls. It has the workloads of HTTP only.
const http2TCP = "http2-tcp"

// quiche has the workloads of HTTP only. Its driver is a program of its own.
const quiche = "quiche"

// httpStacks are the stacks that have HTTP.
var httpStacks = append(slices.Clone(ours), "quinn", quiche, "quic-go", http2TCP)

// httpOnly reports whether a stack has no other workloads than those of HTTP.
func httpOnly(stack string) bool { return stack == http2TCP || stack == quiche }

// The server answers GET for these paths.
const (
	smallPath = "/small"  // with smallSize bytes
	bytesPath = "/bytes/" // with as many bytes as the number that follows
	smallSize = 1000
)

var smallBody = bytes.Repeat([]byte("x"), smallSize)

// answerHTTP is the handler of all stacks.
func answerHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	if r.URL.Path == smallPath {
		_, _ = w.Write(smallBody) // the client reports an answer that is too short
		return
	}
	n, err := strconv.ParseInt(strings.TrimPrefix(r.URL.Path, bytesPath), 10, 64)
	if err != nil {
		http.Error(w, "unknown path", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
	_, _ = io.CopyN(w, constantReader{}, n) // as http.ServeContent does
}

// A constantReader reads bytes of any value without end, and copies them as a file does.
type constantReader struct{}

func (constantReader) Read(p []byte) (int, error) { return copy(p, constant[:]), nil }

// serveHTTP answers requests on all connections until the endpoint is closed.
func serveHTTP(e endpoint) {
	handler := http.HandlerFunc(answerHTTP)
	switch e := e.(type) {
	case ourEndpoint:
		_ = (&http3.Server{Handler: handler}).ServeListener(e.Listener)
	case quicGoEndpoint:
		_ = (&quicgohttp3.Server{Handler: handler}).ServeListener(e.Listener)
	case tcpEndpoint:
		_ = (&http.Server{Handler: handler, TLSConfig: e.tls}).ServeTLS(e.Listener, "", "")
	}
}

// roundTripper returns what sends requests on a new connection.
func roundTripper(c connection) (http.RoundTripper, error) {
	switch c := c.(type) {
	case ourConn:
		return (&http3.Transport{DisableCompression: true}).NewClientConn(c.Conn)
	case quicGoConn:
		return (&quicgohttp3.Transport{DisableCompression: true}).NewClientConn(c.Conn), nil
	case *tcpConn:
		dialed := false
		t := &http.Transport{DisableCompression: true, ForceAttemptHTTP2: true,
			DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
				if dialed {
					return nil, errors.New("the transport needs a second connection")
				}
				dialed = true
				return c.Conn, nil
			}}
		return t.NewClientConn(background, "https", net.JoinHostPort(serverName, "443"))
	default:
		return nil, fmt.Errorf("%T has no HTTP", c)
	}
}

// An httpClient carries out the workloads of HTTP.
type httpClient struct {
	client
	open []*httpConn // of get
}

// An httpConn is a connection of a client.
type httpConn struct {
	connection
	http.RoundTripper
}

// dialHTTP makes a connection and a request on it, so that both sides know each other's settings.
func (c *httpClient) dialHTTP() (*httpConn, error) {
	conn, err := c.dial(background, c.server)
	if err != nil {
		return nil, err
	}
	rt, err := roundTripper(conn)
	if err == nil {
		hc := &httpConn{conn, rt}
		if err = hc.get(smallPath, smallSize); err == nil {
			return hc, nil
		}
	}
	conn.abort()
	return nil, err
}

// send sends a request.
func (hc *httpConn) send(ctx context.Context, path string) (*http.Response, error) {
	req := (&http.Request{Method: http.MethodGet, Host: serverName, Header: make(http.Header),
		URL: &url.URL{Scheme: "https", Host: serverName, Path: path}}).WithContext(ctx)
	resp, err := hc.RoundTrip(req)
	if err == nil && resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		err = fmt.Errorf("%s: the status is %s", path, resp.Status)
	}
	return resp, err
}

// get sends a request and reads a response of want bytes.
func (hc *httpConn) get(path string, want int64) error {
	resp, err := hc.send(background, path)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	got, err := readAll(resp.Body, buf[:], nil)
	if err == nil && got != want {
		err = fmt.Errorf("%s: the response has %d of %d bytes", path, got, want)
	}
	return err
}

func (c *httpClient) check() (group, suite string, err error) {
	hc, err := c.dialHTTP()
	if err != nil {
		return "", "", err
	}
	defer hc.abort()
	group, suite = hc.negotiated()
	return group, suite, nil
}

// gets sends n requests, on each of some connections a number of them at a time. The connections stay open for the next
// call.
func (c *httpClient) gets(n, connections, concurrent int) (done, error) {
	for len(c.open) < connections {
		hc, err := c.dialHTTP()
		if err != nil {
			return done{}, err
		}
		c.open = append(c.open, hc)
	}
	errs := make([]error, connections)
	var wg sync.WaitGroup
	began := time.Now()
	for i, hc := range c.open[:connections] {
		share := n / connections
		if i < n%connections {
			share++
		}
		wg.Go(func() {
			_, errs[i] = repeat(share, concurrent, func() error { return hc.get(smallPath, smallSize) })
		})
	}
	wg.Wait()
	return done{amount: int64(n), elapsed: time.Since(began)}, errors.Join(errs...)
}

// download gets size bytes with each of several requests on a new connection.
func (c *httpClient) download(streams int, size int64) (done, error) {
	hc, err := c.dialHTTP()
	if err != nil {
		return done{}, err
	}
	defer hc.abort()
	path := bytesPath + strconv.FormatInt(size, 10)
	d, err := repeat(streams, streams, func() error { return hc.get(path, size) })
	d.amount *= size
	return d, err
}

// one sends n requests on a new connection, each after the response to the one before, alone or beside a download that
// does not end before them.
func (c *httpClient) one(n int, beside bool) (done, error) {
	hc, err := c.dialHTTP()
	if err != nil {
		return done{}, err
	}
	defer hc.abort()
	if beside {
		const endless = 1 << 40
		resp, err := hc.send(background, bytesPath+strconv.FormatInt(endless, 10))
		if err != nil {
			return done{}, err
		}
		begun := make(chan struct{})
		ended := make(chan error, 1)
		go func() {
			_, err := io.ReadFull(resp.Body, make([]byte, 1<<20))
			close(begun)
			if err == nil {
				_, err = readAll(resp.Body, make([]byte, bufferSize), nil)
			}
			ended <- err
		}()
		<-begun
		d, err := c.timed(hc, n)
		select {
		case early := <-ended:
			return d, errors.Join(err, fmt.Errorf("the download ended before the requests: %w", early))
		default:
			return d, err
		}
	}
	return c.timed(hc, n)
}

// timed sends n requests one after another and returns percentiles of the times that they take.
func (c *httpClient) timed(hc *httpConn, n int) (done, error) {
	times := make([]time.Duration, n)
	began := time.Now()
	for i := range times {
		start := time.Now()
		if err := hc.get(smallPath, smallSize); err != nil {
			return done{}, err
		}
		times[i] = time.Since(start)
	}
	elapsed := time.Since(began)
	slices.Sort(times)
	return done{amount: int64(n), elapsed: elapsed, p50: percentile(times, 50), p99: percentile(times, 99)}, nil
}

// connections makes n connections with one request each, some of them at a time, and keeps them open or closes them.
func (c *httpClient) connections(n, concurrent int, keep bool) (done, error) {
	return repeat(n, concurrent, func() error {
		hc, err := c.dialHTTP()
		if err != nil {
			return err
		}
		if !keep {
			hc.abort()
			return nil
		}
		c.mu.Lock()
		c.held = append(c.held, hc)
		c.mu.Unlock()
		return nil
	})
}

// handle carries out a workload.
func (c *httpClient) handle(line string) (string, error) {
	name, rest, _ := strings.Cut(line, " ")
	n, err := positive(strings.Fields(rest))
	if err != nil {
		return "", err
	}
	var d done
	switch {
	case name == "connect" && len(n) == 2:
		d, err = c.connections(int(n[0]), int(n[1]), false)
	case name == "hold" && len(n) == 2:
		d, err = c.connections(int(n[0]), int(n[1]), true)
	case name == "get" && len(n) == 3:
		d, err = c.gets(int(n[0]), int(n[1]), int(n[2]))
	case name == "download" && len(n) == 2:
		d, err = c.download(int(n[0]), n[1])
	case name == "alone" && len(n) == 1:
		d, err = c.one(int(n[0]), false)
	case name == "beside" && len(n) == 1:
		d, err = c.one(int(n[0]), true)
	default:
		err = fmt.Errorf("unknown request %q", line)
	}
	return d.String(), err
}
