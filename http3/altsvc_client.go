package http3

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// An AltSvc is an http.RoundTripper that begins with HTTP/1.1 or HTTP/2, and uses HTTP/3 for servers that advertise it in the field
// Alt-Svc (RFC 7838) or in DNS. If HTTP/3 does not work, or is slow to connect, it uses the other protocols. Its zero value is ready
// to use; its fields must not be changed once it is used.
//
// An origin's alternatives are remembered for the time that the origin names, and forgotten when it sends "clear". Those that fail
// are not tried again for five minutes, and after each further failure for twice as long, up to two days.
type AltSvc struct {
	// H3 is for HTTP/3. Nil means a Transport with default values.
	H3 *Transport
	// Fallback is for HTTP/1.1 and HTTP/2. Nil means http.DefaultTransport. If it is an *http.Transport that uses a proxy for a
	// request, HTTP/3 is not used.
	Fallback http.RoundTripper
	// RaceDelay is how long a request waits for a connection of HTTP/3 before it uses Fallback, while the connection is still being
	// established for later requests. 0 means 300 ms.
	RaceDelay time.Duration
	// MaxOrigins is the number of origins whose alternatives are remembered. 0 means 1000.
	MaxOrigins int
	// LookupHTTPS, if set, looks up the HTTPS records of a host (RFC 9460), before the first request to it. Go's resolver has no
	// such function.
	LookupHTTPS func(ctx context.Context, host string) ([]HTTPSRecord, error)

	once  sync.Once
	now   func() time.Time // nil means time.Now
	cache altCache
}

// An HTTPSRecord is what AltSvc needs of an HTTPS record.
type HTTPSRecord struct {
	Target string // the host; empty or "." means that of the record's name
	Port   uint16 // 0 means that of the URL
	ALPN   []string
	TTL    time.Duration
}

func (a *AltSvc) init() {
	a.once.Do(func() {
		if a.H3 == nil {
			a.H3 = new(Transport)
		}
		if a.now == nil {
			a.now = time.Now
		}
		a.cache.max = a.MaxOrigins
		if a.cache.max <= 0 {
			a.cache.max = 1000
		}
	})
}

func (a *AltSvc) fallback() http.RoundTripper {
	if a.Fallback == nil {
		return http.DefaultTransport
	}
	return a.Fallback
}

// RoundTrip implements http.RoundTripper.
func (a *AltSvc) RoundTrip(req *http.Request) (*http.Response, error) {
	a.init()
	origin := ""
	// Without TLS, nothing shows that the alternative is the origin's.
	//
	// "Clients MUST have reasonable assurances that the alternative service is under control of and valid for the whole origin."
	// https://www.rfc-editor.org/rfc/rfc7838#section-2.1
	if req.URL != nil && req.URL.Scheme == "https" && req.URL.Host != "" && !a.hasProxy(req) {
		origin, _ = authorityAddr(req.URL) // the fallback reports the error
	}
	if origin == "" {
		return a.fallback().RoundTrip(req)
	}
	if addr := a.alternative(req.Context(), origin); addr != "" {
		resp, isDone, err := a.tryH3(req, route{origin, addr})
		if isDone {
			return resp, err
		}
		if req, err = rewound(req); err != nil {
			return nil, err
		}
	}
	resp, err := a.fallback().RoundTrip(req)
	if err == nil {
		a.learn(origin, resp)
	}
	return resp, err
}

// hasProxy reports whether the fallback uses a proxy for a request.
//
// "A client configured to use a proxy for a given request SHOULD NOT directly connect to an alternative service for this request, but
// instead route it through that proxy."
// https://www.rfc-editor.org/rfc/rfc7838#section-2.4
func (a *AltSvc) hasProxy(req *http.Request) bool {
	t, ok := a.fallback().(*http.Transport)
	if !ok || t.Proxy == nil {
		return false
	}
	u, err := t.Proxy(req)
	return u != nil || err != nil
}

// alternative returns the address of the alternative to use for an origin, or "".
func (a *AltSvc) alternative(ctx context.Context, origin string) string {
	addr, isKnown := a.cache.get(origin, a.now())
	if isKnown || a.LookupHTTPS == nil {
		return addr
	}
	host, port, err := net.SplitHostPort(origin)
	if err != nil {
		return ""
	}
	records, err := a.LookupHTTPS(ctx, host)
	if err != nil {
		records = nil // it is a hint only
	}
	a.cache.put(origin, recordAlternatives(records, host, port, a.now()), a.now())
	addr, _ = a.cache.get(origin, a.now())
	return addr
}

// errRace means that a connection was not established in time.
var errRace = errors.New("http3: the connection is not established yet")

