package http3

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/pqquic/pqquic/http3/internal/frame"
	"github.com/pqquic/pqquic/internal/qpack"
	"github.com/pqquic/pqquic/quic"
)

// A messageStream is a request stream: what client and server share of it. One goroutine reads and one writes at a time.
type messageStream struct {
	c  *conn
	qs *quic.Stream
	w  sectionWaiter

	// The receiving direction.
	phase    recvPhase
	isTunnel bool   // CONNECT: only DATA frames are permitted from now on
	skip     uint8  // bytes of the frame's header that are not consumed, and come before left
	left     uint64 // bytes of the DATA frame that are not consumed
	drop     uint64 // bytes that are to be discarded first, because a deadline has prevented it
	// view has bytes that were peeked: those of the frame that have arrived if skip is not 0, and otherwise those that follow drop.
	view     []byte
	received int64 // bytes of DATA frames
	declared int64 // Content-Length, or -1
	trailer  http.Header
	readErr  error // that Read returns from now on
}

// A sectionWaiter bounds the time for which a message waits for QPACK's dynamic table.
type sectionWaiter interface {
	// readContext returns the context that ends such a wait.
	readContext() context.Context
	// trailerDeadline returns until when a trailer section may wait. Zero means without limit.
	trailerDeadline() time.Time
}

// A recvPhase says which frames may come next.
type recvPhase uint8

const (
	beforeHeaders recvPhase = iota // HEADERS
	inBody                         // DATA, or HEADERS with the trailers
	afterTrailers                  // nothing
)

// init prepares for the stream of a request.
func (s *messageStream) init(c *conn, qs *quic.Stream, w sectionWaiter) {
	s.c, s.qs, s.w, s.declared = c, qs, w, -1
}

// nextFrame finds the header of the next frame that has a meaning. Its length is in skip, and what has arrived of the payload
// in view. At the end of the stream it returns io.EOF.
func (s *messageStream) nextFrame() (frame.Header, error) {
	for {
		b, h, n, err := s.peekFrame()
		if err != nil {
			return h, err
		}
		if h.Type == frame.Data && h.Length > 0 || h.Type == frame.Headers {
			s.skip = uint8(n) // at most frame.MaxHeader
			s.view = b[n:]
			if uint64(len(s.view)) > h.Length {
				s.view = s.view[:h.Length]
			}
			return h, nil
		}
		if err := s.otherFrame(h, n); err != nil {
			return h, err
		}
	}
}

// peekFrame returns bytes that begin with the next frame, and its header, of n bytes.
func (s *messageStream) peekFrame() (b []byte, h frame.Header, n int, err error) {
	if s.skip == 0 {
		b, s.view = s.view, nil
		if h, n = frame.ParseHeader(b); n >= 0 {
			return b, h, n, nil
		}
	}
	if err := s.discardDropped(); err != nil {
		return nil, h, 0, err
	}
	b, err = s.qs.Peek(1)
	h, n = frame.ParseHeader(b)
	for n < 0 {
		switch {
		case err == io.EOF && len(b) == 0:
			return nil, h, 0, io.EOF
		case err == io.EOF:
			return nil, h, 0, s.c.fail(truncated(s.qs))
		case err != nil:
			return nil, h, 0, s.c.closeError(err)
		}
		b, err = s.qs.Peek(len(b) + 1)
		h, n = frame.ParseHeader(b)
	}
	return b, h, n, nil
}

// otherFrame handles the header, of n bytes, of a frame that is neither HEADERS nor DATA, or is empty.
func (s *messageStream) otherFrame(h frame.Header, n int) error {
	switch {
	case h.Type == frame.Data:
		if err := s.checkOrder(h); err != nil {
			return err
		}
	case h.Type == frame.PushPromise && !s.c.qc.IsServer():
		// "A client MUST treat receipt of a PUSH_PROMISE frame that contains a larger push ID than the client has advertised as a
		// connection error of H3_ID_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.5-5
		return s.c.fail(connErrorf(ErrCodeIDError, "PUSH_PROMISE, but no MAX_PUSH_ID was sent"))
	case h.Type == frame.PushPromise, frame.ControlOnly(h.Type), frame.IsHTTP2(h.Type):
		// "A server MUST treat the receipt of a PUSH_PROMISE frame as a connection error of type H3_FRAME_UNEXPECTED."
		// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.5-9
		//
		// "Receiving a CANCEL_PUSH frame on a stream other than the control stream MUST be treated as a connection error of type
		// H3_FRAME_UNEXPECTED."
		// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.3-5
		//
		// "If an endpoint receives a SETTINGS frame on a different stream, the endpoint MUST respond with a connection error of
		// type H3_FRAME_UNEXPECTED."
		// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.4-3
		//
		// "A client MUST treat a GOAWAY frame on a stream other than the control stream as a connection error of type
		// H3_FRAME_UNEXPECTED."
		// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.6-5
		//
		// "Receipt of a MAX_PUSH_ID frame on any other stream MUST be treated as a connection error of type H3_FRAME_UNEXPECTED."
		// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.7-2
		//
		// "Receiving a PRIORITY_UPDATE frame on a stream other than the client control stream MUST be treated as a connection error
		// of type H3_FRAME_UNEXPECTED."
		// https://www.rfc-editor.org/rfc/rfc9218#section-7.2-2
		return s.c.fail(unexpected(h, s.qs))
	}
	if h.Type == frame.Data {
		s.c.logData(frameParsed, s.qs.ID(), 0)
	} else {
		s.c.logUnknownFrame(s.qs.ID(), h)
	}
	if err := s.c.countJunk(); err != nil {
		return s.c.fail(err)
	}
	return s.consume(uint64(n) + h.Length)
}

