package eventlog

import (
	"errors"
	"io"
	"sync"
	"time"
)

// flushAfter is how long an event waits for others before it is written, and flushAt is the number of bytes
// that are written at once.
const (
	flushAfter = 50 * time.Millisecond
	flushAt    = 64 << 10
)

// reserve is the part of the buffer that is kept for the events at the end of a log.
const reserve = 4 << 10

// A sink passes records to a writer through a bounded buffer. It never blocks its caller. It has no goroutine
// while nothing waits to be written: the first record starts a timer, whose goroutine writes until the
// buffer is empty.
type sink struct {
	open  func() (io.WriteCloser, error)
	hooks Hooks
	limit int

	w io.WriteCloser // belongs to the goroutine that writes

	mu      sync.Mutex
	timer   *time.Timer
	buf     []byte
	spare   []byte // the buffer that was written last, for reuse
	dropped uint64 // records that the buffer had no room for and that the log does not mention yet
	writing bool   // a goroutine writes or is about to
	ended   bool
	failed  bool
}

// A noteFunc appends a record that reports how many records were dropped.
type noteFunc func(b []byte, dropped uint64) []byte

// add adds a record, or drops it if the buffer has no room. Records at the end of a log may use the reserve.
func (s *sink) add(rec []byte, atEnd bool, note noteFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed {
		return
	}
	limit := s.limit
	if atEnd {
		limit += reserve
	}
	if len(s.buf)+len(rec) > limit {
		s.dropped++
		return
	}
	s.mention(note)
	s.buf = append(s.buf, rec...)
	s.wake()
}

// end ends the log.
func (s *sink) end(note noteFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed {
		return
	}
	s.mention(note)
	s.ended = true
	s.wake()
}

// mention adds a record about the records that were dropped before. mu is held.
func (s *sink) mention(note noteFunc) {
	if s.dropped > 0 {
		s.buf = note(s.buf, s.dropped)
		s.dropped = 0
	}
}

// wake starts the writing of the buffer: at once if the log has ended or the buffer is large, and otherwise after
// flushAfter. mu is held.
func (s *sink) wake() {
	now := s.ended || len(s.buf) >= min(flushAt, s.limit/2)
	switch {
	case s.writing:
	case now && s.timer != nil && !s.timer.Stop():
		// The timer's goroutine is about to write.
	case now:
		s.timer, s.writing = nil, true
		go s.write()
	case s.timer == nil:
		s.timer = time.AfterFunc(flushAfter, s.expire)
	}
}

// expire writes the buffer when the timer fires.
func (s *sink) expire() {
	s.mu.Lock()
	s.timer, s.writing = nil, true
	s.mu.Unlock()
	s.write()
}

// write writes until nothing is left. Only one goroutine at a time runs it.
func (s *sink) write() {
	for {
		s.mu.Lock()
		b, ended := s.buf, s.ended
		if len(b) == 0 {
			s.writing, s.spare = false, nil
			s.mu.Unlock()
			if ended {
				s.finish()
			}
			return
		}
		s.buf, s.spare = s.spare[:0], nil
		s.mu.Unlock()
		if err := s.writeTo(b); err != nil {
			s.mu.Lock()
			s.failed, s.writing, s.buf, s.spare = true, false, nil, nil
			s.mu.Unlock()
			s.hooks.Failed(err)
			s.finish()
			return
		}
		s.mu.Lock()
		s.spare = b
		s.mu.Unlock()
	}
}

func (s *sink) writeTo(b []byte) (err error) {
	if s.w == nil {
		if s.w, err = s.open(); err != nil {
			return err
		}
		if s.w == nil {
			return errors.New("qlog: Config.Open returned neither a writer nor an error")
		}
	}
	_, err = s.w.Write(b)
	return err
}

// finish closes the writer.
func (s *sink) finish() {
	if s.w != nil {
		if err := s.w.Close(); err != nil {
			s.hooks.Failed(err)
		}
	}
	s.hooks.Done()
}
