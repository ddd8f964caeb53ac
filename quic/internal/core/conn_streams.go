package core

import (
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/streams"
)

// The application's calls. They return the errors of package streams, or the reason why the
// connection is over.

// OpenStream opens a stream; streams.ErrLimit if the peer does not allow one more now.
func (c *Conn) OpenStream(now monotime.Time, uni bool) (streams.ID, error) {
	if err := c.usable(now); err != nil {
		return 0, err
	}
	return c.streams.Open(uni)
}

// StreamLimit returns how many streams of a type the peer has allowed over the life of the connection.
func (c *Conn) StreamLimit(uni bool) int64 { return c.streams.Limit(uni) }

// AcceptStream returns the next stream that the peer opened.
func (c *Conn) AcceptStream(uni bool) (streams.ID, bool) { return c.streams.Accept(uni) }

// Read reads from a stream. What had arrived when the peer's application closed the connection can
// still be read, and then comes the reason.
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

// Write writes to a stream as much as its buffer takes.
func (c *Conn) Write(now monotime.Time, id streams.ID, p []byte) (int, error) {
	if err := c.usable(now); err != nil {
		return 0, err
	}
	return c.streams.Write(id, p)
}

// CloseWrite ends the sending half of a stream after what was written.
func (c *Conn) CloseWrite(now monotime.Time, id streams.ID) error {
	if err := c.usable(now); err != nil {
		return err
	}
	return c.streams.CloseWrite(id)
}

// ResetStream abandons the sending half of a stream.
func (c *Conn) ResetStream(now monotime.Time, id streams.ID, code uint64) error {
	if err := c.usable(now); err != nil {
		return err
	}
	return c.streams.Reset(id, code)
}

// StopSending asks the peer to abandon its sending half.
func (c *Conn) StopSending(now monotime.Time, id streams.ID, code uint64) error {
	if err := c.usable(now); err != nil {
		return err
	}
	return c.streams.StopSending(id, code)
}

// Flushed reports whether all that was written has been acknowledged.
func (c *Conn) Flushed() bool { return c.streams.Flushed() }

func (c *Conn) usable(now monotime.Time) error {
	c.clamp(now)
	switch {
	case c.closing.state != stateOpen:
		return c.closing.err
	case !c.tls.complete:
		return ErrHandshake
	}
	return nil
}
