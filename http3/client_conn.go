package http3

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pqquic/pqquic/http3/internal/frame"
	"github.com/pqquic/pqquic/quic"
)

// A ClientConn is a connection of a client. It is an http.RoundTripper that sends all requests to the server of its connection,
// whatever their host. It does not retry, and ends with Close.
type ClientConn struct {
	conn
	t    *Transport
	addr string
	tls  atomic.Pointer[tls.ConnectionState] // nil until a response needs it
	// isConfirmed is set when the handshake is known to be complete.
	isConfirmed atomic.Bool

	restored *frame.List // settings that were in force before the server's arrived, for early data; or nil

	reqs clientRequests
}

// clientRequests is the state of a connection's requests.
type clientRequests struct {
	mu     sync.Mutex
	active int                               // requests that are in progress, or about to begin
	open   map[quic.StreamID]*clientExchange // those in progress
	used   bool                              // there was a request
	goAway quic.StreamID                     // requests from this ID on are not processed; math.MaxInt64 before GOAWAY
	// isClosing is set if no further request may begin: after GOAWAY, Close, or a request with Close.
	isClosing bool
	idle      *time.Timer // ends an idle connection; nil if there is no limit
	// onUnusable is called when isClosing is set or the connection has ended. It removes the connection from the pool.
	onUnusable func()
	// stateHook is called after a request has ended and when the connection accepts no further ones. It may be nil.
	stateHook func()
}

// errNotUsable is the error of a request on a connection that accepts no further ones.
var errNotUsable = fmt.Errorf("http3: the connection accepts no further requests: %w", net.ErrClosed)

// firstIdle is how long a new connection is kept for the requests that wait for it, however short IdleConnTimeout is.
const firstIdle = 5 * time.Second

// begin begins HTTP/3.
func (cc *ClientConn) begin(qc *quic.Conn) error {
	cc.conn.init(qc, cc.t.config, cc)
	cc.reqs.goAway = math.MaxInt64
	cc.reqs.open = make(map[quic.StreamID]*clientExchange)
	if d := cc.t.idleTimeout(); d > 0 {
		cc.reqs.idle = time.AfterFunc(max(d, firstIdle), cc.closeIfIdle)
	}
	qc.WhenEnded(cc.ended)
	cc.restoreSettings()
	return cc.start()
}

// ended is called at the end of the connection.
func (cc *ClientConn) ended() {
	cc.closeToNew()
	if cc.reqs.idle != nil {
		cc.reqs.idle.Stop()
	}
	if l := cc.t.Logger; l != nil {
		l.Debug("http3: connection ended", "addr", cc.addr, "error", cc.closeError(context.Cause(cc.qc.Context())))
	}
}

// closeToNew makes the connection refuse further requests.
func (cc *ClientConn) closeToNew() {
	r := &cc.reqs
	r.mu.Lock()
	r.isClosing = true
	f, hook := r.onUnusable, r.stateHook
	r.onUnusable = nil
	r.mu.Unlock()
	if f != nil {
		f()
	}
	if hook != nil {
		hook()
	}
}

// setStateHook sets the function that is called when requests end and with the connection.
func (cc *ClientConn) setStateHook(f func()) {
	cc.reqs.mu.Lock()
	defer cc.reqs.mu.Unlock()
	cc.reqs.stateHook = f
}

// whenUnusable sets the function that is called when the connection accepts no further requests, which may be now.
func (cc *ClientConn) whenUnusable(f func()) {
	r := &cc.reqs
	r.mu.Lock()
	isClosing := r.isClosing
	if !isClosing {
		r.onUnusable = f
	}
	r.mu.Unlock()
	if isClosing {
		f()
	}
}

// reserve makes room for a request, which keeps the connection from being closed as idle, and reports whether one may begin.
func (cc *ClientConn) reserve() bool {
	r := &cc.reqs
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.isClosing {
		return false
	}
	if r.active++; r.active == 1 && r.idle != nil {
		r.idle.Stop()
	}
	return true
}

// isUsable reports whether a request may begin.
func (cc *ClientConn) isUsable() bool {
	cc.reqs.mu.Lock()
	defer cc.reqs.mu.Unlock()
	return !cc.reqs.isClosing
}

// got reports a reserved connection to a trace, and returns it.
func (cc *ClientConn) got(trace *httptrace.ClientTrace) (_ *ClientConn, isReused bool, _ error) {
	r := &cc.reqs
	r.mu.Lock()
	isReused = r.used
	r.used = true
	wasIdle := isReused && r.active == 1
	r.mu.Unlock()
	if trace != nil && trace.GotConn != nil {
		trace.GotConn(httptrace.GotConnInfo{Conn: tracedConn{cc.qc}, Reused: isReused, WasIdle: wasIdle})
	}
	return cc, isReused, nil
}

