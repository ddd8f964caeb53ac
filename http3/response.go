package http3

import (
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/pqquic/pqquic/http3/internal/frame"
)

// A response is the ResponseWriter of a request.
//
// The content is collected in a pooled buffer with room in front of it. If the handler returns before the buffer is full, HEADERS,
// DATA and the end of the stream are one write. Otherwise the head is sent with what was collected, and from then on each full
// buffer, or large Write, is a DATA frame. If the length is declared, there is only one DATA frame, which begins with the head.
type response struct {
	x      *exchange
	header http.Header

	status      int
	wroteHeader bool
	isHead      bool // of a HEAD request: no content is sent
	isSent      bool // the head was sent
	isRaw       bool // the header of a DATA frame for all content was sent
	isDone      bool // the handler has returned, or the stream was taken over
	isHijacked  bool

	// fields is the header as it was when WriteHeader was called, until it is sent. What it has and lacks:
	fields                        *fieldList
	hasType, hasDate, hasEncoding bool
	trailers                      []string // declared names
	declared                      int64    // Content-Length, or -1
	written                       int64
	buf                           *[]byte // nil if nothing is collected
	n                             int     // bytes of content in buf, from headRoom on
	err                           error   // of the stream; from then on nothing is sent
}

const (
	// headRoom is the room for the head in front of the content in a buffer. Larger heads are sent on their own.
	headRoom = 512
	// bodyBuffer is the amount of content that is collected before it is sent.
	bodyBuffer = 4096
)

// Header returns the header that WriteHeader sends, and in which the handler sets trailers afterwards.
func (w *response) Header() http.Header {
	if w.header == nil {
		w.header = make(http.Header, 8)
	}
	return w.header
}

// WriteHeader sends an interim response, or prepares the header of the final one.
func (w *response) WriteHeader(status int) {
	switch {
	case w.isDone:
		w.x.logf("http3: WriteHeader after the handler has returned or has taken over the stream")
		return
	case w.wroteHeader:
		w.x.logf("http3: superfluous call of WriteHeader")
		return
	case status < 100 || status > 999:
		panic(fmt.Sprintf("http3: invalid WriteHeader code %d", status))
	case status == http.StatusSwitchingProtocols:
		// "HTTP/3 does not support the HTTP Upgrade mechanism (Section 7.8 of [HTTP]) or the 101 (Switching Protocols)
		// informational status code"
		// https://www.rfc-editor.org/rfc/rfc9114#section-4.5-1
		panic("http3: WriteHeader with status 101, which HTTP/3 does not have")
	case status < 200:
		w.writeInterim(status)
		return
	}
	w.wroteHeader, w.status, w.declared = true, status, -1
	w.x.skipContinue()
	w.fields = newFieldList()
	w.fields.add(":status", statusText(status))
	for key, values := range w.header {
		w.snapshot(key, values)
	}
}

// snapshot adds a field of the header to fields, and notes those that matter for others.
func (w *response) snapshot(key string, values []string) {
	switch key {
	case "Content-Length":
		if !bodyAllowed(w.status) && w.status != http.StatusNotModified || len(values) == 0 {
			return
		}
		n, err := strconv.ParseUint(values[0], 10, 63)
		if err != nil {
			return // as in net/http, an invalid value is not sent
		}
		w.declared = int64(n)
		w.fields.add("content-length", values[0])
		return
	case "Content-Type":
		w.hasType = true
	case "Date":
		w.hasDate = true
	case "Content-Encoding":
		w.hasEncoding = len(values) > 0 && values[0] != ""
	case "Trailer":
		tokens(values, w.declareTrailer)
	case "Priority":
		w.x.mergePriority(values)
	}
	if !isConnectionSpecific(key) && !strings.HasPrefix(key, http.TrailerPrefix) {
		w.fields.addValues(key, values)
	}
}

// declareTrailer notes a name of the field Trailer.
func (w *response) declareTrailer(name string) {
	if name = textproto.CanonicalMIMEHeaderKey(name); httpguts.ValidTrailerHeader(name) {
		w.trailers = append(w.trailers, name)
	}
}

// writeInterim sends a response with a 1xx status.
func (w *response) writeInterim(status int) {
	if status == http.StatusContinue {
		w.x.skipContinue()
	}
	l := newFieldList()
	defer l.free()
	l.add(":status", strconv.Itoa(status))
	for key, values := range w.header {
		if key != "Content-Length" && !isConnectionSpecific(key) && !strings.HasPrefix(key, http.TrailerPrefix) {
			l.addValues(key, values)
		}
	}
	b, err := w.appendHeaders(nil, l)
	if err == errTooLargeForClient {
		return // the final response may be smaller
	}
	if err == nil {
		err = w.x.write(b)
	}
	w.fail(err)
}

// errTooLargeForClient is the error of a header or trailer section that the client does not accept.
var errTooLargeForClient error = streamErrorf(ErrCodeInternalError, "the field section is larger than the client accepts")

