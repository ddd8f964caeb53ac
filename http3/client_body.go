package http3

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/pqquic/pqquic/http3/internal/frame"
)

// isShort reports whether the body goes into one write with the header section: its length is known, reading it never waits, and it
// fits.
func (x *clientExchange) isShort() bool {
	n := bodyLength(x.req)
	return n > 0 && n <= bodyBuffer && len(x.req.Trailer) == 0 && method(x.req) != http.MethodConnect && x.req.Header["Expect"] == nil &&
		isInMemory(x.req.Body)
}

// sendShort writes the header section, a body that isShort, and the end of the stream in one step.
func (x *clientExchange) sendShort(b []byte) error {
	defer x.endPart()
	x.isBodyTouched = true
	n := int(bodyLength(x.req))
	b = frame.AppendHeader(b, frame.Data, uint64(n))
	x.c.logData(frameCreated, x.qs.ID(), uint64(n))
	start := len(b)
	if cap(b)-start < n {
		b = append(make([]byte, 0, start+n), b...)
	}
	got, err := io.ReadFull(x.req.Body, b[start:start+n])
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = checkBodyEnd(x.req, got, n)
	}
	_ = x.req.Body.Close() // one in memory has nothing to report
	if err != nil {
		x.wroteRequest(err)
		return err
	}
	_, err = x.qs.WriteEnd(b[:start+n])
	x.wroteRequest(err)
	return x.writeError(err)
}

// checkBodyEnd checks that the body has as many bytes as the request says: n, of which got were read.
func checkBodyEnd(req *http.Request, got, n int) error {
	var one [1]byte
	if got == n {
		if more, err := io.ReadFull(req.Body, one[:]); more == 0 && err == io.EOF {
			return nil
		} else if more == 0 {
			return err
		}
		return fmt.Errorf("http3: Request.ContentLength is %d, but the body is longer", n)
	}
	return fmt.Errorf("http3: Request.ContentLength is %d, but the body has only %d bytes", n, got)
}

// sendBody sends the body and the trailers on a goroutine of its own.
func (x *clientExchange) sendBody() {
	defer x.endPart()
	var err error
	if x.awaitContinue() {
		if err = x.copyBody(); err == nil {
			err = x.endBody()
		}
	} else {
		// The server has answered without the body, so it does not need one.
		_ = x.qs.Reset(uint64(ErrCodeRequestCanceled)) // fails only if the connection has ended
	}
	if !isBodyless(x.req) {
		if closeErr := x.req.Body.Close(); err == nil {
			err = closeErr
		}
	}
	if c := x.cause.Load(); c != nil {
		err = *c
	} else if err = x.writeError(err); err != nil {
		x.fail(err, ErrCodeRequestCanceled)
	}
	x.wroteRequest(err)
}

// awaitContinue waits for the permission to send the body, and reports whether it shall be sent.
func (x *clientExchange) awaitContinue() bool {
	if x.proceed == nil {
		return true
	}
	if x.trace != nil && x.trace.Wait100Continue != nil {
		x.trace.Wait100Continue()
	}
	d := x.cc.t.ExpectContinueTimeout
	if d == 0 {
		d = time.Second
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-x.proceed:
		return !x.skipBody
	case <-timer.C:
		return true
	case <-x.qs.Context().Done(): // the server wants no body, or the exchange has ended
		return false
	}
}

// copyBody writes the body as DATA frames: one if its length is known.
func (x *clientExchange) copyBody() error {
	if isBodyless(x.req) {
		return nil
	}
	n := bodyLength(x.req)
	if n < 0 {
		return x.copyFrames()
	}
	x.c.logData(frameCreated, x.qs.ID(), uint64(n))
	if _, err := x.qs.Write(frame.AppendHeader(nil, frame.Data, uint64(n))); err != nil {
		return err
	}
	body := io.LimitedReader{R: x.req.Body, N: n}
	if _, err := x.qs.ReadFrom(&body); err != nil {
		return err
	}
	return checkBodyEnd(x.req, int(n-body.N), int(n))
}

// copyFrames writes the body as one DATA frame for each Read.
func (x *clientExchange) copyFrames() error {
	buf := copyBuffers.Get().(*[copyBuffer]byte)
	defer copyBuffers.Put(buf)
	var header [frame.MaxHeader]byte
	for {
		const room = frame.MaxHeader
		n, err := x.req.Body.Read(buf[room:])
		if n > 0 {
			// The header is written in front of the payload.
			h := frame.AppendHeader(header[:0], frame.Data, uint64(n))
			from := room - len(h)
			copy(buf[from:], h)
			x.c.logData(frameCreated, x.qs.ID(), uint64(n))
			if _, err := x.qs.Write(buf[from : room+n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// endBody writes the trailers and the end of the stream.
func (x *clientExchange) endBody() error {
	l := trailerFields(x.req)
	if l == nil {
		return x.qs.CloseWrite()
	}
	defer l.free()
	if err := l.checkSize(x.cc.settings()); err != nil {
		return err
	}
	b, err := x.c.appendHeaders(nil, x.qs.ID(), l)
	if err == nil {
		_, err = x.qs.WriteEnd(b)
	}
	return err
}