// release takes back reserve.
func (cc *ClientConn) release() {
	r := &cc.reqs
	r.mu.Lock()
	r.active--
	switch {
	case r.active > 0:
	case r.isClosing:
		go cc.closeGracefully()
	case r.idle != nil:
		r.idle.Reset(cc.t.idleTimeout())
	}
	hook := r.stateHook
	r.mu.Unlock()
	if hook != nil {
		hook()
	}
}

// closeGracefully closes a connection without requests.
func (cc *ClientConn) closeGracefully() { _ = cc.qc.CloseWithError(uint64(ErrCodeNoError), "") }

// closeIfIdle closes the connection if it has no requests.
func (cc *ClientConn) closeIfIdle() {
	r := &cc.reqs
	r.mu.Lock()
	isIdle := r.active == 0
	r.mu.Unlock()
	if isIdle {
		cc.retire()
	}
}

// retire closes the connection when it has no requests, which may be now. It accepts no further ones.
func (cc *ClientConn) retire() {
	cc.closeToNew()
	r := &cc.reqs
	r.mu.Lock()
	isIdle := r.active == 0 // otherwise release closes the connection
	r.mu.Unlock()
	if isIdle {
		cc.closeGracefully()
	}
}

// openStream opens the stream of a reserved request.
func (cc *ClientConn) openStream(ctx context.Context, x *clientExchange) error {
	qs, err := cc.qc.TryOpenStream()
	if errors.Is(err, quic.ErrStreamLimit) {
		qs, err = cc.qc.OpenStream(ctx)
		if err != nil && ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	if err != nil {
		return cc.closeError(err)
	}
	x.init(&cc.conn, qs, x)
	r := &cc.reqs
	r.mu.Lock()
	// "Endpoints MUST NOT initiate new requests or promise new pushes on the connection after receipt of a GOAWAY frame from the
	// peer."
	// https://www.rfc-editor.org/rfc/rfc9114#section-5.2-3
	isRefused := r.goAway != math.MaxInt64
	if !isRefused {
		r.open[qs.ID()] = x
	}
	r.mu.Unlock()
	if isRefused {
		x.abort(ErrCodeRequestCanceled)
		return errNotUsable
	}
	return nil
}

// endStream ends a request that openStream has begun.
func (cc *ClientConn) endStream(id quic.StreamID) {
	cc.closeDatagrams(id)
	r := &cc.reqs
	r.mu.Lock()
	delete(r.open, id)
	r.mu.Unlock()
	cc.release()
}

// RoundTrip implements http.RoundTripper.
func (cc *ClientConn) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := cc.roundTrip(req)
	if err != nil && req.Body != nil {
		_ = req.Body.Close() // a RoundTripper always closes it
	}
	return resp, err
}

func (cc *ClientConn) roundTrip(req *http.Request) (*http.Response, error) {
	isEarly, err := checkRequest(req)
	if err != nil {
		return nil, err
	}
	if !cc.reserve() {
		return nil, errNotUsable
	}
	ctx, stop := requestContextOf(req)
	_, isReused, _ := cc.got(httptrace.ContextClientTrace(ctx))
	x := newClientExchange(cc, req, ctx, stop)
	x.isEarlyAllowed, x.isReused = isEarly, isReused
	return x.roundTrip()
}

// Conn returns the QUIC connection.
func (cc *ClientConn) Conn() *quic.Conn { return cc.qc }

// violation returns the error of HTTP/3 that has ended the connection, or nil. H3_NO_ERROR is none: idle connections are closed with it.
func (cc *ClientConn) violation() error {
	var e *Error
	if cause := context.Cause(cc.qc.Context()); cause != nil && errors.As(cc.closeError(cause), &e) && e.Code != ErrCodeNoError {
		return e
	}
	return nil
}

// Context returns a context that ends with the connection.
func (cc *ClientConn) Context() context.Context { return cc.qc.Context() }

// Settings returns the server's settings, and waits for them if they have not arrived.
func (cc *ClientConn) Settings(ctx context.Context) (*Settings, error) { return cc.publicSettings(ctx) }

// Close closes the connection. Its requests fail.
func (cc *ClientConn) Close() error {
	cc.closeToNew()
	return cc.qc.CloseWithError(uint64(ErrCodeNoError), "")
}

// handleStream implements connOwner.
func (cc *ClientConn) handleStream(qs *quic.Stream) {
	if h := cc.t.StreamHijacker; h != nil {
		typ, err := peekType(qs)
		if err != nil || cc.callHijacker("StreamHijacker", func() bool { return h(typ, cc.qc, qs) }) {
			return
		}
	}
	// "Clients MUST treat receipt of a server-initiated bidirectional stream as a connection error of type
	// H3_STREAM_CREATION_ERROR unless such an extension has been negotiated."
	// https://www.rfc-editor.org/rfc/rfc9114#section-6.1-3
	cc.fail(connErrorf(ErrCodeStreamCreationError, "the server has opened the bidirectional stream %d", qs.ID()))
}

