package http3

import (
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"strings"
	"sync/atomic"
	"time"
)

// readResponse reads the header section of the response.
func (x *clientExchange) readResponse() error {
	head, err := x.readHead()
	if err != nil {
		return err
	}
	x.noteFinal(head.status)
	x.c.junk.Store(0)
	x.gotHead.Store(true)
	if x.cc.t.ResponseHeaderTimeout > 0 {
		_ = x.qs.SetReadDeadline(time.Time{}) // never fails
	}
	m := method(x.req)
	x.isTunnel = m == http.MethodConnect && head.status/100 == 2
	hasBody := m != http.MethodHead && bodyAllowed(head.status)
	x.resp = http.Response{
		Status: "200 OK", StatusCode: head.status,
		Proto: "HTTP/3.0", ProtoMajor: 3, Header: head.header, Trailer: head.trailer, ContentLength: head.contentLength,
		Request: x.req, TLS: x.cc.tlsState(), Body: &x.body,
	}
	if head.status != http.StatusOK {
		x.resp.Status = statusText(head.status) + " " + http.StatusText(head.status)
	}
	if !hasBody || x.isTunnel {
		x.startBody(-1)
	} else {
		x.startBody(head.contentLength)
	}
	isAtEnd := x.atEnd()
	if head.contentLength < 0 && m != http.MethodHead && (isAtEnd || !hasBody) {
		x.resp.ContentLength = 0
	}
	if isAtEnd {
		err := x.endOfBody()
		if err != io.EOF {
			return err
		}
		x.resp.Body = http.NoBody
		x.readErr = io.EOF
		x.endPart()
		return nil
	}
	if !hasBody {
		x.resp.Body = http.NoBody
		go x.drain()
		return nil
	}
	if x.gzip && strings.EqualFold(head.header.Get("Content-Encoding"), "gzip") {
		x.decompress()
	}
	return nil
}

// readHead reads header sections until that of the final response.
func (x *clientExchange) readHead() (head responseHead, err error) {
	if x.trace != nil && x.trace.GotFirstResponseByte != nil {
		if _, err := x.qs.Peek(1); err == nil {
			x.trace.GotFirstResponseByte()
		}
	}
	for limit := x.c.cfg.maxHeader; ; {
		head, left, err := x.readOneHead(limit)
		if err != nil || head.status >= 200 {
			return head, err
		}
		// The interim responses may together have as many bytes as a header section.
		limit = left
		isReported, err := x.interim(&head)
		if err != nil {
			return head, err
		}
		if isReported {
			limit = x.c.cfg.maxHeader // as in http.Transport, the user limits them
		}
	}
}

// readOneHead reads a header section of at most limit bytes, and returns how many it has left of these.
func (x *clientExchange) readOneHead(limit int) (head responseHead, left int, err error) {
	sec := newSection(responseHeader, limit)
	defer sec.free()
	if err := x.readHeader(sec, time.Time{}); err != nil {
		return head, 0, x.headError(err)
	}
	head, err = sec.response()
	return head, sec.left, err
}

// headError converts an error of reading a header section.
func (x *clientExchange) headError(err error) error {
	switch {
	case errors.Is(err, errHeaderTooLarge):
		return streamErrorf(ErrCodeExcessiveLoad, "the header section of the response is larger than %d bytes", x.c.cfg.maxHeader)
	case err == io.EOF:
		return malformed("the stream ends before the response")
	case isTimeout(err):
		return errResponseTimeout
	}
	return err
}

// errResponseTimeout is the error after ResponseHeaderTimeout.
var errResponseTimeout error = timeoutError("http3: timeout awaiting response headers")

type timeoutError string

func (e timeoutError) Error() string { return string(e) }
func (timeoutError) Timeout() bool   { return true }
func (timeoutError) Temporary() bool { return true }

// interim handles a response with a status of 1xx. It reports whether it was passed on.
func (x *clientExchange) interim(head *responseHead) (isReported bool, err error) {
	if head.status == http.StatusContinue {
		if x.trace != nil && x.trace.Got100Continue != nil {
			x.trace.Got100Continue()
		}
		x.mayProceed(false)
	}
	if x.trace != nil && x.trace.Got1xxResponse != nil {
		return true, x.trace.Got1xxResponse(head.status, textproto.MIMEHeader(head.header))
	}
	return false, nil
}

// noteFinal ends the wait of the request's body for a response with status 100.
func (x *clientExchange) noteFinal(status int) { x.mayProceed(status >= 300) }

// mayProceed lets the body of a request with "Expect: 100-continue" be sent, or be left out.
func (x *clientExchange) mayProceed(skip bool) {
	if x.proceed == nil {
		return
	}
	select {
	case <-x.proceed:
	default:
		x.skipBody = skip
		close(x.proceed)
	}
}

// drain reads the rest of a response that has no content.
func (x *clientExchange) drain() {
	err := x.nextData()
	if err == nil {
		err = malformed("a response with status %d to a request with method %s has content", x.resp.StatusCode, method(x.req))
	}
	if err != io.EOF {
		_ = x.giveUp(err)
		return
	}
	x.endPart()
}

// A responseBody is the body of a response.
type responseBody struct {
	x *clientExchange
	// isDone is set when the receiving direction has ended. isClosed is set by Close.
	isDone, isClosed atomic.Bool
}

var errBodyClosed = errors.New("http3: read on a closed response body")

// Read implements io.Reader.
func (b *responseBody) Read(p []byte) (int, error) {
	if b.isClosed.Load() {
		return 0, errBodyClosed
	}
	n, err := b.x.Read(p)
	return n, b.note(err)
}

// WriteTo implements io.WriterTo.
func (b *responseBody) WriteTo(w io.Writer) (int64, error) {
	if b.isClosed.Load() {
		return 0, errBodyClosed
	}
	n, err := b.x.WriteTo(w)
	if end := b.note(b.x.readErr); end != nil && end != io.EOF {
		err = end
	}
	return n, err
}

// note acts on an error of reading and returns the one that users see.
func (b *responseBody) note(err error) error {
	x := b.x
	switch {
	case err == nil:
		return nil
	case b.isDone.Load():
		if c := x.cause.Load(); c != nil && err != io.EOF {
			return *c
		}
		return err
	case err == io.EOF:
		if b.isDone.CompareAndSwap(false, true) {
			b.addTrailers()
			x.endPart()
		}
		return err
	}
	if b.isDone.CompareAndSwap(false, true) {
		err = x.giveUp(err)
	} else if c := x.cause.Load(); c != nil {
		err = *c
	}
	x.readErr = err
	return err
}

// addTrailers adds the trailers to the Response.
func (b *responseBody) addTrailers() {
	for name, values := range b.x.trailer {
		if b.x.resp.Trailer == nil {
			b.x.resp.Trailer = make(http.Header)
		}
		b.x.resp.Trailer[name] = values
	}
}

// Close implements io.Closer. If the response was not read to its end, it is cancelled.
func (b *responseBody) Close() error {
	if !b.isClosed.CompareAndSwap(false, true) || !b.isDone.CompareAndSwap(false, true) {
		return nil
	}
	_ = b.x.giveUp(errBodyClosed)
	return nil
}
