package core

import (
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/streams"
)

// The application's calls. They return the errors of package streams, or the error that ended the
// connection.

// OpenStream opens a stream. It returns streams.ErrLimit if the peer's stream limit is reached.
func (c *Conn) OpenStream(now monotime.Time, uni bool) (streams.ID, error) {
	if err := c.usable(now); err != nil {
		return 0, err
	}
	return c.streams.Open(uni)
}

// Announce tells the peer of a bidirectional stream: see streams.Set.Announce.
func (c *Conn) Announce(now monotime.Time, id streams.ID) error {
	if err := c.usable(now); err != nil {
		return err
	}
	return c.streams.Announce(id)
}

// StreamLimit returns how many streams of a type the peer has allowed in total since the connection began.
func (c *Conn) StreamLimit(uni bool) int64 { return c.streams.Limit(uni) }

// AcceptStream returns the next stream that the peer opened.
func (c *Conn) AcceptStream(uni bool) (streams.ID, bool) { return c.streams.Accept(uni) }

// Read reads from a stream. After the peer's application has closed the connection, Read returns the data
// that had arrived before, and then the connection's error.
func (c *Conn) Read(now monotime.Time, id streams.ID, p []byte) (int, error) {
	c.clamp(now)
	if c.closing.state == stateOpen {
		return c.streams.Read(c.now, c.rtt(), id, p)
	}
	if c.closing.readable {
		if n, err := c.streams.Read(c.now, c.rtt(), id, p); n > 0 || err != streams.ErrBlocked {
			return n, err
		}
	}
	return 0, c.closing.err
}

// Peek returns at least n bytes of a stream without consuming them, like streams.Set.Peek. After the peer's
// application has closed the connection, it returns the data that had arrived before, and then the
// connection's error.
func (c *Conn) Peek(id streams.ID, n int) ([]byte, error) {
	if c.closing.state == stateOpen {
		return c.streams.Peek(id, n)
	}
	if c.closing.readable {
		b, err := c.streams.Peek(id, n)
		if err != streams.ErrBlocked {
			return b, err
		}
		return b, c.closing.err
	}
	return nil, c.closing.err
}

// PeekBehind returns unread bytes behind the next skip ones: see streams.Set.PeekBehind.
func (c *Conn) PeekBehind(id streams.ID, skip int) []byte { return c.streams.PeekBehind(id, skip) }

// MaxPeek returns the maximum number of bytes for Peek.
func (c *Conn) MaxPeek() int { return c.streams.MaxPeek() }

// Discard is like Read, but does not copy the data.
func (c *Conn) Discard(now monotime.Time, id streams.ID, n int64) (int64, error) {
	c.clamp(now)
	if c.closing.state == stateOpen {
		return c.streams.Discard(c.now, c.rtt(), id, n)
	}
	if c.closing.readable {
		if n, err := c.streams.Discard(c.now, c.rtt(), id, n); n > 0 || err != streams.ErrBlocked {
			return n, err
		}
	}
	return 0, c.closing.err
}

// Write writes as much of p to a stream as its buffer holds.
func (c *Conn) Write(now monotime.Time, id streams.ID, p []byte) (int, error) {
	if err := c.usable(now); err != nil {
		return 0, err
	}
	return c.streams.Write(id, p)
}

// WriteChunk writes a chunk to a stream if its buffer has room for all of it: see streams.Set.WriteChunk.
func (c *Conn) WriteChunk(now monotime.Time, id streams.ID, chunk *streams.Chunk, n int) error {
	if err := c.usable(now); err != nil {
		return err
	}
	return c.streams.WriteChunk(id, chunk, n)
}

// Lend writes as much of a loan to a stream as its buffer holds: see streams.Set.Lend.
func (c *Conn) Lend(now monotime.Time, id streams.ID, l *streams.Loan) (int, error) {
	if err := c.usable(now); err != nil {
		return 0, err
	}
	return c.streams.Lend(id, l)
}

// EndLoan is called when no more of a loan will be written, also after the connection has ended.
func (c *Conn) EndLoan(l *streams.Loan) { c.streams.EndLoan(l) }

// PollReturned returns the loans that were returned. Driving a connection polls it together with the events.
func (c *Conn) PollReturned() *streams.Loan { return c.streams.PollReturned() }

// CloseWrite ends the sending part of a stream after the data written so far.
func (c *Conn) CloseWrite(now monotime.Time, id streams.ID) error {
	if err := c.usable(now); err != nil {
		return err
	}
	return c.streams.CloseWrite(id)
}

// ResetStream abandons the sending part of a stream.
func (c *Conn) ResetStream(now monotime.Time, id streams.ID, code uint64) error {
	if err := c.usable(now); err != nil {
		return err
	}
	return c.streams.Reset(id, code)
}

// ResetStreamAt is like ResetStream, but the first size bytes are delivered.
func (c *Conn) ResetStreamAt(now monotime.Time, id streams.ID, code uint64, size int64) error {
	if err := c.usable(now); err != nil {
		return err
	}
	if !c.tls.complete {
		return streams.ErrResetAtUnsupported // for early data, whose server may reject them and not support it then
	}
	return c.streams.ResetAt(id, code, size)
}

// SetStreamPriority sets the priority of a stream's data: see package streams.
func (c *Conn) SetStreamPriority(id streams.ID, urgency uint8, incremental bool) {
	if c.closing.state == stateOpen {
		c.streams.SetPriority(id, urgency, incremental)
	}
}

// PeerAcceptsResetAt reports whether the peer accepts RESET_STREAM_AT frames.
func (c *Conn) PeerAcceptsResetAt() bool { return c.streams.PeerAcceptsResetAt() }

// StopSending asks the peer to stop sending on a stream. After the peer's application has closed the
// connection, it drops the data that could still be read.
func (c *Conn) StopSending(now monotime.Time, id streams.ID, code uint64) error {
	if err := c.usable(now); err != nil && !c.closing.readable {
		return err
	}
	return c.streams.StopSending(id, code)
}

// Flushed reports whether all data that was written has been acknowledged and no datagram waits to be sent.
func (c *Conn) Flushed() bool { return c.streams.Flushed() && !c.hasDatagrams() }

func (c *Conn) usable(now monotime.Time) error {
	c.clamp(now)
	switch {
	case c.closing.state != stateOpen:
		return c.closing.err
	case !c.tls.complete && !c.isEarly():
		return ErrHandshake
	}
	return nil
}
