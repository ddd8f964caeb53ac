package http3

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/pqquic/pqquic/http3/internal/frame"
)

// An exchange is a request on a server, and its response. The goroutine of its stream runs it.
type exchange struct {
	messageStream
	sc   *serverConn
	w    response
	body requestBody
	ctx  requestContext

	priority    Priority
	hasPriority bool
	// needContinue is set while the client waits for a response with status 100 before it sends the body. The handler may write
	// the response while another goroutine reads the body, so continueMu is held while it is changed: the interim response is
	// written before it is unset.
	needContinue atomic.Bool
	continueMu   sync.Mutex
	sent         atomic.Int64 // bytes of the response that were given to the stream
	isEarly      bool         // the handler was called before the client has proved that it is no replay
}

// serve reads the request, calls the handler and completes the response.
func (x *exchange) serve() {
	req, err := x.readRequest()
	if err != nil {
		x.refuse(err)
		return
	}
	// A request that the client has already cancelled is not served. Its stream counts against the client's limit until the next
	// line, so a flood of such requests starts no more handlers than requests that wait for their answers.
	if _, err := x.qs.Write(nil); err != nil {
		x.abort(ErrCodeRequestRejected)
		return
	}
	if x.qs.EarlyData() && !x.acceptEarly(req) {
		x.abort(ErrCodeRequestRejected)
		return
	}
	isOK := x.callHandler(req)
	x.ctx.end()
	if x.w.isHijacked && isOK {
		return
	}
	_ = x.body.Close() // never fails
	if !isOK {
		return // callHandler has aborted the stream
	}
	x.finish()
}

// finish completes the response and then the request.
func (x *exchange) finish() {
	switch {
	case x.w.finish():
		x.endRequest()
	case x.w.err != nil && x.w.err != errTooLargeForClient: // the client has given up, or a deadline has passed
		x.abort(ErrCodeRequestCanceled)
	default:
		x.abandon(ErrCodeInternalError)
	}
}

// abandon aborts a response that the handler does not complete. If the client accepts RESET_STREAM_AT, it still gets what was flushed,
// as with HTTP/1.1 and HTTP/2.
func (x *exchange) abandon(code ErrorCode) {
	sent := x.sent.Load()
	if sent == 0 || x.qs.ResetAt(uint64(code), sent) != nil {
		x.abort(code)
		return
	}
	x.stopReading(code)
}

// write writes a part of the response.
func (x *exchange) write(b []byte) error {
	n, err := x.qs.Write(b)
	x.sent.Add(int64(n))
	return err
}

// endRequest stops a client that is still sending the request after the response is complete.
//
// "When the server does not need to receive the remainder of the request, it MAY abort reading the request stream, send a
// complete response, and cleanly close the sending part of the stream. The error code H3_NO_ERROR SHOULD be used when requesting
// that the client stop sending on the request stream."
// https://www.rfc-editor.org/rfc/rfc9114#section-4.1-15
func (x *exchange) endRequest() {
	if x.readErr != io.EOF && !x.atEnd() {
		x.stopReading(ErrCodeNoError)
	}
}

// readRequest reads and checks the header section.
func (x *exchange) readRequest() (*http.Request, error) {
	deadline := x.sc.srv.headerDeadline()
	srv := x.sc.srv
	if srv.WriteTimeout > 0 {
		_ = x.qs.SetWriteDeadline(time.Now().Add(srv.WriteTimeout)) // never fails
	}
	var body time.Time
	if srv.ReadTimeout > 0 {
		body = time.Now().Add(srv.ReadTimeout)
	}
	if !x.hasHeader() || !body.IsZero() { // most requests arrive with their streams, and need no timer
		_ = x.qs.SetReadDeadline(deadline)
		defer func() { _ = x.qs.SetReadDeadline(body) }()
	}
	sec := newSection(requestHeader, x.c.cfg.maxHeader)
	defer sec.free()
	if err := x.readHeader(sec, deadline); err != nil {
		return nil, err
	}
	head, err := sec.request(x.c.cfg.settings.EnableConnectProtocol)
	if err != nil {
		return nil, err
	}
	x.c.junk.Store(0)
	return x.request(&head)
}

// readContext implements sectionWaiter.
func (x *exchange) readContext() context.Context { return x.qs.Context() }

// trailerDeadline implements sectionWaiter.
func (x *exchange) trailerDeadline() time.Time { return x.sc.srv.headerDeadline() }

// hasHeader reports whether the stream begins with a HEADERS frame that has arrived completely. Behind other frames, the header
// section may never arrive.
func (x *exchange) hasHeader() bool {
	b, err := x.qs.Peek(0)
	h, n := frame.ParseHeader(b)
	if n > 0 && h.Type == frame.Headers && uint64(len(b)-n) >= h.Length {
		x.view = b
		return true
	}
	return err != nil
}