// consume discards the next n bytes of the stream. What a deadline prevents is done before the next read.
func (s *messageStream) consume(n uint64) error {
	s.drop += n
	return s.discardDropped()
}

// discardDropped discards the bytes that drop counts.
func (s *messageStream) discardDropped() error {
	for s.drop > 0 {
		n, err := s.qs.Discard(int(min(s.drop, 1<<30)))
		if s.drop -= uint64(n); s.drop == 0 {
			break
		}
		if err == io.EOF {
			return s.c.fail(truncated(s.qs))
		} else if err != nil {
			return s.c.closeError(err)
		}
	}
	return nil
}

// checkOrder checks that a HEADERS or DATA frame may come now.
//
// "Receipt of an invalid sequence of frames MUST be treated as a connection error of type H3_FRAME_UNEXPECTED. In particular, a
// DATA frame before any HEADERS frame, or a HEADERS or DATA frame after the trailing HEADERS frame, is considered invalid."
// https://www.rfc-editor.org/rfc/rfc9114#section-4.1-7
func (s *messageStream) checkOrder(h frame.Header) error {
	// "Once the CONNECT method has completed, only DATA frames are permitted to be sent on the stream. [...] Receipt of any other
	// known frame type MUST be treated as a connection error of type H3_FRAME_UNEXPECTED."
	// https://www.rfc-editor.org/rfc/rfc9114#section-4.4-8
	if s.phase == inBody && (h.Type == frame.Data || !s.isTunnel) || s.phase == beforeHeaders && h.Type == frame.Headers {
		return nil
	}
	return s.c.fail(unexpected(h, s.qs))
}

func unexpected(h frame.Header, qs *quic.Stream) *Error {
	return connErrorf(ErrCodeFrameUnexpected, "a frame of type %#x is not permitted now on stream %d", h.Type, qs.ID())
}

// truncated returns the error for a stream that ends within a frame.
//
// "When a stream terminates cleanly, if the last frame on the stream was truncated, this MUST be treated as a connection error
// of type H3_FRAME_ERROR."
// https://www.rfc-editor.org/rfc/rfc9114#section-7.1-6
func truncated(qs *quic.Stream) *Error {
	return connErrorf(ErrCodeFrameError, "stream %d ends within a frame", qs.ID())
}

// readHeader reads the next HEADERS frame into sec. deadline is that of the reader, and is only used while the section waits for
// the dynamic table. If the stream ends before, the error is io.EOF.
func (s *messageStream) readHeader(sec *section, deadline time.Time) error {
	h, err := s.nextFrame()
	if err != nil {
		return err
	}
	if err := s.checkOrder(h); err != nil {
		return err
	}
	return s.decodeHeader(h, sec, deadline)
}

// decodeHeader decodes the HEADERS frame that nextFrame has found.
func (s *messageStream) decodeHeader(h frame.Header, sec *section, deadline time.Time) error {
	// A field that is sent as it is has no more bytes than its size in the limit, and compression is for shorter ones.
	if h.Length > uint64(s.c.cfg.maxHeader) {
		return errHeaderTooLarge
	}
	n := int(h.Length)
	if len(s.view) == n {
		err := s.decodeSection(s.view, sec, deadline)
		size, behind := uint64(s.skip)+h.Length, s.view[n:cap(s.view)] // the capacity ends with what Peek has returned
		s.skip, s.view = 0, nil
		switch {
		case err != nil:
		case len(behind) > 0: // what follows is used without another Peek, and the section is consumed with it
			s.drop += size
			s.view = behind
		default:
			err = withoutTimeout(s.consume(size))
		}
		return err
	}
	if err := s.dropHeader(); err != nil {
		return err
	}
	buf, err := s.readSection(n)
	defer putBuffer(buf)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return s.c.fail(truncated(s.qs))
	} else if err != nil {
		return s.c.closeError(err)
	}
	return s.decodeSection((*buf)[:n], sec, deadline)
}

