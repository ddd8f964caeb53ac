package http3

import (
	"context"
	"errors"
	"io"
	"net/http"
)

// A ClientStream is the stream of a request whose header sections and content the user sends and reads one by one, mostly of an
// Extended CONNECT. It begins with SendRequest and ReadResponse; then the methods of RequestStream exchange content. WebTransport
// and MASQUE can be built on it.
type ClientStream struct {
	RequestStream
	x       *clientExchange
	isSent  bool
	hasHead bool
}

// OpenRequestStream opens the stream of a request, on which nothing is sent before SendRequest. It waits while the server permits no
// further streams.
func (cc *ClientConn) OpenRequestStream(ctx context.Context) (*ClientStream, error) {
	if !cc.reserve() {
		return nil, errNotUsable
	}
	if err := cc.awaitHandshake(ctx); err != nil {
		cc.release()
		return nil, err
	}
	x := newClientExchange(cc, new(http.Request), ctx, func() {})
	x.trace = nil // of the context of this call, which ends before the request
	if err := cc.openStream(ctx, x); err != nil {
		cc.release()
		return nil, err
	}
	cc.openDatagrams(x.qs.ID(), nil)
	context.AfterFunc(x.qs.Context(), func() { cc.endStream(x.qs.ID()) })
	s := &ClientStream{x: x}
	s.s = &x.messageStream
	return s, nil
}

// SendRequest sends the header section of a request, whose Body is not used. The field ":protocol" of its Header makes a CONNECT an
// Extended CONNECT (RFC 9220), for which SendRequest waits for the server's settings: if they do not permit it, the error is
// ErrNoExtendedConnect. The content follows by Write, and ends with CloseWrite.
func (s *ClientStream) SendRequest(req *http.Request) error {
	if s.isSent {
		return errors.New("http3: SendRequest was called twice")
	}
	head := *req
	head.Body, head.ContentLength = nil, 0
	if _, err := checkRequest(&head); err != nil {
		return err
	}
	if len(head.Header[protocolKey]) > 0 {
		if err := s.x.cc.awaitExtendedConnect(req.Context()); err != nil {
			return err
		}
	}
	l := newFieldList()
	defer l.free()
	if err := addRequest(l, &head, false); err != nil {
		return err
	}
	if err := l.checkSize(s.x.c.settings()); err != nil {
		return err
	}
	s.isSent = true
	s.x.req = &head
	s.x.setPriority()
	b, err := s.x.c.appendHeaders(nil, s.x.qs.ID(), l)
	if err == nil {
		_, err = s.x.qs.Write(b)
	}
	return s.writeError(err)
}

// ReadResponse waits for the header section of the response, and returns it. SetReadDeadline and Reset end the wait. The content
// can be read from the stream or from the response's Body, which is the same.
func (s *ClientStream) ReadResponse() (*http.Response, error) {
	if !s.isSent || s.hasHead {
		return nil, errors.New("http3: ReadResponse was called before SendRequest, or twice")
	}
	x := s.x
	head, err := x.readHead()
	if err != nil {
		if c := x.cause.Load(); c != nil {
			return nil, *c
		}
		x.abortMalformed(err)
		return nil, err
	}
	s.hasHead = true
	x.c.junk.Store(0)
	x.isTunnel = x.req.Method == http.MethodConnect && head.status/100 == 2
	length := head.contentLength
	if x.isTunnel || x.req.Method == http.MethodHead || !bodyAllowed(head.status) {
		length = -1
	}
	x.startBody(length)
	x.resp = http.Response{
		Status: statusText(head.status) + " " + http.StatusText(head.status), StatusCode: head.status,
		Proto: "HTTP/3.0", ProtoMajor: 3, Header: head.header, Trailer: head.trailer, ContentLength: head.contentLength,
		Request: x.req, TLS: x.cc.tlsState(), Body: streamBody{s},
	}
	return &x.resp, nil
}

// Trailer returns the trailers of the response, once Read has returned io.EOF.
func (s *ClientStream) Trailer() http.Header { return s.x.trailer }

// A streamBody is the body of the response of a ClientStream.
type streamBody struct{ s *ClientStream }

func (b streamBody) Read(p []byte) (int, error) {
	n, err := b.s.Read(p)
	if err == io.EOF {
		b.s.x.body.addTrailers()
	}
	return n, err
}

// Close asks the server to stop sending. It leaves the sending direction open.
func (b streamBody) Close() error {
	b.s.StopSending(ErrCodeRequestCanceled)
	return nil
}
