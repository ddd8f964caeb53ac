package http3

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"
)

// A clientExchange is a request of a client, and its response. The caller of RoundTrip writes the header section, and the body if it
// is small and in memory. Other bodies have a goroutine. The readers of the response run on its user's goroutines.
type clientExchange struct {
	messageStream
	cc    *ClientConn
	req   *http.Request
	ctx   context.Context
	trace *httptrace.ClientTrace
	resp  http.Response
	body  responseBody

	isEarlyAllowed bool        // the request may be sent as early data
	isReused       bool        // the connection has been used before
	isOpen         bool        // the stream was opened
	isBodyTouched  bool        // the body of the request was read
	gotHead        atomic.Bool // the header section of the response has arrived
	gzip           bool        // the response is decompressed if it is compressed

	// blocked ends when the exchange is given up. It is nil until a field section waits for QPACK's dynamic table.
	mu            sync.Mutex
	blocked       context.Context
	cancelBlocked context.CancelCauseFunc

	// cause is why this side has given up the exchange.
	cause atomic.Pointer[error]
	// parts is the number of directions that are in progress. The exchange ends with the last one.
	parts atomic.Int32
	// stopWatch stops the function that the end of the context calls. release ends what requestContextOf has begun.
	stopWatch func() bool
	release   func()

	// proceed is closed when the body of a request with "Expect: 100-continue" may be sent, or must not be, if skipBody is set. It
	// is nil if it need not wait.
	proceed  chan struct{}
	skipBody bool
}

func newClientExchange(cc *ClientConn, req *http.Request, ctx context.Context, release func()) *clientExchange {
	x := &clientExchange{cc: cc, req: req, ctx: ctx, trace: httptrace.ContextClientTrace(ctx), release: release}
	x.gzip = cc.t.asksForGzip(req)
	x.body.x = x
	return x
}

// roundTrip sends the request and reads the header section of the response. The connection was reserved for it.
func (x *clientExchange) roundTrip() (*http.Response, error) {
	err := x.start()
	if !x.isOpen {
		x.cc.release()
		x.release()
		return nil, err
	}
	if err == nil {
		err = x.readResponse()
	}
	if err != nil {
		err = x.giveUp(err)
		return nil, err
	}
	return &x.resp, nil
}

// start opens the stream and sends the request, or begins to.
func (x *clientExchange) start() error {
	if closesConn(x.req) {
		x.cc.closeToNew()
	}
	if err := x.cc.awaitReady(x.ctx, x); err != nil {
		return err
	}
	if err := x.cc.openStream(x.ctx, x); err != nil {
		return err
	}
	x.isOpen = true
	x.parts.Store(2)
	if x.ctx.Done() != nil {
		x.stopWatch = context.AfterFunc(x.ctx, func() { x.fail(context.Cause(x.ctx), ErrCodeRequestCanceled) })
	}
	if x.c.datagrams.Load() != nil {
		x.c.openDatagrams(x.qs.ID(), x.refuseDatagrams())
	}
	x.setPriority()
	return x.send()
}

// refuseDatagrams returns what a datagram of the request does, or nil if the request may have some.
//
// "If an HTTP Datagram is received and it is associated with a request that has no known semantics for HTTP Datagrams, the
// receiver MUST terminate the request; if HTTP/3 is in use, the request stream MUST be aborted with H3_DATAGRAM_ERROR (0x33)."
// https://www.rfc-editor.org/rfc/rfc9297#section-2-6
func (x *clientExchange) refuseDatagrams() func() {
	if x.req.Method == http.MethodConnect {
		return nil
	}
	return func() {
		x.fail(streamErrorf(ErrCodeDatagramError, "the server has sent a datagram, for which the request has no use"), ErrCodeDatagramError)
	}
}

// setPriority orders what is sent by the request's field Priority, as the server orders the response.
func (x *clientExchange) setPriority() {
	if lines := x.req.Header["Priority"]; len(lines) > 0 {
		p := defaultPriority
		if p.parseLines(lines) {
			x.qs.SetPriority(p.Urgency, p.Incremental)
		}
	}
}