// decodeSection decodes a field section of the stream into sec, and logs it.
func (s *messageStream) decodeSection(b []byte, sec *section, deadline time.Time) error {
	if !s.c.qc.LogsEvents() {
		return s.c.decodeSection(s.w, deadline, s.qs.ID(), b, sec.emit)
	}
	var fields []qpack.Field
	err := s.c.decodeSection(s.w, deadline, s.qs.ID(), b, func(f qpack.Field) error {
		fields = append(fields, f)
		return sec.add(f)
	})
	s.c.logHeaders(frameParsed, s.qs.ID(), fields)
	return err
}

// readSection reads a field section of n bytes into a buffer, which is also returned with an error. The buffer grows with what
// arrives: a length that the peer only declares takes no memory.
func (s *messageStream) readSection(n int) (*[]byte, error) {
	buf := getBuffer(bufferSize)
	for read := 0; ; {
		m, err := io.ReadFull(s.qs, (*buf)[read:min(n, len(*buf))])
		if read += m; err != nil || read == n {
			return buf, err
		}
		grown := make([]byte, min(n, 2*len(*buf)))
		copy(grown, *buf)
		putBuffer(buf)
		buf = &grown
	}
}

// startBody says that the header section was the last one before the content, which has the declared length, or any if it is -1.
func (s *messageStream) startBody(declared int64) { s.phase, s.declared = inBody, declared }

// atEnd reports whether the peer's direction has ended, without waiting. The end is then consumed.
func (s *messageStream) atEnd() bool {
	if s.skip == 0 && len(s.view) > 0 {
		return false
	}
	b, err := s.qs.Peek(0)
	return len(b) == 0 && err == io.EOF
}

// nextData finds the next DATA frame, which is not empty. At the end of the message it returns io.EOF; the trailers are then
// in trailer.
func (s *messageStream) nextData() error {
	for {
		h, err := s.nextFrame()
		if err == io.EOF {
			return s.endOfBody()
		} else if err != nil {
			return err
		}
		if err := s.checkOrder(h); err != nil {
			return err
		}
		if h.Type == frame.Data {
			s.left = h.Length
			s.c.logData(frameParsed, s.qs.ID(), h.Length)
			if s.declared >= 0 && h.Length > uint64(s.declared-s.received) {
				return s.wrongLength()
			}
			return nil
		}
		if err := s.readTrailers(h); err != nil {
			s.readErr = err // also if a deadline has passed: part of the section is gone
			return err
		}
	}
}

// readTrailers decodes the HEADERS frame with the trailers.
func (s *messageStream) readTrailers(h frame.Header) error {
	sec := newSection(trailers, s.c.cfg.maxHeader)
	defer sec.free()
	err := s.decodeHeader(h, sec, s.w.trailerDeadline())
	if errors.Is(err, errHeaderTooLarge) {
		err = streamErrorf(ErrCodeExcessiveLoad, "the trailer section is larger than %d bytes", s.c.cfg.maxHeader)
	}
	if err == nil {
		s.phase = afterTrailers
		mergeTrailers(&s.trailer, sec)
	}
	return err
}

// wrongLength returns the error for a body that does not have the declared length.
//
// "A request or response that is defined as having content when it contains a Content-Length header field (Section 8.6 of
// [HTTP]) is malformed if the value of the Content-Length header field does not equal the sum of the DATA frame lengths
// received."
// https://www.rfc-editor.org/rfc/rfc9114#section-4.1.2-3
func (s *messageStream) wrongLength() error {
	return malformed("the content does not have the %d bytes of Content-Length", s.declared)
}

// endOfBody returns io.EOF if the body is complete.
func (s *messageStream) endOfBody() error {
	if s.declared >= 0 && s.received != s.declared {
		return s.wrongLength()
	}
	return io.EOF
}