// request returns the http.Request of a header section.
func (x *exchange) request(h *requestHead) (*http.Request, error) {
	target, uri, err := h.target()
	if err != nil {
		return nil, err
	}
	if h.protocol != "" {
		h.header[":protocol"] = []string{h.protocol} // as net/http does for HTTP/2
	}
	x.setPriority(h.header["Priority"])
	x.ctx.x = x
	r := http.Request{
		Method: h.method, URL: target, RequestURI: uri, Host: h.authority, Header: h.header, Trailer: h.trailer,
		Proto: "HTTP/3.0", ProtoMajor: 3, RemoteAddr: x.sc.remote, TLS: x.sc.tlsState(), ContentLength: h.contentLength,
		Body: &x.body,
	}
	x.isTunnel = h.method == http.MethodConnect
	if x.c.datagrams.Load() != nil {
		x.c.openDatagrams(x.qs.ID(), x.refuseDatagrams())
	}
	x.startBody(h.contentLength)
	if x.atEnd() {
		if err := x.endOfBody(); err != io.EOF {
			return nil, err
		}
		x.readErr = io.EOF
		x.c.endDatagrams(x.qs.ID())
		r.Body, r.ContentLength = http.NoBody, 0
	}
	x.body.x = x
	if httpguts.HeaderValuesContainsToken(h.header["Expect"], "100-continue") {
		x.needContinue.Store(x.readErr == nil)
		delete(h.header, "Expect") // as net/http does: the first Read answers
	}
	x.w.isHead = h.method == http.MethodHead
	// A copy, which makes the context the request's own.
	req := r.WithContext(&x.ctx)
	x.body.req = req
	return req, nil
}

// refuseDatagrams returns what a datagram of the request does, or nil if the request may have some.
//
// "If an HTTP Datagram is received and it is associated with a request that has no known semantics for HTTP Datagrams, the
// receiver MUST terminate the request; if HTTP/3 is in use, the request stream MUST be aborted with H3_DATAGRAM_ERROR (0x33)."
// https://www.rfc-editor.org/rfc/rfc9297#section-2-6
func (x *exchange) refuseDatagrams() func() {
	if x.isTunnel {
		return nil
	}
	return func() { x.abort(ErrCodeDatagramError) }
}

// refuse ends a request that could not be read.
func (x *exchange) refuse(err error) {
	var e *Error
	switch {
	case errors.Is(err, errHeaderTooLarge):
		x.respondOnly(http.StatusRequestHeaderFieldsTooLarge)
	case isTimeout(err):
		x.abort(ErrCodeRequestRejected)
	case err == io.EOF:
		// "If a client-initiated stream terminates without enough of the HTTP message to provide a complete response, the server
		// SHOULD abort its response stream with the error code H3_REQUEST_INCOMPLETE."
		// https://www.rfc-editor.org/rfc/rfc9114#section-4.1-14
		x.abort(ErrCodeRequestIncomplete)
	case errors.As(err, &e) && e.Stream && !e.Remote:
		x.abort(e.Code)
	case errors.As(err, &e) && e.Stream:
		x.abort(ErrCodeRequestRejected) // the client has cancelled it
	}
}

// respondOnly answers a request that is not passed to the handler.
//
// "A server that receives a larger header section than it is willing to handle can send an HTTP 431 (Request Header Fields Too
// Large) status code"
// https://www.rfc-editor.org/rfc/rfc9114#section-4.2.2-1
func (x *exchange) respondOnly(status int) {
	x.w.WriteHeader(status)
	x.finish()
}

// callHandler calls the handler. If it panics, the stream is aborted and the result is false.
func (x *exchange) callHandler(req *http.Request) (isOK bool) {
	defer func() {
		if isOK {
			return
		}
		// "Servers MUST NOT use the H3_REQUEST_REJECTED error code for requests that were partially or fully processed."
		// https://www.rfc-editor.org/rfc/rfc9114#section-4.1.1-4
		code := ErrCodeInternalError
		switch p := recover(); {
		case p == http.ErrAbortHandler:
			// "When a server abandons a response after partial processing, it SHOULD abort its response stream with the error
			// code H3_REQUEST_CANCELLED."
			// https://www.rfc-editor.org/rfc/rfc9114#section-4.1.1-4
			code = ErrCodeRequestCanceled
		default:
			x.sc.recovered(p)
		}
		x.w.isDone, x.w.isHijacked = true, false
		x.w.release()
		x.abandon(code)
	}()
	if req.RequestURI == "*" && req.Method == http.MethodOptions { // about the server, as in net/http
		x.w.Header().Set("Content-Length", "0")
		return true
	}
	x.sc.srv.handler().ServeHTTP(&x.w, req)
	return true
}