// fail gives up the exchange because of err, unless that has happened: both directions are reset with code.
//
// "Client SHOULD use the error code H3_REQUEST_CANCELLED to cancel requests."
// https://www.rfc-editor.org/rfc/rfc9114#section-4.1.1-5
func (x *clientExchange) fail(err error, code ErrorCode) {
	if !x.cause.CompareAndSwap(nil, &err) {
		return
	}
	x.mu.Lock()
	if x.blocked != nil {
		x.cancelBlocked(err)
	}
	x.mu.Unlock()
	x.abort(code)
	if !isBodyless(x.req) {
		_ = x.req.Body.Close() // which ends a Read that waits
	}
}

// trailerDeadline implements sectionWaiter. The response may take as long as it does.
func (x *clientExchange) trailerDeadline() time.Time { return time.Time{} }

// readContext implements sectionWaiter: the context ends when the exchange is given up, which may be after RoundTrip has returned.
func (x *clientExchange) readContext() context.Context {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.blocked == nil {
		x.blocked, x.cancelBlocked = context.WithCancelCause(context.Background())
		if c := x.cause.Load(); c != nil {
			x.cancelBlocked(*c)
		}
	}
	return x.blocked
}

// giveUp ends both directions after an error of the receiving one, and returns the error that users see.
func (x *clientExchange) giveUp(err error) error {
	code := ErrCodeRequestCanceled
	var e *Error
	if errors.As(err, &e) && e.Stream && !e.Remote {
		code = e.Code
	}
	x.fail(err, code)
	x.endPart()
	return *x.cause.Load()
}

// endPart notes the end of a direction.
func (x *clientExchange) endPart() {
	if x.parts.Add(-1) != 0 {
		return
	}
	if x.stopWatch != nil {
		x.stopWatch()
	}
	x.release()
	x.cc.endStream(x.qs.ID())
}

// nextAttempt decides whether the request is sent again, and returns it. resp is a response with status 425, or nil.
func (x *clientExchange) nextAttempt(resp *http.Response, err error, attempt int) (*http.Request, bool) {
	if attempt >= maxRetries || x.req.Context().Err() != nil {
		return nil, false
	}
	if err != nil && !x.isUnprocessed(err) && !(x.isReused && isConnEnd(err) && isReplayable(x.req)) {
		return nil, false
	}
	if isConnEnd(err) {
		x.cc.closeToNew() // the function that does this at the end of the connection may not have run
	}
	next := *x.req
	if !isBodyless(x.req) && (x.isBodyTouched || x.cause.Load() != nil) {
		if x.req.GetBody == nil {
			return nil, false
		}
		body, bodyErr := x.req.GetBody()
		if bodyErr != nil {
			return nil, false
		}
		next.Body = body
	}
	if resp != nil {
		// "A user agent SHOULD retry automatically, but any retries MUST NOT be sent in early data."
		// https://www.rfc-editor.org/rfc/rfc8470#section-5.2
		_ = resp.Body.Close()
		next.Method = method(x.req)
	}
	return &next, true
}

// isUnprocessed reports whether the server has certainly not processed the request.
//
// "The client can treat requests rejected by the server as though they had never been sent at all, thereby allowing them to be
// retried later."
// https://www.rfc-editor.org/rfc/rfc9114#section-4.1.1-3
func (x *clientExchange) isUnprocessed(err error) bool {
	var e *Error
	switch {
	case errors.As(err, &e) && e.Stream && e.Remote && e.Code == ErrCodeRequestRejected:
		return true
	case x.isOpen:
		return false
	}
	return errors.Is(err, errNotUsable) || (x.isReused || x.isEarlyAllowed) && isConnEnd(err)
}

// isConnEnd reports whether err is that of a connection that has ended, and not by an error of the protocol.
func isConnEnd(err error) bool {
	var e *Error
	if errors.As(err, &e) && (e.Stream || !e.Remote || !e.Code.isNoError()) {
		return false
	}
	return errors.Is(err, net.ErrClosed)
}