// handleUniStream implements connOwner.
func (cc *ClientConn) handleUniStream(typ uint64, s *quic.ReceiveStream) bool {
	h := cc.t.UniStreamHijacker
	return h != nil && cc.callHijacker("UniStreamHijacker", func() bool { return h(typ, cc.qc, s) })
}

// callHijacker calls a hijacker, and reports whether it has taken the stream. If it does not return, the connection ends: a server's bytes
// cause these calls, which have no caller that could recover.
func (cc *ClientConn) callHijacker(name string, call func() bool) (isTaken bool) {
	hasReturned := false
	defer func() {
		if hasReturned {
			return
		}
		v := recover()
		cc.t.logPanic(name, cc.addr, v)
		cc.fail(connErrorf(ErrCodeInternalError, "Transport.%s has not returned: panic: %v", name, v))
		isTaken = true
	}()
	isTaken = call()
	hasReturned = true
	return isTaken
}

// handleFrame implements connOwner.
func (cc *ClientConn) handleFrame(typ uint64, payload []byte) error {
	switch typ {
	case frame.GoAway:
		return cc.handleGoAway(payload)
	case frame.MaxPushID:
		// "A server MUST NOT send a MAX_PUSH_ID frame. A client MUST treat the receipt of a MAX_PUSH_ID frame as a connection error
		// of type H3_FRAME_UNEXPECTED."
		// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.7-3
		return connErrorf(ErrCodeFrameUnexpected, "MAX_PUSH_ID from a server")
	case frame.PriorityUpdateRequest, frame.PriorityUpdatePush:
		// "If a client receives a PRIORITY_UPDATE frame, this MUST be treated as a connection error of type H3_FRAME_UNEXPECTED."
		// https://www.rfc-editor.org/rfc/rfc9218#section-7.2-8
		return connErrorf(ErrCodeFrameUnexpected, "PRIORITY_UPDATE from a server")
	case frame.CancelPush:
		// "If a CANCEL_PUSH frame is received that references a push ID greater than currently allowed on the connection, this MUST
		// be treated as a connection error of type H3_ID_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.3-7
		id, err := frame.ParseInt(payload)
		if err == nil {
			err = connErrorf(ErrCodeIDError, "CANCEL_PUSH for push %d, but no MAX_PUSH_ID was sent", id)
		}
		return err
	}
	return nil
}

// handleGoAway handles GOAWAY: no further requests begin, and those that the server does not process fail, so that they can be sent
// again on another connection.
func (cc *ClientConn) handleGoAway(payload []byte) error {
	v, err := frame.ParseInt(payload)
	if err != nil {
		return err
	}
	// "A client MUST treat receipt of a GOAWAY frame containing a stream ID of any other type as a connection error of type
	// H3_ID_ERROR."
	// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.6-3
	if v%4 != 0 {
		return connErrorf(ErrCodeIDError, "GOAWAY with ID %d, which is not that of a request", v)
	}
	r := &cc.reqs
	r.mu.Lock()
	if quic.StreamID(v) > r.goAway {
		// "Receiving a GOAWAY containing a larger identifier than previously received MUST be treated as a connection error of type
		// H3_ID_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9114#section-5.2-7
		old := r.goAway
		r.mu.Unlock()
		return connErrorf(ErrCodeIDError, "GOAWAY with ID %d after one with %d", v, old)
	}
	r.goAway = quic.StreamID(v)
	var rejected []*clientExchange
	for id, x := range r.open {
		if id >= r.goAway {
			rejected = append(rejected, x)
		}
	}
	isIdle := r.active == 0
	r.mu.Unlock()
	cc.closeToNew()
	// "Upon receipt of a GOAWAY frame, if the client has already sent requests with a stream ID greater than or equal to the
	// identifier contained in the GOAWAY frame, those requests will not be processed. Clients can safely retry unprocessed requests
	// on a different HTTP connection."
	// https://www.rfc-editor.org/rfc/rfc9114#section-5.2-5.1.1
	for _, x := range rejected {
		x.fail(errGoAway, ErrCodeRequestCanceled)
	}
	if isIdle {
		go cc.closeGracefully()
	}
	return nil
}

// errGoAway is the error of a request that the server has refused by GOAWAY.
var errGoAway = &Error{Code: ErrCodeRequestRejected, Remote: true, Stream: true, Reason: "the server is shutting down (GOAWAY)"}

// tlsState returns what Response.TLS points to. Responses share it, except before the handshake is complete.
func (cc *ClientConn) tlsState() *tls.ConnectionState {
	if s := cc.tls.Load(); s != nil {
		return s
	}
	s := tlsState(cc.qc)
	if s.HandshakeComplete {
		cc.tls.CompareAndSwap(nil, s)
	}
	return s
}