// Read reads content.
func (s *messageStream) Read(p []byte) (int, error) {
	if s.readErr != nil {
		return 0, s.readErr
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := s.read(p)
	if err != nil {
		err = s.endRead(err)
	}
	return n, err
}

// endRead notes an error that further reads return too, unless it is that of a deadline.
func (s *messageStream) endRead(err error) error {
	if !isTimeout(err) {
		s.readErr = err
	}
	return err
}

func (s *messageStream) read(p []byte) (n int, err error) {
	if s.left == 0 {
		if err := s.nextData(); err != nil {
			return 0, err
		}
	}
	if uint64(len(p)) > s.left {
		p = p[:s.left]
	}
	if s.skip > 0 {
		if n = copy(p, s.view); n > 0 {
			// The header and the content go in one step.
			err = withoutTimeout(s.consume(uint64(s.skip) + uint64(n)))
			s.skip, s.view = 0, nil
			s.consumed(n)
			return n, err
		}
		if err := s.dropHeader(); err != nil {
			return 0, err
		}
	}
	if err := s.discardDropped(); err != nil {
		return 0, err
	}
	n, err = s.qs.Read(p)
	s.consumed(n)
	if err != nil {
		return n, s.bodyError(err)
	}
	return n, nil
}

// dropHeader consumes the header of the DATA frame.
func (s *messageStream) dropHeader() error {
	n := s.skip
	s.skip, s.view = 0, nil
	return s.consume(uint64(n))
}

// withoutTimeout returns nil for the error of a deadline: what it concerns is done before the next read.
func withoutTimeout(err error) error {
	if isTimeout(err) {
		return nil
	}
	return err
}

// consumed notes that n bytes of the DATA frame were consumed.
func (s *messageStream) consumed(n int) {
	s.left -= uint64(n)
	s.received += int64(n)
}

// bodyError converts an error of the stream within a DATA frame.
func (s *messageStream) bodyError(err error) error {
	if err == io.EOF {
		return s.c.fail(truncated(s.qs))
	}
	return s.c.closeError(err)
}

// WriteTo writes the content to w without copying it in between.
func (s *messageStream) WriteTo(w io.Writer) (written int64, err error) {
	for s.readErr == nil {
		n, err := s.writePiece(w)
		written += n
		if err != nil {
			return written, err
		}
	}
	if s.readErr != io.EOF {
		err = s.readErr
	}
	return written, err
}

// writePiece writes what has arrived of a DATA frame to w. It notes an error of the stream in readErr, and returns others.
func (s *messageStream) writePiece(w io.Writer) (int64, error) {
	if s.left == 0 {
		if err := s.nextData(); err != nil {
			return 0, s.keepTimeout(err)
		}
	}
	if s.skip > 0 {
		if err := s.dropHeader(); err != nil {
			return 0, s.keepTimeout(err)
		}
	}
	if err := s.discardDropped(); err != nil {
		return 0, s.keepTimeout(err)
	}
	b, err := s.qs.Peek(1)
	if len(b) == 0 {
		return 0, s.keepTimeout(s.bodyError(err))
	}
	if uint64(len(b)) > s.left {
		b = b[:s.left]
	}
	n, err := w.Write(b)
	if n < 0 || n > len(b) {
		n, err = 0, errors.New("http3: Write returned an impossible number of bytes")
	} else if n < len(b) && err == nil {
		err = io.ErrShortWrite
	}
	if n > 0 {
		s.consumed(n)
		if consumeErr := withoutTimeout(s.consume(uint64(n))); err == nil {
			err = consumeErr
		}
	}
	return int64(n), err
}

// keepTimeout notes err in readErr and returns nil, or returns the error of a deadline.
func (s *messageStream) keepTimeout(err error) error {
	if isTimeout(err) {
		return err
	}
	s.readErr = err
	return nil
}

func isTimeout(err error) bool {
	if err == nil || err == io.EOF { // the most frequent ones, without an allocation
		return false
	}
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout() && !errors.Is(err, net.ErrClosed)
}

// abort resets both directions with a code, and tells the peer's encoder.
func (s *messageStream) abort(code ErrorCode) {
	_ = s.qs.Reset(uint64(code)) // fails only if the connection has ended
	s.stopReading(code)
}

// stopReading aborts the receiving direction.
func (s *messageStream) stopReading(code ErrorCode) {
	_ = s.qs.StopSending(uint64(code)) // fails only if the connection has ended
	s.c.cancelSection(s.qs.ID())
}

// abortMalformed resets the stream if err is the error of a malformed message.
func (s *messageStream) abortMalformed(err error) {
	var e *Error
	if errors.As(err, &e) && e.Stream && !e.Remote {
		s.abort(e.Code)
	}
}

// buffers are for what is not seen outside this package.
var buffers = sync.Pool{New: func() any { return new(make([]byte, bufferSize)) }}

// bufferSize is the size of pooled buffers: room for the head of a message and bodyBuffer bytes of its content.
const bufferSize = headRoom + bodyBuffer

// getBuffer returns a buffer of at least n bytes.
func getBuffer(n int) *[]byte {
	if n > bufferSize {
		return new(make([]byte, n))
	}
	return buffers.Get().(*[]byte)
}

// putBuffer returns a buffer to the pool. Large ones are left to the garbage collector.
func putBuffer(b *[]byte) {
	if cap(*b) == bufferSize {
		buffers.Put(b)
	}
}