// isReplayable reports whether a request may be processed twice. The conditions are those of http.Transport.
//
// "If a connection terminates without a GOAWAY frame, clients MUST assume that any request that was sent, whether in whole or in
// part, might have been processed."
// https://www.rfc-editor.org/rfc/rfc9114#section-5.4-2
func isReplayable(req *http.Request) bool {
	switch method(req) {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	_, has := req.Header["Idempotency-Key"]
	_, hasX := req.Header["X-Idempotency-Key"]
	return has || hasX
}

// send writes the header section, with the body if that is short and in memory, or begins to send the body.
func (x *clientExchange) send() error {
	l := newFieldList()
	defer l.free()
	if err := addRequest(l, x.req, x.gzip); err != nil {
		x.endPart()
		return err
	}
	if err := l.checkSize(x.cc.settings()); err != nil {
		x.endPart()
		return err
	}
	buf := getBuffer(bufferSize)
	defer putBuffer(buf)
	b, err := x.c.appendHeaders((*buf)[:0], x.qs.ID(), l)
	if err != nil {
		x.endPart()
		return err
	}
	x.traceFields(l)
	switch {
	case isBodyless(x.req) && len(x.req.Trailer) == 0:
		// "After sending a request, a client MUST close the stream for sending."
		// https://www.rfc-editor.org/rfc/rfc9114#section-4.1-13
		_, err = x.qs.WriteEnd(b)
		x.wroteRequest(err)
		x.endPart()
		return x.writeError(err)
	case x.isShort():
		return x.sendShort(b)
	}
	if _, err = x.qs.Write(b); err != nil {
		x.endPart()
		return x.writeError(err)
	}
	x.traceHeaders()
	x.prepareExpect()
	x.isBodyTouched = true
	go x.sendBody()
	return nil
}

// writeError converts an error of writing. If the server does not want the rest of the request, there is none: its response says
// why.
func (x *clientExchange) writeError(err error) error {
	if err == nil {
		return nil
	}
	// "Clients MUST NOT discard complete responses as a result of having their request terminated abruptly"
	// https://www.rfc-editor.org/rfc/rfc9114#section-4.1-15
	if err = x.c.closeError(err); isStop(err) {
		return nil
	}
	return err
}

// isStop reports whether an error is that of a stream that the server has asked to stop.
func isStop(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Stream && e.Remote
}

// prepareExpect makes the body wait if the request has "Expect: 100-continue".
func (x *clientExchange) prepareExpect() {
	if x.cc.t.ExpectContinueTimeout >= 0 && httpguts.HeaderValuesContainsToken(x.req.Header["Expect"], "100-continue") {
		x.proceed = make(chan struct{})
	}
}

// traceFields reports the fields to the trace.
func (x *clientExchange) traceFields(l *fieldList) {
	if x.trace == nil || x.trace.WroteHeaderField == nil {
		return
	}
	for _, f := range l.fields {
		x.trace.WroteHeaderField(f.Name, []string{f.Value})
	}
}

func (x *clientExchange) traceHeaders() {
	if x.trace != nil && x.trace.WroteHeaders != nil {
		x.trace.WroteHeaders()
	}
}

// wroteRequest notes that the request was sent, or why not.
func (x *clientExchange) wroteRequest(err error) {
	if d := x.cc.t.ResponseHeaderTimeout; d > 0 && err == nil {
		_ = x.qs.SetReadDeadline(time.Now().Add(d)) // never fails
		if x.gotHead.Load() {
			_ = x.qs.SetReadDeadline(time.Time{}) // as above
		}
	}
	if x.trace != nil {
		if isBodyless(x.req) || x.isShort() {
			x.traceHeaders()
		}
		if x.trace.WroteRequest != nil {
			x.trace.WroteRequest(httptrace.WroteRequestInfo{Err: err})
		}
	}
}

// isMemoryReader reports whether Read never waits.
func isMemoryReader(r io.Reader) bool {
	switch r.(type) {
	case *bytes.Reader, *bytes.Buffer, *strings.Reader:
		return true
	}
	return false
}

// trailerFields returns the trailer section of the request, or nil.
func trailerFields(req *http.Request) *fieldList {
	if len(req.Trailer) == 0 {
		return nil
	}
	l := newFieldList()
	for _, key := range slices.Sorted(maps.Keys(req.Trailer)) {
		l.addValues(http.CanonicalHeaderKey(key), req.Trailer[key])
	}
	return l
}
