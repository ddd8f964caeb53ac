package quic

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/pqquic/pqquic/quic/internal/streams"
)

// leastLoan is the minimum number of bytes that WriteNoCopy does not copy. Copying fewer costs less than
// returning them.
const leastLoan = 4 << 10

// WriteNoCopy is like Write, but does not copy p. It lends p to the stream, which sends from p, also again
// when packets are lost, until the peer has acknowledged the bytes. Until then p must not change. It may be
// read, and lent to several streams at the same time.
//
// The stream calls release with p when it does not need p any more: when the peer has acknowledged all of
// it, or the stream was reset or the connection has ended. It calls release once, whatever WriteNoCopy
// returns, possibly before WriteNoCopy returns. release may be nil if p never changes, such as the contents
// of a cache. A goroutine of the Endpoint calls it, without a lock, and calls the functions of all streams
// one after another: release must not wait, for example for a stream. It may be called after Endpoint.Close
// has returned. A panic in it ends the program.
//
// A piece of less than 4 KiB is copied, and returned at once. The memory of p does not count
// towards Config.MaxSendMemory. Config.StreamSendBuffer limits the unacknowledged bytes of a stream as
// usual.
func (s *Stream) WriteNoCopy(p []byte, release func(p []byte)) (int, error) {
	if len(p) < leastLoan {
		n, err := s.Write(p)
		if release != nil {
			s.c.mu.Lock()
			s.c.endLoan(streams.NewLoan(p, release))
			s.c.leave()
		}
		return n, err
	}
	loan := streams.NewLoan(p, release)
	d := &s.send
	d.turn.Lock()
	defer d.turn.Unlock()
	c, written := s.c, 0
	for {
		c.mu.Lock()
		n, err := 0, os.ErrDeadlineExceeded
		if !d.deadline.isPassed {
			n, err = s.tryLend(loan)
		}
		written += n
		if err != nil || written == len(p) {
			c.endLoan(loan)
			c.follow(n)
			return written, err
		}
		ready := d.enter()
		c.follow(n)
		<-ready
	}
}

// tryLend writes as much of a loan as there is room for. If it returns no error, the rest must wait. The
// connection's mu is held.
func (s *Stream) tryLend(l *streams.Loan) (int, error) {
	if err := s.canWrite(); err != nil {
		return 0, err
	}
	n, err := s.c.core.Lend(s.c.ep.clock.now(), streams.ID(s.id), l)
	return n, s.writeError(err)
}

// endLoan is called when no more of a loan will be written. mu is held.
func (c *Conn) endLoan(l *streams.Loan) {
	if l.Release != nil {
		c.core.EndLoan(l)
	}
}

// ReadFrom writes what it reads from r until r returns io.EOF. io.Copy calls it. It reads into the memory
// that the packets are built from, so that the bytes are copied once less than by Write. It returns the
// number of bytes written, and the first error of r, except io.EOF, or of Write. The bytes of one Read of r
// are not interleaved with those of other calls that write to the stream.
func (s *Stream) ReadFrom(r io.Reader) (written int64, err error) {
	chunk := streams.NewChunk(false)
	defer func() { chunk.Free() }()
	for {
		n, readErr := r.Read(chunk.Bytes())
		if n < 0 || n > len(chunk.Bytes()) {
			return written, fmt.Errorf("quic: ReadFrom: Read returned %d for %d bytes", n, len(chunk.Bytes()))
		}
		if n > 0 {
			m, isTaken, err := s.writeChunk(chunk, n)
			// A source that has much to read is read in large pieces, which fill long trains.
			isLarge := n >= chunkSize
			if isTaken {
				chunk = streams.NewChunk(isLarge)
			} else if isLarge != (len(chunk.Bytes()) > chunkSize) {
				chunk.Free()
				chunk = streams.NewChunk(isLarge)
			}
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

// chunkSize is the size of the smaller chunks of ReadFrom.
const chunkSize = 16 << 10

// writeChunk writes the first n bytes of a chunk. It hands the chunk over to the stream and reports so, or
// copies the bytes if they are few or the stream is short of memory.
func (s *Stream) writeChunk(chunk *streams.Chunk, n int) (written int, isTaken bool, err error) {
	s.send.turn.Lock()
	defer s.send.turn.Unlock()
	if n >= len(chunk.Bytes())/2 {
		if isTaken, err = s.handOver(chunk, n); isTaken {
			return n, true, nil
		} else if err != nil {
			return 0, false, err
		}
	}
	written, err = s.write(chunk.Bytes()[:n])
	return written, false, err
}

// handOver waits until there is room for the first n bytes of a chunk, and hands the chunk over. It returns false if
// the stream does not accept a chunk of this size. turn is held.
func (s *Stream) handOver(chunk *streams.Chunk, n int) (isTaken bool, err error) {
	c, d := s.c, &s.send
	for {
		c.mu.Lock()
		if d.deadline.isPassed {
			c.mu.Unlock()
			return false, os.ErrDeadlineExceeded
		}
		if err = s.canWrite(); err == nil {
			err = c.core.WriteChunk(c.ep.clock.now(), streams.ID(s.id), chunk, n)
			switch {
			case err == nil:
				c.follow(n)
				return true, nil
			case errors.Is(err, streams.ErrTooLarge):
				c.leave()
				return false, nil
			}
			err = s.writeError(err)
		}
		if err != nil {
			c.leave()
			return false, err
		}
		ready := d.enter()
		c.leave()
		<-ready
	}
}

// A returnQueue calls the release functions of loans, on one goroutine that runs while there are any. The
// goroutines that receive packets and send them, which may return loans, must not wait for a function of
// the application.
type returnQueue struct {
	mu      sync.Mutex
	loans   []*streams.Loan
	running bool
}

// push adds a list of loans.
func (q *returnQueue) push(l *streams.Loan) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for ; l != nil; l = l.Next() {
		if l.Release != nil {
			q.loans = append(q.loans, l)
		}
	}
	if len(q.loans) > 0 && !q.running {
		q.running = true
		go q.run()
	}
}

// run calls functions until there are none.
func (q *returnQueue) run() {
	ended := false
	defer func() {
		if !ended {
			go q.run() // a function has called runtime.Goexit
		}
	}()
	for {
		q.mu.Lock()
		if len(q.loans) == 0 {
			q.loans, q.running, ended = nil, false, true
			q.mu.Unlock()
			return
		}
		l := q.loans[0]
		q.loans = q.loans[1:]
		q.mu.Unlock()
		l.Release(l.Bytes())
	}
}
