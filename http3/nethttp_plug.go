package http3

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"

	"github.com/pqquic/pqquic/tlsprovider"
)

// This file has what net/http of Go's main branch needs to use this package for HTTP/3: an http.RoundTripper for
// http.Transport.RegisterProtocol("http/3", …), and a net.Listener for http.Server.Serve. net/http finds the further methods by
// interfaces that it does not export, so they are checked against copies in a test. No release of Go has them, and they can
// change: nothing here is exported before one has.

// A netHTTPTransport is the value for http.Transport.RegisterProtocol.
type netHTTPTransport struct{ *Transport }

// Registered is called by http.Transport.RegisterProtocol.
func (netHTTPTransport) Registered(*http.Transport) {}

// DialClientConn connects to addr. stateHook is called when the connection accepts more requests, has fewer, or has ended.
func (t netHTTPTransport) DialClientConn(ctx context.Context, addr string, proxy *url.URL, cfg *tls.Config, stateHook func()) (http.RoundTripper, error) {
	if proxy != nil {
		return nil, fmt.Errorf("http3: HTTP/3 by the proxy %s is not supported", proxy.Redacted())
	}
	qcfg, err := t.dialConfig(route{addr, addr})
	if err != nil {
		return nil, err
	}
	if cfg != nil {
		own, err := tlsprovider.FromTLSConfig(cfg)
		if err != nil {
			return nil, err
		}
		own.NextProtos = []string{NextProto}
		qcfg.TLS = own
		if cfg.ServerName != "" {
			qcfg.ServerName = cfg.ServerName
		}
	}
	qc, err := t.dialQUIC(ctx, addr, qcfg, false)
	if err != nil {
		return nil, err
	}
	cc, err := t.NewClientConn(qc)
	if err != nil {
		return nil, err
	}
	cc.setStateHook(stateHook)
	return &netHTTPConn{ClientConn: cc}, nil
}

// A netHTTPConn is a connection with the methods of http.ClientConn.
type netHTTPConn struct {
	*ClientConn
	mu       sync.Mutex
	reserved int
}

// maxNetHTTPRequests is the number of requests that net/http sends at a time. If the server permits fewer, RoundTrip waits.
const maxNetHTTPRequests = 100

var errNoSlot = errors.New("http3: the connection has as many requests as it may have")

// Reserve reserves a place for a request.
func (c *netHTTPConn) Reserve() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.InFlight() >= maxNetHTTPRequests:
		return errNoSlot
	case !c.reserve():
		return errNotUsable
	}
	c.reserved++
	return nil
}

// take takes a place that is reserved, and reports whether there was one.
func (c *netHTTPConn) take() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reserved == 0 {
		return false
	}
	c.reserved--
	return true
}

// Release takes back Reserve.
func (c *netHTTPConn) Release() {
	if c.take() {
		c.release()
	}
}

// RoundTrip implements http.RoundTripper. It uses a place that is reserved.
func (c *netHTTPConn) RoundTrip(req *http.Request) (*http.Response, error) {
	if c.take() {
		defer c.release() // the request has a place of its own
	}
	return c.ClientConn.RoundTrip(req)
}

// Available returns the number of further requests.
func (c *netHTTPConn) Available() int {
	if c.Err() != nil {
		return 0
	}
	return max(maxNetHTTPRequests-c.InFlight(), 0)
}

// InFlight returns the number of requests, with those that are reserved.
func (c *netHTTPConn) InFlight() int {
	if c.Context().Err() != nil {
		return 0
	}
	c.reqs.mu.Lock()
	defer c.reqs.mu.Unlock()
	return c.reqs.active
}

// Err returns why the connection accepts no further requests, or nil.
func (c *netHTTPConn) Err() error {
	if ctx := c.Context(); ctx.Err() != nil {
		return c.closeError(context.Cause(ctx))
	}
	if !c.isUsable() {
		return errNotUsable
	}
	return nil
}

// A netHTTPListener is the value for http.Server.Serve. The Server's fields, except Handler and TLSConfig, apply.
type netHTTPListener struct {
	newServer func() *Server

	mu       sync.Mutex
	servers  []*Server
	isClosed bool
	closed   chan struct{}
}

func newNetHTTPListener(newServer func() *Server) *netHTTPListener {
	return &netHTTPListener{newServer: newServer, closed: make(chan struct{})}
}

// ServeHTTP3 serves on a socket until ctx ends or Shutdown or Close is called.
func (l *netHTTPListener) ServeHTTP3(ctx context.Context, pc net.PacketConn, cfg *tls.Config, h http.Handler) error {
	s := l.newServer()
	s.TLSConfig, s.Handler = cfg, h
	l.mu.Lock()
	if l.isClosed {
		l.mu.Unlock()
		return errors.Join(ErrServerClosed, pc.Close())
	}
	l.servers = append(l.servers, s)
	l.mu.Unlock()
	defer context.AfterFunc(ctx, func() { _ = s.Close() })() // Serve returns its error
	return s.Serve(pc)
}

// stop marks the listener as closed and returns its servers.
func (l *netHTTPListener) stop() []*Server {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.isClosed {
		l.isClosed = true
		close(l.closed)
	}
	return l.servers
}

// Shutdown lets requests finish: see Server.Shutdown.
func (l *netHTTPListener) Shutdown(ctx context.Context) (err error) {
	for _, s := range l.stop() {
		err = errors.Join(err, s.Shutdown(ctx))
	}
	return err
}

// Accept implements net.Listener. It waits for Close, because connections do not arrive here.
func (l *netHTTPListener) Accept() (net.Conn, error) {
	<-l.closed
	return nil, net.ErrClosed
}

// Close implements net.Listener.
func (l *netHTTPListener) Close() (err error) {
	for _, s := range l.stop() {
		err = errors.Join(err, s.Close())
	}
	return err
}

// Addr implements net.Listener.
func (l *netHTTPListener) Addr() net.Addr { return noAddr{} }

// A noAddr is the address of a listener that has no socket of its own.
type noAddr struct{}

func (noAddr) Network() string { return "udp" }
func (noAddr) String() string  { return "http/3" }