// appendHeaders appends a HEADERS frame, if the client accepts a section of this size.
//
// "An implementation that has received this parameter SHOULD NOT send an HTTP message header that exceeds the indicated size, as
// the peer will likely refuse to process it."
// https://www.rfc-editor.org/rfc/rfc9114#section-4.2.2-2
func (w *response) appendHeaders(b []byte, l *fieldList) ([]byte, error) {
	limit := w.x.c.settings().MaxFieldSectionSize
	if limit == frame.NoLimit {
		return w.x.c.appendHeaders(b, w.x.qs.ID(), l)
	}
	if size := l.size(); size > limit {
		w.x.logf("http3: a header or trailer section of a response has %d bytes, but the client accepts only %d", size, limit)
		return b, errTooLargeForClient
	}
	return w.x.c.appendHeaders(b, w.x.qs.ID(), l)
}

// fail notes an error of the stream.
func (w *response) fail(err error) error {
	if err != nil && w.err == nil {
		w.err = w.x.c.closeError(err)
	}
	return err
}

// Write adds content.
func (w *response) Write(p []byte) (int, error) { return w.write(p, "") }

// WriteString adds content without converting it to a slice.
func (w *response) WriteString(s string) (int, error) { return w.write(nil, s) }

func (w *response) write(p []byte, s string) (int, error) {
	n := len(p) + len(s)
	if err := w.prepare(n); err != nil {
		return 0, err
	}
	if w.isHead && w.isSent {
		return n, nil
	}
	if w.n+n <= bodyBuffer {
		w.collect(p, s)
		return n, nil
	}
	if p == nil {
		p = []byte(s)
	}
	if w.isHead { // enough to find out the type
		w.collect(p[:min(len(p), bodyBuffer-w.n)], "")
		return n, w.flush(false)
	}
	return n, w.send(p, false)
}

// prepare checks whether n bytes of content may be written.
func (w *response) prepare(n int) error {
	if w.isDone {
		return http.ErrHandlerTimeout
	}
	if !w.wroteHeader {
		w.WriteHeader(http.StatusOK)
	}
	switch {
	case w.err != nil:
		return w.err
	case n == 0:
		return nil
	case !bodyAllowed(w.status):
		return http.ErrBodyNotAllowed
	case w.declared >= 0 && w.written+int64(n) > w.declared:
		return http.ErrContentLength
	}
	w.written += int64(n)
	return nil
}

// collect copies content to the buffer, which has room for it.
func (w *response) collect(p []byte, s string) {
	if len(p)+len(s) == 0 {
		return
	}
	if w.buf == nil {
		w.buf = getBuffer(bufferSize)
	}
	at := (*w.buf)[headRoom+w.n:]
	w.n += copy(at, p) + copy(at, s)
}

// Flush sends what was written so far.
func (w *response) Flush() { _ = w.FlushError() }

// FlushError is Flush with the error of the stream.
func (w *response) FlushError() error {
	if err := w.prepare(0); err != nil {
		return err
	}
	return w.flush(false)
}

// flush sends the head, if it was not sent, and what was collected. isLast means that nothing follows but trailers.
func (w *response) flush(isLast bool) error {
	if w.isSent && w.n == 0 && !isLast {
		return nil
	}
	return w.send(nil, isLast)
}

// send sends the head, if it was not sent, what was collected, and p.
func (w *response) send(p []byte, isLast bool) error {
	if w.err != nil {
		return w.err
	}
	if w.buf == nil {
		w.buf = getBuffer(bufferSize)
	}
	defer w.release()
	buf := *w.buf
	content := buf[headRoom : headRoom+w.n]
	if w.isHead {
		content, p = nil, nil
	}
	var head []byte
	if !w.isSent {
		var err error
		if head, err = w.head(content, p, isLast); err != nil {
			return w.fail(err)
		}
	}
	total := uint64(len(content) + len(p))
	if !w.isRaw && total > 0 {
		if w.declared >= 0 {
			w.isRaw, total = true, uint64(w.declared)
		}
		head = frame.AppendHeader(head, frame.Data, total)
		w.x.c.logData(frameCreated, w.x.qs.ID(), total)
	}
	w.isSent, w.n = true, 0
	if len(head) <= headRoom { // the usual case: all of it is one write
		at := headRoom - len(head)
		copy(buf[at:], head)
		content = buf[at : headRoom+len(content)]
	} else if err := w.x.write(head); err != nil {
		return w.fail(err)
	}
	if isLast {
		return w.sendLast(content)
	}
	if len(content) > 0 {
		if err := w.x.write(content); err != nil {
			return w.fail(err)
		}
	}
	if len(p) > 0 {
		if err := w.x.write(p); err != nil {
			return w.fail(err)
		}
	}
	return nil
}

// release returns the buffer to the pool. A response that waits for its handler holds none.
func (w *response) release() {
	if w.buf != nil {
		putBuffer(w.buf)
		w.buf = nil
	}
}

