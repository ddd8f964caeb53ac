package tcp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

// stream is a stream of a conn, whose lock protects it.
type stream struct {
	c       *conn
	k       key
	changed *sync.Cond

	sendOnly, receiveOnly bool

	in       bytes.Buffer // never more than initialWindow
	ended    bool         // the peer has ended its direction
	stopped  bool         // nothing more will be read
	received uint64       // total
	read     uint64
	granted  uint64 // total that the peer may send

	sent, limit uint64
	closed      bool // we have ended our direction

	readDeadline, writeDeadline time.Time
	readTimer, writeTimer       *time.Timer
}

var (
	errSendOnly    = errors.New("cannot receive on a send-only stream")
	errReceiveOnly = errors.New("cannot send on a receive-only stream")
	errFinished    = errors.New("write on a finished stream")
)

func (s *stream) finished() error {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	switch {
	case s.sendOnly:
		return frameError("the peer ended stream %d, on which only we send", s.k.id)
	case s.ended:
		return frameError("stream %d was ended twice", s.k.id)
	}
	s.ended = true
	s.changed.Broadcast()
	return nil
}

func (s *stream) grant(n uint64) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.limit = max(s.limit, n)
	s.changed.Broadcast()
}

// announced checks whether the peer may send n bytes, before they are read.
func (s *stream) announced(n uint32) error {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	switch {
	case s.sendOnly:
		return frameError("data on stream %d, on which only we send", s.k.id)
	case s.ended:
		return frameError("data on stream %d after its end", s.k.id)
	case s.received+uint64(n) > s.granted:
		return frameError("%d bytes on stream %d, but the limit is %d", s.received+uint64(n), s.k.id, s.granted)
	}
	return nil
}

func (s *stream) arrived(b []byte) {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.received += uint64(len(b))
	s.in.Write(b)
	s.changed.Broadcast()
}

// owner returns who opened the stream, as the receiver of a frame sees it.
func (s *stream) owner() byte {
	if s.k.ours {
		return 1
	}
	return 0
}

func (s *stream) header(tag byte) []byte {
	b := make([]byte, 0, 32)
	return append(binary.BigEndian.AppendUint64(append(b, tag), s.k.id), s.owner())
}

func expired(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }

func (s *stream) Read(p []byte) (int, error) {
	if s.sendOnly {
		return 0, errSendOnly
	}
	s.c.mu.Lock()
	for s.in.Len() == 0 {
		err := s.c.err
		switch {
		case s.ended:
			err = io.EOF
		case expired(s.readDeadline):
			err = os.ErrDeadlineExceeded
		}
		if err != nil {
			s.c.mu.Unlock()
			return 0, err
		}
		s.changed.Wait()
	}
	n, _ := s.in.Read(p) // it is not empty
	s.read += uint64(n)
	more := uint64(0)
	if !s.ended && s.granted-s.read < initialWindow/2 {
		s.granted = s.read + initialWindow
		more = s.granted
	}
	s.c.mu.Unlock()
	if more > 0 {
		// The peer may be gone. That does not affect what it sent before.
		_ = s.c.write(binary.BigEndian.AppendUint64(s.header(tagMaxData), more), true)
	}
	return n, nil
}

func (s *stream) Write(p []byte) (int, error) {
	if s.receiveOnly {
		return 0, errReceiveOnly
	}
	total := 0
	for len(p) > 0 {
		n, err := s.credit(len(p))
		if err != nil {
			return total, err
		}
		b := binary.BigEndian.AppendUint32(s.header(tagData), uint32(n))
		if err := s.c.write(append(b, p[:n]...), false); err != nil {
			return total, err
		}
		total += n
		p = p[n:]
	}
	return total, nil
}

// credit waits until some of n bytes may be sent.
func (s *stream) credit(n int) (int, error) {
	for flushed := false; ; {
		s.c.mu.Lock()
		err := s.c.err
		switch {
		case s.closed:
			err = errFinished
		case expired(s.writeDeadline):
			err = os.ErrDeadlineExceeded
		}
		if room := s.limit - s.sent; err != nil || room > 0 {
			n = min(n, maxFrame, int(min(room, maxFrame)))
			if err == nil {
				s.sent += uint64(n)
			}
			s.c.mu.Unlock()
			return n, err
		}
		if flushed {
			s.changed.Wait()
			s.c.mu.Unlock()
			continue
		}
		s.c.mu.Unlock()
		// The peer grants more once it has received the frames that are still buffered.
		if err := s.Flush(); err != nil {
			return 0, err
		}
		flushed = true
	}
}

func (s *stream) Flush() error { return s.c.write(nil, true) }

func (s *stream) CloseWrite() error {
	if s.receiveOnly {
		return errReceiveOnly
	}
	s.c.mu.Lock()
	was := s.closed
	s.closed = true
	s.changed.Broadcast()
	s.c.mu.Unlock()
	if was {
		return nil
	}
	return s.c.write(s.header(tagFinish), true)
}

// StopReading discards what arrives. It must still be read, because the frames cannot tell the peer to
// stop, and the peer must not wait for room.
func (s *stream) StopReading() error {
	if s.sendOnly {
		return errSendOnly
	}
	s.c.mu.Lock()
	again := s.stopped
	s.stopped = true
	s.c.mu.Unlock()
	if again {
		return nil
	}
	if err := s.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	go func() { _, _ = io.Copy(io.Discard, s) }() // until the stream or the connection ends
	return nil
}

func (s *stream) SetReadDeadline(t time.Time) error {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.readDeadline = t
	s.readTimer = s.timer(s.readTimer, t)
	return nil
}

func (s *stream) SetWriteDeadline(t time.Time) error {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.writeDeadline = t
	s.writeTimer = s.timer(s.writeTimer, t)
	return nil
}

// timer wakes the waiting calls when the deadline passes.
func (s *stream) timer(old *time.Timer, t time.Time) *time.Timer {
	if old != nil {
		old.Stop()
	}
	if t.IsZero() {
		s.changed.Broadcast()
		return nil
	}
	return time.AfterFunc(time.Until(t), func() {
		s.c.mu.Lock()
		defer s.c.mu.Unlock()
		s.changed.Broadcast()
	})
}