// tryH3 performs a request with an alternative. isDone is false if the request shall be performed by the fallback instead.
func (a *AltSvc) tryH3(req *http.Request, to route) (resp *http.Response, isDone bool, err error) {
	switch err := a.connect(req.Context(), to); {
	case err == nil:
	case req.Context().Err() != nil:
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, true, context.Cause(req.Context())
	default:
		return nil, false, err
	}
	own := *req
	// "When using an alternative service, clients SHOULD include an Alt-Used header field in all requests."
	// https://www.rfc-editor.org/rfc/rfc7838#section-5
	own.Header = req.Header.Clone()
	if own.Header == nil {
		own.Header = make(http.Header)
	}
	own.Header.Set("Alt-Used", altUsed(to.dial))
	resp, err = a.H3.roundTripVia(&own, to.dial, RoundTripOpt{})
	switch {
	case err == nil && resp.StatusCode == http.StatusMisdirectedRequest:
		// "Clients receiving 421 (Misdirected Request) from an alternative service MUST remove the corresponding entry from its
		// alternative service cache (see Section 2.2) for that origin."
		// https://www.rfc-editor.org/rfc/rfc7838#section-6
		a.cache.remove(to.origin, to.dial)
		if canRewind(req) {
			_ = resp.Body.Close()
			return nil, false, nil
		}
	case err == nil:
		a.cache.worked(to.origin, to.dial)
		a.learn(to.origin, resp)
	case req.Context().Err() == nil && isConnFailure(err):
		a.cache.failed(to.origin, to.dial, a.now())
		if isReplayable(req) && canRewind(req) {
			return nil, false, err
		}
	}
	if err == nil {
		resp.Request = req
	}
	return resp, true, err
}

// isConnFailure reports whether an error of a request is that of its connection, or of dialing it again.
func isConnFailure(err error) bool {
	var ne net.Error
	return isConnEnd(err) || errors.As(err, &ne) && !errors.Is(err, errResponseTimeout)
}

// connect waits for a connection, but not longer than RaceDelay.
func (a *AltSvc) connect(ctx context.Context, to route) error {
	p := a.H3.warm(ctx, to)
	select {
	case <-p.done:
		return a.connected(p, to)
	default:
	}
	delay := a.RaceDelay
	if delay == 0 {
		delay = 300 * time.Millisecond
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-p.done:
		return a.connected(p, to)
	case <-ctx.Done():
	case <-timer.C:
	}
	go func() {
		<-p.done
		_ = a.connected(p, to) // notes the result
	}()
	return errRace
}

// connected notes the result of dialing.
func (a *AltSvc) connected(p *pooled, to route) error {
	if p.err != nil {
		a.cache.failed(to.origin, to.dial, a.now())
	}
	return p.err
}

// learn updates the alternatives of an origin from a response.
//
// "When an Alt-Svc response header field is received from an origin, its value invalidates and replaces all cached alternative
// services for that origin."
// https://www.rfc-editor.org/rfc/rfc7838#section-3.1
func (a *AltSvc) learn(origin string, resp *http.Response) {
	if resp.StatusCode == http.StatusMisdirectedRequest { // its field is ignored
		return
	}
	alts, isClear, isPresent := parseAltSvc(resp.Header, a.now())
	switch {
	case isClear:
		a.cache.forget(origin)
	case isPresent:
		host, _, _ := net.SplitHostPort(origin) // authorityAddr has made it
		for i := range alts {
			if h, port, _ := net.SplitHostPort(alts[i].addr); h == "" {
				alts[i].addr = net.JoinHostPort(host, port)
			}
		}
		a.cache.put(origin, alts, a.now())
	}
}

// NetworkChanged forgets the alternatives that are not meant for other networks: call it when the network has changed.
//
// "Therefore, clients SHOULD remove from cache all alternative services that lack the "persist" flag with the value "1" when they
// detect such a change, when information about network state is available."
// https://www.rfc-editor.org/rfc/rfc7838#section-2.2
func (a *AltSvc) NetworkChanged() { a.cache.networkChanged() }

// Forget forgets all alternatives, as browsers do when their users clear cookies.
func (a *AltSvc) Forget() { a.cache.clear() }

// CloseIdleConnections closes the connections without requests, of all protocols.
func (a *AltSvc) CloseIdleConnections() {
	a.init()
	a.H3.CloseIdleConnections()
	if c, ok := a.fallback().(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// altUsed returns the value of the field Alt-Used.
func altUsed(addr string) string {
	if host, port, err := net.SplitHostPort(addr); err == nil && port == "443" {
		return host
	}
	return addr
}

// canRewind reports whether a request can be sent again.
func canRewind(req *http.Request) bool { return isBodyless(req) || req.GetBody != nil }

// rewound returns a request to be sent again.
func rewound(req *http.Request) (*http.Request, error) {
	if isBodyless(req) || req.GetBody == nil { // without GetBody, the body was not read
		return req, nil
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, err
	}
	_ = req.Body.Close() // it may have been closed
	next := *req
	next.Body = body
	return &next, nil
}