// head returns the HEADERS frame. content and p are the beginning of the content, and all of it if isLast is set.
func (w *response) head(content, p []byte, isLast bool) ([]byte, error) {
	l := w.fields
	w.fields = nil
	defer l.free()
	allowed := bodyAllowed(w.status)
	size := len(content)
	if w.isHead {
		size, content = w.n, (*w.buf)[headRoom:headRoom+w.n]
	}
	if isLast && w.declared < 0 && allowed && (!w.isHead || size > 0) {
		w.declared = int64(size)
		l.add("content-length", strconv.Itoa(size))
	}
	if !w.hasType && allowed && !w.hasEncoding && size+len(p) > 0 {
		if size < 512 && len(p) > 0 { // what the content type depends on is in both
			content = append(content[:size:size], p[:min(len(p), 512)]...)
		}
		l.add("content-type", http.DetectContentType(content))
	}
	if !w.hasDate {
		l.add("date", dateNow())
	}
	return w.appendHeaders((*w.buf)[:0:headRoom], l)
}

// sendLast sends the last content, the trailers and the end of the stream.
func (w *response) sendLast(content []byte) error {
	b, err := w.appendTrailers(content)
	if err == nil {
		// "After sending a final response, the server MUST close the stream for sending."
		// https://www.rfc-editor.org/rfc/rfc9114#section-4.1-13
		_, err = w.x.qs.WriteEnd(b)
	}
	return w.fail(err)
}

// appendTrailers appends a HEADERS frame with the trailers, if there are any.
func (w *response) appendTrailers(b []byte) ([]byte, error) {
	var l *fieldList
	add := func(name string, values []string) {
		if l == nil {
			l = newFieldList()
		}
		l.addValues(name, values)
	}
	for _, name := range w.trailers {
		if values := w.header[name]; len(values) > 0 {
			add(name, values)
		}
	}
	for key, values := range w.header {
		if name, ok := strings.CutPrefix(key, http.TrailerPrefix); ok && httpguts.ValidTrailerHeader(name) {
			add(name, values)
		}
	}
	if l == nil {
		return b, nil
	}
	defer l.free()
	if len(l.fields) == 0 {
		return b, nil
	}
	return w.appendHeaders(b, l)
}

// finish completes the response after the handler has returned. It reports whether the stream has ended well.
func (w *response) finish() bool {
	if !w.wroteHeader {
		w.WriteHeader(http.StatusOK)
	}
	w.isDone = true
	isShort := w.declared >= 0 && w.written != w.declared && !w.isHead && bodyAllowed(w.status)
	if isShort {
		if w.err == nil {
			w.x.logf("http3: the handler has written %d bytes of a response with Content-Length %d", w.written, w.declared)
		}
		w.release()
		return false
	}
	return w.flush(true) == nil
}

// ReadFrom writes what it reads from r. If the length is declared, it reads into the memory from which packets are built.
func (w *response) ReadFrom(r io.Reader) (written int64, err error) {
	if err := w.prepare(0); err != nil {
		return 0, err
	}
	if w.isHead || !bodyAllowed(w.status) || w.declared < 0 || !w.isRaw && !w.hasType && !w.hasEncoding {
		return w.copyFrom(r)
	}
	if !w.isRaw { // the head, with the header of the DATA frame
		if err := w.startRaw(); err != nil {
			return 0, err
		}
	}
	if err := w.flush(false); err != nil {
		return 0, err
	}
	limited := &io.LimitedReader{R: r, N: w.declared - w.written}
	written, err = w.x.qs.ReadFrom(limited)
	w.written += written
	w.x.sent.Add(written)
	if err != nil {
		return written, err
	}
	if limited.N <= 0 {
		var extra [1]byte
		if n, _ := r.Read(extra[:]); n > 0 {
			return written, http.ErrContentLength
		}
	}
	return written, nil
}

// startRaw sends the head and the header of the DATA frame for all content, of which there is some.
func (w *response) startRaw() error {
	if w.declared == w.written {
		return nil
	}
	if err := w.flush(false); err != nil || w.isRaw {
		return err
	}
	w.isRaw = true
	w.x.c.logData(frameCreated, w.x.qs.ID(), uint64(w.declared))
	return w.fail(w.x.write(frame.AppendHeader(nil, frame.Data, uint64(w.declared))))
}

// copyFrom writes what it reads from r piece by piece.
func (w *response) copyFrom(r io.Reader) (written int64, err error) {
	buf := copyBuffers.Get().(*[copyBuffer]byte)
	defer copyBuffers.Put(buf)
	for {
		n, readErr := r.Read(buf[:])
		if n > 0 {
			m, err := w.Write(buf[:n])
			if written += int64(m); err != nil {
				return written, err
			}
		}
		if readErr == io.EOF {
			return written, nil
		} else if readErr != nil {
			return written, readErr
		}
	}
}

// The methods that http.ResponseController uses.

// SetReadDeadline sets the deadline for reading the request's body.
func (w *response) SetReadDeadline(t time.Time) error { return w.x.qs.SetReadDeadline(t) }

// SetWriteDeadline sets the deadline for writing the response.
func (w *response) SetWriteDeadline(t time.Time) error { return w.x.qs.SetWriteDeadline(t) }

// EnableFullDuplex does nothing: a handler can always read the body after it has begun to write the response.
func (w *response) EnableFullDuplex() error { return nil }