func (x *exchange) logf(format string, args ...any) { x.sc.srv.logf(format, args...) }

// A requestBody is the body of a request.
type requestBody struct {
	x   *exchange
	req *http.Request

	mu     sync.Mutex // held by Read
	closed bool
}

// Read implements io.Reader.
func (b *requestBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.begin(); err != nil {
		return 0, err
	}
	n, err := b.x.Read(p)
	if err != nil {
		b.note(err)
	}
	return n, err
}

// WriteTo implements io.WriterTo.
func (b *requestBody) WriteTo(w io.Writer) (int64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.begin(); err != nil {
		return 0, err
	}
	n, err := b.x.WriteTo(w)
	b.note(b.x.readErr)
	return n, err
}

// begin prepares for a read. mu is held.
func (b *requestBody) begin() error {
	if b.closed {
		return http.ErrBodyReadAfterClose
	}
	if b.x.needContinue.Load() {
		return b.x.sendContinue()
	}
	return nil
}

// skipContinue makes reads of the body send no response with status 100. If one is being sent, it waits for that.
func (x *exchange) skipContinue() {
	if x.needContinue.Load() {
		x.continueMu.Lock()
		x.needContinue.Store(false)
		x.continueMu.Unlock()
	}
}

// sendContinue sends a response with status 100, unless the handler has answered meanwhile.
func (x *exchange) sendContinue() error {
	x.continueMu.Lock()
	defer x.continueMu.Unlock()
	if !x.needContinue.Load() {
		return nil
	}
	defer x.needContinue.Store(false)
	l := newFieldList()
	defer l.free()
	l.add(":status", "100")
	b, err := x.c.appendHeaders(nil, x.qs.ID(), l)
	if err == nil {
		err = x.write(b)
	}
	if err != nil {
		return x.c.closeError(err)
	}
	return nil
}

// note acts on the end of the body. mu is held.
func (b *requestBody) note(err error) {
	if err != io.EOF {
		b.x.abortMalformed(err)
		return
	}
	if b.req.Trailer == nil {
		b.req.Trailer = b.x.trailer
	}
	for name, values := range b.x.trailer {
		b.req.Trailer[name] = values
	}
}

// Close makes further reads fail. A Read that waits ends, because the client is asked to stop.
func (b *requestBody) Close() error {
	if !b.mu.TryLock() {
		_ = b.x.qs.StopSending(uint64(ErrCodeNoError)) // fails only if the connection has ended
		b.mu.Lock()
	}
	defer b.mu.Unlock()
	b.closed = true
	return nil
}

// A requestContext is the context of a request: it has the values of its connection's and ends with the handler, when the client
// asks to stop sending or resets the request, and with the connection. What this needs is made when it is used first.
type requestContext struct {
	x  *exchange
	mu sync.Mutex
	// inner and cancel are nil until they are needed. isEnded is set if the handler returns before that.
	inner   context.Context
	cancel  context.CancelCauseFunc
	stop    func() bool
	isEnded bool
}

// context returns the context with the request's end.
func (c *requestContext) context() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inner == nil {
		stream := c.x.qs.Context() // ends with the sending direction or the connection
		c.inner, c.cancel = context.WithCancelCause(stream)
		if c.isEnded {
			c.cancel(context.Canceled)
			return c.inner
		}
		cancel := c.cancel
		c.x.qs.WhenReset(func(err error) { cancel(fromPeer(err)) })
		if base := c.x.sc.ctx; base.Done() != nil {
			c.stop = context.AfterFunc(base, func() { cancel(context.Cause(base)) })
		}
	}
	return c.inner
}

// end ends the context after the handler has returned.
func (c *requestContext) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.isEnded = true
	if c.cancel != nil {
		c.cancel(context.Canceled)
	}
	if c.stop != nil {
		c.stop()
	}
}

// Deadline implements context.Context.
func (c *requestContext) Deadline() (time.Time, bool) { return c.x.sc.ctx.Deadline() }

// Done implements context.Context.
func (c *requestContext) Done() <-chan struct{} { return c.context().Done() }

// Err implements context.Context.
func (c *requestContext) Err() error { return c.context().Err() }

// exchangeKey is the key of the exchange in its context.
type exchangeKey struct{}

// Value implements context.Context. Package context asks with a key of its own, a *int. The answer lets contexts that are derived from
// this one do without a goroutine.
func (c *requestContext) Value(key any) any {
	if _, ok := key.(exchangeKey); ok {
		return c.x
	}
	if _, isContexts := key.(*int); !isContexts {
		return c.x.sc.ctx.Value(key)
	}
	return c.context().Value(key)
}
