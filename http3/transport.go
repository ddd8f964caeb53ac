package http3

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/pqquic/pqquic/http3/internal/frame"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
)

// A Transport is an http.RoundTripper for HTTP/3. It keeps connections and uses them again. Its zero value is ready to use; its
// fields must not be changed once it is used. All methods are safe for concurrent use.
//
// A Transport only speaks HTTP/3: see AltSvc for servers that may not.
type Transport struct {
	// TLSClientConfig configures TLS like http.Transport.TLSClientConfig; see tlsprovider.FromTLSConfig for what other providers
	// than crypto/tls support. Its NextProtos are not used.
	TLSClientConfig *tls.Config
	// TLS is the alternative to TLSClientConfig. Its NextProtos are not used.
	TLS *tlsprovider.Config
	// Provider is the TLS implementation; nil means that of QUIC, or crypto/tls.
	Provider tlsprovider.Provider
	// QUIC configures connections. Its fields TLS and Provider are not used if those above are set. Nil means the defaults, and
	// that idle connections are kept alive, for IdleConnTimeout. MaxIncomingUniStreams must be at least 3, if it is set.
	QUIC *quic.Config

	// Dial, if set, connects to addr, "host:port". cfg is complete, with the protocol "h3" and the server's name. The connection may be
	// one of quic.DialEarly, if cfg.TLS.EarlyData is set. Nil means quic.Dial, or quic.DialEarly for requests that allow it. The ctx
	// ends when no request needs the connection any more. A panic is an error of the requests that wait.
	Dial func(ctx context.Context, addr string, cfg *quic.Config) (*quic.Conn, error)

	// DisableCompression does not ask for gzip by itself. Otherwise, responses to a request without Accept-Encoding are decompressed
	// transparently, as http.Transport does.
	DisableCompression bool
	// MaxResponseHeaderBytes is the size of the largest header section that is accepted (RFC 9114, 4.2.2). 0 means 10 MiB, as with
	// HTTP/2.
	MaxResponseHeaderBytes int64
	// IdleConnTimeout closes a connection that has had no request for this time. 0 means 90 seconds, a negative value no limit.
	IdleConnTimeout time.Duration
	// ResponseHeaderTimeout bounds the time from the end of the request to the response's header section. 0 means no limit.
	ResponseHeaderTimeout time.Duration
	// ExpectContinueTimeout is how long the body of a request with "Expect: 100-continue" waits for a response with status 100. 0
	// means 1 second. A negative value sends the body at once.
	ExpectContinueTimeout time.Duration

	// MaxTableCapacity and MaxBlockedStreams bound QPACK's dynamic tables, as those of Server do.
	MaxTableCapacity, MaxBlockedStreams int
	// EnableDatagrams accepts HTTP datagrams (RFC 9297). Each connection then has a goroutine.
	EnableDatagrams bool
	// AdditionalSettings are sent in SETTINGS, for extensions.
	AdditionalSettings map[uint64]uint64
	// StreamHijacker, if set, is called for bidirectional streams that servers open, which HTTP/3 itself does not have, with the type
	// at their beginning, which has not been read. It returns false for those that it does not take: the connection is then closed. A
	// panic ends the connection.
	StreamHijacker func(typ uint64, conn *quic.Conn, s *quic.Stream) bool
	// UniStreamHijacker, if set, is called for unidirectional streams of types that this package does not know, after the type was
	// read. It returns false for those that it does not take. A panic ends the connection.
	UniStreamHijacker func(typ uint64, conn *quic.Conn, s *quic.ReceiveStream) bool

	// Logger receives messages about connections, at the level Debug, and about panics of the functions above. Nil means none.
	Logger *slog.Logger

	once   sync.Once
	config *connConfig
	tokens tlsprovider.ClientStore // if QUIC has none

	mu       sync.Mutex
	dialer   dialConfig
	isClosed bool
	conns    map[route]*pooled
	settings map[string]*frame.List // of servers, for early data
}

// A RoundTripOpt changes what RoundTripOpt of Transport does.
type RoundTripOpt struct {
	// OnlyCachedConn does not dial: without a connection, the error is ErrNoCachedConn.
	OnlyCachedConn bool
}

// ErrNoCachedConn is the error of a request with RoundTripOpt.OnlyCachedConn if there is no connection to the server.
var ErrNoCachedConn = errors.New("http3: there is no connection to the server, and OnlyCachedConn is set")

// ErrTransportClosed is the error of requests after Transport.Close.
var ErrTransportClosed = errors.New("http3: the Transport is closed")

// RoundTrip implements http.RoundTripper.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	return t.RoundTripOpt(req, RoundTripOpt{})
}

// RoundTripOpt is RoundTrip with options.
func (t *Transport) RoundTripOpt(req *http.Request, opt RoundTripOpt) (*http.Response, error) {
	resp, err := t.roundTripVia(req, "", opt)
	if err != nil && req.Body != nil {
		// "RoundTrip must always close the body, including on errors": the documentation of http.RoundTripper. Bodies that were
		// begun were closed already, and may be closed twice.
		_ = req.Body.Close()
	}
	return resp, err
}

// maxRetries is how often a request is sent again.
const maxRetries = 4

// roundTripVia is RoundTripOpt with the address of an alternative service, or "".
func (t *Transport) roundTripVia(req *http.Request, alternative string, opt RoundTripOpt) (*http.Response, error) {
	isEarly, err := checkRequest(req)
	if err != nil {
		return nil, err
	}
	to, err := routeTo(req.URL, alternative)
	if err != nil {
		return nil, err
	}
	for original, attempt := req, 0; ; attempt++ {
		ctx, stop := requestContextOf(req)
		cc, isReused, err := t.getConn(ctx, to, isEarly, opt)
		if err != nil {
			stop()
			return nil, err
		}
		x := newClientExchange(cc, req, ctx, stop)
		x.isEarlyAllowed, x.isReused = isEarly, isReused
		resp, err := x.roundTrip()
		if err == nil && !(resp.StatusCode == http.StatusTooEarly && isEarly && attempt < maxRetries) {
			resp.Request = original
			return resp, nil
		}
		next, ok := x.nextAttempt(resp, err, attempt)
		if !ok {
			return resp, err
		}
		if err := backOff(original.Context(), attempt); err != nil {
			return nil, err
		}
		req, isEarly = next, false
	}
}

// backOff waits before the second retry and those that follow.
func backOff(ctx context.Context, attempt int) error {
	if attempt == 0 {
		return nil
	}
	timer := time.NewTimer(50 * time.Millisecond << attempt)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// requestContextOf returns the context with which a request ends, and a function that releases it.
func requestContextOf(req *http.Request) (context.Context, func()) {
	ctx := req.Context()
	//lint:ignore SA1019 http.RoundTripper must still honor it. http.Client sets it along with a deadline, which is enough.
	cancelled := req.Cancel
	if _, has := ctx.Deadline(); has || cancelled == nil {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-cancelled:
			cancel()
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// CloseIdleConnections closes the connections without requests.
func (t *Transport) CloseIdleConnections() {
	for _, cc := range t.cached() {
		cc.closeIfIdle()
	}
}

// Close closes all connections, whose requests fail. Requests that follow fail with ErrTransportClosed.
func (t *Transport) Close() error {
	t.mu.Lock()
	t.isClosed = true
	for _, p := range t.conns {
		p.cancel(ErrTransportClosed)
	}
	t.mu.Unlock()
	for _, cc := range t.cached() {
		_ = cc.Close() // never fails
	}
	return nil
}
