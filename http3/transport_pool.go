package http3

import (
	"context"
	"fmt"
	"net"
	"net/http/httptrace"
	"net/url"
	"runtime/debug"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/pqquic/pqquic/quic"
)

// A pooled is a connection of a Transport, or one that is being dialed.
type pooled struct {
	done   chan struct{} // closed when cc or err is set
	cc     *ClientConn
	err    error
	cancel context.CancelCauseFunc // ends the dialing
	// waiting is the number of requests that wait for the dialing. When none is left, it ends.
	waiting int
}

// A route says where to find a server. It is the key of the pool.
//
// "If the certificate is not acceptable with regard to the new origin for any reason, the connection MUST NOT be reused and a new
// connection SHOULD be established for the new origin."
// https://www.rfc-editor.org/rfc/rfc9114#section-3.3-3
type route struct {
	origin string // "host:port" of the URL: its host is the name that is verified
	dial   string // the address to dial, which differs for an alternative service
}

// routeTo returns the route for a URL by an alternative service, or directly if that is "".
func routeTo(u *url.URL, alternative string) (route, error) {
	addr, err := authorityAddr(u)
	if alternative == "" {
		alternative = addr
	}
	return route{addr, alternative}, err
}

// authorityAddr returns the address of a URL's host.
func authorityAddr(u *url.URL) (string, error) {
	host, port := u.Hostname(), u.Port()
	if port == "" {
		port = "443"
	}
	host, err := punycode(host)
	return net.JoinHostPort(host, port), err
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// punycode returns a host, with or without a port, in the form in which it is sent.
func punycode(host string) (string, error) {
	if isASCII(host) {
		return host, nil
	}
	return httpguts.PunycodeHostPort(host)
}

// getConn returns a connection with a place for a request, which it dials if there is none. isReused reports whether the
// connection has been used before.
func (t *Transport) getConn(ctx context.Context, to route, early bool, opt RoundTripOpt) (cc *ClientConn, isReused bool, err error) {
	trace := httptrace.ContextClientTrace(ctx)
	if trace != nil && trace.GetConn != nil {
		trace.GetConn(to.origin)
	}
	if err := context.Cause(ctx); err != nil {
		return nil, false, err
	}
	var awaited *pooled
	for range maxRetries {
		t.mu.Lock()
		p := t.conns[to]
		switch {
		case t.isClosed:
			t.mu.Unlock()
			return nil, false, ErrTransportClosed
		case p != nil && p.cc != nil && !p.cc.reserve():
			delete(t.conns, to)
			p = nil
		case p != nil && p.cc != nil:
			t.mu.Unlock()
			return p.cc.got(trace)
		}
		if p == nil && opt.OnlyCachedConn {
			t.mu.Unlock()
			return nil, false, ErrNoCachedConn
		}
		if p == nil && awaited != nil {
			if err := awaited.cc.violation(); err != nil {
				t.mu.Unlock()
				return nil, false, err // another connection to this server would probably end in the same way
			}
		}
		if p == nil {
			p = t.startDial(ctx, to, early)
		}
		p.waiting++
		t.mu.Unlock()
		if err := t.await(ctx, p); err != nil {
			return nil, false, err
		}
		awaited = p
	}
	return nil, false, errNotUsable
}

// await waits for a connection that is being dialed. mu is not held.
func (t *Transport) await(ctx context.Context, p *pooled) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.waiting--; p.waiting == 0 {
		p.cancel(context.Cause(ctx))
	}
	return context.Cause(ctx)
}

// warm returns the connection of a route, which it begins to dial if there is none. The dialing does not depend on a request.
func (t *Transport) warm(ctx context.Context, to route) *pooled {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.conns[to]
	if p == nil || p.cc != nil && !p.cc.isUsable() {
		p = t.startDial(ctx, to, false)
	}
	p.waiting++ // is not taken back
	return p
}

// startDial begins to dial. mu is held.
func (t *Transport) startDial(ctx context.Context, to route, early bool) *pooled {
	p := &pooled{done: make(chan struct{})}
	// The values of the context, of which Dial and traces make use, but not its end: other requests may wait, too.
	ctx, p.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	if t.conns == nil {
		t.conns = make(map[route]*pooled)
	}
	t.conns[to] = p
	go func() {
		// A panic of Dial, or of a function of a trace, has no caller that could recover. It is the error of the requests that wait.
		var cc *ClientConn
		err := fmt.Errorf("http3: Transport.Dial has not returned for %s", to.dial) // after runtime.Goexit
		defer func() {
			if v := recover(); v != nil {
				t.logPanic("Dial", to.dial, v)
				err = fmt.Errorf("http3: panic while dialing %s: %v", to.dial, v)
			}
			t.dialed(to, p, cc, err)
		}()
		cc, err = t.dial(ctx, to, early)
	}()
	return p
}

// dialed passes the result of dialing to the requests that wait for it.
func (t *Transport) dialed(to route, p *pooled, cc *ClientConn, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p.cc, p.err = cc, err
	switch {
	case err != nil:
		t.forget(to, p)
	case t.isClosed:
		p.err = ErrTransportClosed
		go cc.Close()
	case t.conns[to] != p: // SetTLS was called
		go cc.Close()
	default:
		go cc.whenUnusable(func() {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.forget(to, p)
		})
	}
	p.cancel(nil)
	close(p.done)
}

// logPanic logs that a function of the program has not returned. v is what recover has returned: nil after runtime.Goexit.
func (t *Transport) logPanic(name, addr string, v any) {
	if t.Logger != nil {
		t.Logger.Error("http3: "+name+" has not returned", "addr", addr, "panic", v, "stack", string(debug.Stack()))
	}
}

// forget removes a connection from the pool. mu is held.
func (t *Transport) forget(to route, p *pooled) {
	if t.conns[to] == p {
		delete(t.conns, to)
	}
}

// cached returns the connections of the pool.
func (t *Transport) cached() (all []*ClientConn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.conns {
		if p.cc != nil {
			all = append(all, p.cc)
		}
	}
	return all
}

// dial dials a connection and begins HTTP/3 on it.
func (t *Transport) dial(ctx context.Context, to route, early bool) (*ClientConn, error) {
	cfg, err := t.dialConfig(to)
	if err != nil {
		return nil, err
	}
	trace := httptrace.ContextClientTrace(ctx)
	if trace != nil && trace.TLSHandshakeStart != nil {
		trace.TLSHandshakeStart()
	}
	qc, err := t.dialQUIC(ctx, to.dial, cfg, early)
	isTraced := false
	defer func() {
		if qc != nil && !isTraced { // the trace has not returned
			_ = qc.CloseWithError(uint64(ErrCodeNoError), "")
		}
	}()
	if trace != nil && trace.TLSHandshakeDone != nil {
		trace.TLSHandshakeDone(traceState(qc), err)
	}
	isTraced = true
	if err != nil {
		return nil, err
	}
	return t.newClientConn(qc, to.origin)
}

func (t *Transport) dialQUIC(ctx context.Context, addr string, cfg *quic.Config, early bool) (*quic.Conn, error) {
	switch {
	case t.Dial != nil:
		return t.Dial(ctx, addr, cfg)
	case early && cfg.TLS.EarlyData:
		return quic.DialEarly(ctx, "udp", addr, cfg)
	}
	return quic.Dial(ctx, "udp", addr, cfg)
}

// idleTimeout returns IdleConnTimeout with its default.
func (t *Transport) idleTimeout() time.Duration {
	if t.IdleConnTimeout == 0 {
		return 90 * time.Second
	}
	return t.IdleConnTimeout
}
