package quic

import (
	"context"
	"io"
	"net"
	"sync"
	"time"
)

// A Stream is a bidirectional stream: an ordered, reliable sequence of bytes in each direction. It
// implements net.Conn. One goroutine may read while another writes, and further calls wait for their turn.
// Deadlines and Close end waiting calls.
type Stream struct {
	c    *Conn
	id   StreamID
	send sendSide
	recv recvSide
}

// A side is the state that both directions of a stream have.
type side struct {
	turn sync.Mutex // held by the Read or Write in progress; locked before the connection's mu
	// The connection's mu guards the fields below.
	deadline deadline
	ready    waker // made when a call first waits
	isDone   bool  // the application has finished this direction
	err      error // the error that calls return from then on
}

// copyPiece is the number of bytes that Read and Write copy before they release the connection's mu, so
// that a call with megabytes does not delay the packets, timers and other calls of the connection.
const copyPiece = 64 << 10

type recvSide struct {
	side
	// The connection's mu guards the functions of ReceiveStream.WhenReadable and Stream.WhenReset.
	whenReadable func()
	whenReset    func(error)
}

// ownTrain is the minimum number of bytes for which Write sends a train itself: see Conn.leave.
const ownTrain = 16 << 10

type sendSide struct {
	side
	// wasStopped reports whether the peer has stopped us and the application has not learned of it yet. The
	// connection's mu guards it.
	wasStopped bool
	// ctx and cancel are created by the first call of Context.
	ctx    context.Context
	cancel context.CancelCauseFunc
	// The connection's mu guards the function of SendStream.WhenStopped.
	whenStopped func(error)
}

// finish ends the sending direction and its context. The connection's mu is held.
func (d *sendSide) finish(err error) {
	d.side.finish(err)
	if d.cancel != nil {
		d.cancel(d.err)
	}
}

// finish ends a direction for the application. The connection's mu is held.
func (d *side) finish(err error) {
	d.deadline.stop()
	d.isDone = true
	if d.err == nil {
		d.err = err
	}
}

// enter prepares to wait for a token, after which the caller checks everything again: also the deadline, and the connection. The
// connection's mu is held.
func (d *side) enter() waker {
	if d.ready == nil {
		d.ready = make(waker, 1)
	}
	return d.ready
}

// ID returns the stream's number in its connection.
func (s *Stream) ID() StreamID { return s.id }

// Conn returns the connection of the stream.
func (s *Stream) Conn() *Conn { return s.c }

// Close ends both directions, like Close of a net.Conn. Data that was written is still delivered, followed
// by the end of the stream. A peer that is still sending is asked to stop, with code 0. Close does not
// wait. To end only the sending direction, use CloseWrite.
func (s *Stream) Close() error {
	err := s.CloseWrite()
	s.closeRead(ErrReadClosed, 0)
	return err
}

// SetDeadline sets the read and write deadlines. Calls after a deadline fail with an error that wraps
// os.ErrDeadlineExceeded. The zero time means no deadline.
func (s *Stream) SetDeadline(t time.Time) error {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.recv.deadline.set(t, &s.c.mu, &s.recv.ready)
	s.send.deadline.set(t, &s.c.mu, &s.send.ready)
	return nil
}

// LocalAddr returns the connection's local address.
func (s *Stream) LocalAddr() net.Addr { return s.c.LocalAddr() }

// RemoteAddr returns the peer's address.
func (s *Stream) RemoteAddr() net.Addr { return s.c.RemoteAddr() }

// Context returns the context of the sending direction. It is canceled when no more data can be written:
// when the peer asks us to stop (as its Close and StopSending do), after Close, CloseWrite or Reset, and
// when the connection ends. context.Cause returns the error that Write returns from then on. A server's
// handler can pass the context to the functions that produce the reply. The receiving direction does not
// affect it: if the peer resets its sending direction, Read returns the error.
func (s *Stream) Context() context.Context {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	d := &s.send
	if d.ctx == nil {
		d.ctx, d.cancel = context.WithCancelCause(s.c.context())
		if d.isDone {
			d.cancel(d.err)
		}
	}
	return d.ctx
}

// A SendStream is a stream on which only this side sends.
type SendStream struct{ s *Stream }

// ID returns the stream's number in its connection.
func (s *SendStream) ID() StreamID { return s.s.id }

// Conn returns the connection of the stream.
func (s *SendStream) Conn() *Conn { return s.s.c }

// Context is like Stream.Context.
func (s *SendStream) Context() context.Context { return s.s.Context() }

// Write is like Stream.Write.
func (s *SendStream) Write(p []byte) (int, error) { return s.s.Write(p) }

// TryWrite is like Stream.TryWrite.
func (s *SendStream) TryWrite(p []byte) (int, error) { return s.s.TryWrite(p) }

// WriteNoCopy is like Stream.WriteNoCopy.
func (s *SendStream) WriteNoCopy(p []byte, release func(p []byte)) (int, error) {
	return s.s.WriteNoCopy(p, release)
}

// ReadFrom is like Stream.ReadFrom.
func (s *SendStream) ReadFrom(r io.Reader) (int64, error) { return s.s.ReadFrom(r) }

// Close ends the stream after what was written. It does not wait.
func (s *SendStream) Close() error { return s.s.CloseWrite() }

// Reset is like Stream.Reset.
func (s *SendStream) Reset(code uint64) error { return s.s.Reset(code) }

// ResetAt is like Stream.ResetAt.
func (s *SendStream) ResetAt(code uint64, size int64) error { return s.s.ResetAt(code, size) }

// SetPriority is like Stream.SetPriority.
func (s *SendStream) SetPriority(urgency int, incremental bool) {
	s.s.SetPriority(urgency, incremental)
}

// SetWriteDeadline is like Stream.SetWriteDeadline.
func (s *SendStream) SetWriteDeadline(t time.Time) error { return s.s.SetWriteDeadline(t) }

// A ReceiveStream is a stream on which only the peer sends.
type ReceiveStream struct{ s *Stream }

// ID returns the stream's number in its connection.
func (s *ReceiveStream) ID() StreamID { return s.s.id }

// Conn returns the connection of the stream.
func (s *ReceiveStream) Conn() *Conn { return s.s.c }

// Read is like Stream.Read.
func (s *ReceiveStream) Read(p []byte) (int, error) { return s.s.Read(p) }

// Peek is like Stream.Peek.
func (s *ReceiveStream) Peek(n int) ([]byte, error) { return s.s.Peek(n) }

// Discard is like Stream.Discard.
func (s *ReceiveStream) Discard(n int) (int, error) { return s.s.Discard(n) }

// WriteTo is like Stream.WriteTo.
func (s *ReceiveStream) WriteTo(w io.Writer) (int64, error) { return s.s.WriteTo(w) }

// Close asks a peer that is still sending to stop, with code 0.
func (s *ReceiveStream) Close() error { return s.s.closeRead(ErrReadClosed, 0) }

// StopSending is like Stream.StopSending.
func (s *ReceiveStream) StopSending(code uint64) error { return s.s.StopSending(code) }

// SetReadDeadline is like Stream.SetReadDeadline.
func (s *ReceiveStream) SetReadDeadline(t time.Time) error { return s.s.SetReadDeadline(t) }
