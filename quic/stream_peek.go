package quic

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/pqquic/pqquic/quic/internal/streams"
)

// Peek waits until the next n bytes of the stream have arrived, and returns them without consuming them. It
// returns more if more are contiguous in memory: Peek(1) waits for data and returns what can be used
// without copying. The first n bytes are copied only if they are not contiguous. Peek(0) does not wait.
//
// The caller may use the bytes until it calls Read, Discard or WriteTo, which Discard usually is, and must
// not change them. They stay as they are if the peer resets the stream, or if the stream or the connection
// is closed. The capacity of the slice is its length, so nothing lies behind them.
//
// If fewer than n bytes are left, Peek returns them with io.EOF, and io.EOF alone at the end of the stream.
// With other errors, which are those of Read, it returns the bytes that have arrived, if they can still be
// read. n can be up to 16 KiB, but at most half of Config.StreamWindow and of Config.ConnWindow, because a
// peer may send no more than a window of bytes that are not consumed. A Peek that waits for many bytes may
// wait for long if the unread data of other streams uses up the connection's window.
func (s *Stream) Peek(n int) ([]byte, error) {
	if n < 0 || n > 1 { // all windows permit 1
		if most := s.c.maxPeek(); n < 0 || n > most {
			return nil, fmt.Errorf("quic: Peek of %d bytes, but at most %d can be peeked: use Read", n, most)
		}
	}
	d := &s.recv
	d.turn.Lock()
	defer d.turn.Unlock()
	return s.peek(0, n, nil)
}

func (c *Conn) maxPeek() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.core.MaxPeek()
}

// A peekBatch has bytes that follow those of a Peek, in order. Together with 16 KiB of the latter they fill
// a copyPiece.
type peekBatch [3][]byte

// peek consumes some bytes that an earlier peek has returned, and then waits like Peek. It also returns
// what follows in batch, if that is not nil. d.turn is held.
func (s *Stream) peek(consume, n int, batch *peekBatch) ([]byte, error) {
	c, d := s.c, &s.recv
	var b []byte
	for {
		c.mu.Lock()
		if consume > 0 {
			// The bytes have arrived, so this fails only if the stream has ended since. tryPeek returns the
			// error.
			_, _ = s.tryDiscard(consume)
			consume = 0
		}
		err := os.ErrDeadlineExceeded
		if !d.deadline.isPassed {
			b, err = s.tryPeek(n)
		}
		if err != nil || len(b) >= n {
			if batch != nil {
				s.fillBatch(batch, len(b))
			}
			c.leave() // flow control credit may have to be sent
			return b, err
		}
		ready := d.enter()
		c.leave()
		<-ready
	}
}

// fillBatch fills a batch with what follows the next skip bytes. The connection's mu is held.
func (s *Stream) fillBatch(batch *peekBatch, skip int) {
	*batch = peekBatch{}
	for i := range batch {
		b := s.c.core.PeekBehind(streams.ID(s.id), skip)
		if b == nil {
			return
		}
		batch[i] = b
		skip += len(b)
	}
}

// tryPeek returns what has arrived. If that is less than n and there is no error, Peek has to wait. The
// connection's mu is held.
func (s *Stream) tryPeek(n int) ([]byte, error) {
	c, d := s.c, &s.recv
	if d.isDone {
		return nil, s.doneError(&d.side, ErrReadClosed)
	}
	b, err := c.core.Peek(streams.ID(s.id), n)
	switch {
	case err == nil, errors.Is(err, streams.ErrBlocked) && !c.over:
		return b, nil
	case err != io.EOF:
		err = s.streamError(err)
	}
	if len(b) == 0 {
		d.finish(err)
		c.forgetIfDone(s)
	}
	return b, err
}

// Discard consumes the next n bytes of the stream without copying them, and waits for those that have not
// arrived. If it consumes fewer than n bytes, it returns an error, which is one of those of Read.
func (s *Stream) Discard(n int) (int, error) {
	if n < 0 {
		return 0, fmt.Errorf("quic: Discard of %d bytes", n)
	}
	c, d, discarded := s.c, &s.recv, 0
	d.turn.Lock()
	defer d.turn.Unlock()
	for {
		c.mu.Lock()
		if d.deadline.isPassed {
			c.mu.Unlock()
			return discarded, os.ErrDeadlineExceeded
		}
		some, err := s.tryDiscard(n - discarded)
		discarded += some
		if err != nil || discarded == n {
			c.leave() // flow control credit may have to be sent
			return discarded, err
		}
		if some > 0 {
			c.leave()
			continue // this was all, or the end is next
		}
		ready := d.enter()
		c.leave()
		<-ready
	}
}

// tryDiscard consumes up to n bytes of what has arrived. The connection's mu is held.
func (s *Stream) tryDiscard(n int) (int, error) {
	if s.recv.isDone {
		return 0, s.doneError(&s.recv.side, ErrReadClosed)
	}
	some, err := s.c.core.Discard(s.c.ep.clock.now(), streams.ID(s.id), int64(n))
	return int(some), s.readError(err)
}

// WriteTo reads until the end of the stream and writes everything to w, without copying it in between.
// io.Copy calls it. It returns the number of bytes written, and the first error of Read, except io.EOF, or
// of w. What w has not accepted can still be read.
func (s *Stream) WriteTo(w io.Writer) (written int64, err error) {
	d := &s.recv
	d.turn.Lock()
	defer d.turn.Unlock()
	var batch peekBatch
	for consume := 0; ; {
		b, err := s.peek(consume, 1, &batch)
		switch {
		case len(b) > 0:
		case err == io.EOF:
			return written, nil
		default:
			return written, err
		}
		consume, err = writePiece(w, b)
		for i := 0; err == nil && i < len(batch) && batch[i] != nil; i++ {
			var n int
			n, err = writePiece(w, batch[i])
			consume += n
		}
		written += int64(consume)
		if err != nil {
			s.c.mu.Lock()
			_, _ = s.tryDiscard(consume) // the next call returns the error
			s.c.leave()
			return written, err
		}
	}
}

// writePiece writes b to w, and returns an error unless w accepts all of it.
func writePiece(w io.Writer, b []byte) (int, error) {
	n, err := w.Write(b)
	switch {
	case n < 0 || n > len(b):
		return 0, fmt.Errorf("quic: WriteTo: Write returned %d for %d bytes", n, len(b))
	case err == nil && n < len(b):
		err = io.ErrShortWrite
	}
	return n, err
}
