package http3

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/pqquic/pqquic/http3/internal/frame"
	"github.com/pqquic/pqquic/quic"
)

// errStreamEnded is the error of calls on a RequestStream after its end.
var errStreamEnded = fmt.Errorf("http3: the request has ended: %w", net.ErrClosed)

// A RequestStream is the stream of a request after its header sections, mostly of a CONNECT. What is written and read are the
// payloads of DATA frames. WebTransport and MASQUE can be built on it. On a server, it comes from HTTPStreamer.
//
// One goroutine may read while another writes.
type RequestStream struct {
	s  *messageStream
	wm sync.Mutex // held by Write
}

// StreamID returns the stream's number in its connection.
func (r *RequestStream) StreamID() quic.StreamID { return r.s.qs.ID() }

// Conn returns the QUIC connection.
func (r *RequestStream) Conn() *quic.Conn { return r.s.c.qc }

// Context ends with the sending direction: see quic.Stream.Context.
func (r *RequestStream) Context() context.Context { return r.s.qs.Context() }

// Read reads the payload of DATA frames. At the end of the peer's direction it returns io.EOF.
func (r *RequestStream) Read(p []byte) (int, error) {
	n, err := r.s.Read(p)
	if err == io.EOF {
		r.s.c.endDatagrams(r.s.qs.ID())
	} else {
		r.s.abortMalformed(err)
	}
	return n, err
}

// Write writes p as one DATA frame. If it fails, part of the frame may have been written, and the stream must be reset.
func (r *RequestStream) Write(p []byte) (int, error) {
	r.wm.Lock()
	defer r.wm.Unlock()
	if len(p) == 0 {
		return 0, nil
	}
	r.s.c.logData(frameCreated, r.s.qs.ID(), uint64(len(p)))
	if len(p) <= bodyBuffer { // the header and the payload are one write
		buf := getBuffer(bufferSize)
		defer putBuffer(buf)
		b := frame.AppendHeader((*buf)[:0], frame.Data, uint64(len(p)))
		header := len(b)
		n, err := r.s.qs.Write(append(b, p...))
		return max(n-header, 0), r.writeError(err)
	}
	if _, err := r.s.qs.Write(frame.AppendHeader(nil, frame.Data, uint64(len(p)))); err != nil {
		return 0, r.writeError(err)
	}
	n, err := r.s.qs.Write(p)
	return n, r.writeError(err)
}

// WriteCapsule writes a capsule (RFC 9297, 3.2) as one DATA frame. CapsuleReader reads them.
func (r *RequestStream) WriteCapsule(typ uint64, value []byte) error {
	r.s.c.logCapsule("http:capsule_created", r.s.qs.ID(), typ, uint64(len(value)))
	_, err := r.Write(AppendCapsule(make([]byte, 0, frame.MaxHeader+len(value)), typ, value))
	return err
}

// logParsed logs a capsule that a CapsuleReader has found.
func (r *RequestStream) logParsed(typ, length uint64) {
	r.s.c.logCapsule("http:capsule_parsed", r.s.qs.ID(), typ, length)
}

func (r *RequestStream) writeError(err error) error {
	if err == nil {
		return nil
	}
	return r.s.c.closeError(err)
}

// CloseWrite ends the sending direction. The peer reads io.EOF.
func (r *RequestStream) CloseWrite() error { return r.s.qs.CloseWrite() }

// Close ends the sending direction, and asks a peer that is still sending to stop, with H3_NO_ERROR.
func (r *RequestStream) Close() error {
	err := r.s.qs.CloseWrite()
	r.StopSending(ErrCodeNoError)
	r.s.c.closeDatagrams(r.s.qs.ID())
	return err
}

// Reset aborts the sending direction with a code.
func (r *RequestStream) Reset(code ErrorCode) error { return r.s.qs.Reset(uint64(code)) }

// StopSending asks the peer to stop sending, with a code. After io.EOF, it does nothing.
func (r *RequestStream) StopSending(code ErrorCode) {
	_ = r.s.qs.StopSending(uint64(code)) // fails only for codes that do not exist
	r.s.c.endDatagrams(r.s.qs.ID())
	r.s.c.cancelSection(r.s.qs.ID())
}

// SetDeadline sets the deadlines of Read and Write.
func (r *RequestStream) SetDeadline(t time.Time) error { return r.s.qs.SetDeadline(t) }

// SetReadDeadline sets the deadline of Read.
func (r *RequestStream) SetReadDeadline(t time.Time) error { return r.s.qs.SetReadDeadline(t) }

// SetWriteDeadline sets the deadline of Write.
func (r *RequestStream) SetWriteDeadline(t time.Time) error { return r.s.qs.SetWriteDeadline(t) }

// SetPriority sets the priority of what this side sends.
func (r *RequestStream) SetPriority(p Priority) { r.s.qs.SetPriority(p.Urgency, p.Incremental) }

// SendDatagram sends an HTTP datagram (RFC 9297). It does not wait. The errors are ErrDatagramsUnsupported and those of
// quic.Conn.SendDatagram.
func (r *RequestStream) SendDatagram(p []byte) error {
	// "HTTP/3 Datagrams MUST NOT be sent unless the corresponding stream's send side is open."
	// https://www.rfc-editor.org/rfc/rfc9297#section-2.1-5
	if r.s.qs.Context().Err() != nil {
		return errStreamEnded
	}
	return r.s.c.sendDatagram(r.s.qs.ID(), p)
}

// ReceiveDatagram waits for an HTTP datagram. At most 32 wait for a stream; further ones replace the oldest. After Read has returned
// io.EOF, or StopSending, no further ones are accepted.
func (r *RequestStream) ReceiveDatagram(ctx context.Context) ([]byte, error) {
	return r.s.c.receiveDatagram(ctx, r.s.qs.ID())
}

// Settings returns the peer's settings, and waits for them if they have not arrived.
func (r *RequestStream) Settings(ctx context.Context) (*Settings, error) {
	return r.s.c.publicSettings(ctx)
}
