package streams

import "github.com/pqquic/pqquic/quic/internal/recovery"

// A stream is a stream of either type. A half that does not exist or has ended is done.
type stream struct {
	id    ID
	index int  // index in Set.all
	gone  bool // freed, but a queue may still contain it
	// aborted reports whether the peer has aborted the stream while our application was working for it.
	aborted bool
	events  uint8 // events to be polled, one bit for each kind
	queued  uint8 // queues that contain the stream, one bit for each
	next    [numQueues]*stream

	send sendHalf
	recv recvHalf
}

// sendHalf is the sending part of a stream.
//
//	acked ≤ sent ≤ end, sent ≤ max, end-acked ≤ Config.SendBuffer
//
// buf contains the data from acked to end.
type sendHalf struct {
	done bool // both the peer and the application know the outcome

	buf     sendBuffer
	charged int64 // bytes charged to Set.sendShare
	acked   int64 // data below was acknowledged
	sent    int64 // data below was sent at least once
	end     int64 // data below was written
	max     int64 // the peer's limit
	above   recovery.RangeSet[int64]
	lost    recovery.RangeSet[int64] // ranges to send again, disjoint from the above
	// Every second probe repeats the oldest unacknowledged data. The others repeat data from probed on.
	probed      int64
	probeOldest bool // the last probe repeated the oldest data

	fin    bool // the application will write no more
	finVal recovery.SentVal

	resetting bool // reset by the application or because of STOP_SENDING
	reset     recovery.SentVal
	code      uint64 // code of RESET_STREAM

	stopped  bool   // the peer has sent STOP_SENDING
	stopCode uint64 // code of STOP_SENDING
	isKnown  bool   // the application has ended this half or knows that it was stopped

	blocked   recovery.SentVal // STREAM_DATA_BLOCKED
	blockedAt int64
	waiting   bool // Write has returned ErrBlocked
	starved   bool // waits for the budget in qStarved
	promised  bool // counted in Set.promised
	unflushed bool // counted in Set.unflushed
}

// recvHalf is the receiving part of a stream.
//
//	win.consumed ≤ next ≤ win.received ≤ final
//
// buf contains the data from win.consumed to next, and the ranges in later.
type recvHalf struct {
	done bool // the application has read the end

	buf     recvBuffer
	charged int64 // bytes charged to Set.recvShare
	win     window
	next    int64 // data below has arrived
	later   recovery.RangeSet[int64]
	final   int64 // final size, or -1

	reset bool // the peer has sent RESET_STREAM
	code  uint64

	stopped  bool // the application has called StopSending; data is discarded
	stop     recovery.SentVal
	stopCode uint64

	wants int64 // unread bytes for which the application waits, or 0
}

// The queues of a Set. A stream that no longer belongs in a queue stays until its turn comes.
const (
	qControl = iota // control frames
	qResend         // lost data, and ends without data
	qFresh          // data that was never sent, within the stream's limit
	qEvents         // events for the application
	qStarved        // writers that wait for room in the budget
	numQueues
)

// A queue is a linked list of streams.
type queue struct{ head, tail *stream }

func (s *Set) enqueue(q int, st *stream) {
	if st.queued&(1<<q) != 0 {
		return
	}
	st.queued |= 1 << q
	l := &s.queues[q]
	if l.tail == nil {
		l.head = st
	} else {
		l.tail.next[q] = st
	}
	l.tail = st
}

func (s *Set) dequeue(q int) {
	l := &s.queues[q]
	st := l.head
	l.head, st.next[q] = st.next[q], nil
	if l.head == nil {
		l.tail = nil
	}
	st.queued &^= 1 << q
}

// peek returns the first stream that belongs in a queue, or nil.
func (s *Set) peek(q int) *stream {
	for {
		st := s.queues[q].head
		if st == nil || st.belongs(q) {
			return st
		}
		s.dequeue(q)
	}
}

// rotate moves the first stream to the end, or removes it if it no longer belongs in the queue.
func (s *Set) rotate(q int) {
	st := s.queues[q].head
	s.dequeue(q)
	if st.belongs(q) {
		s.enqueue(q, st)
	}
}

// belongs reports whether a stream belongs in a queue.
func (st *stream) belongs(q int) bool {
	h := &st.send
	switch {
	case st.gone:
		return false
	case q == qControl:
		return st.controlDue(false)
	case q == qEvents:
		return st.events != 0
	case h.resetting || h.done:
		return false
	case q == qStarved:
		return h.starved
	case q == qResend:
		return h.lost.NumRanges() > 0 || h.sent == h.end && h.finVal.ShouldSend(false)
	}
	return h.sent < min(h.end, h.max)
}

// schedule adds a stream to the queues in which it belongs and records what blocks it.
func (s *Set) schedule(st *stream) {
	for q := range numQueues {
		if q != qEvents && q != qStarved && st.belongs(q) {
			s.enqueue(q, st)
		}
	}
	h := &st.send
	if h.resetting || h.done || h.sent == h.end {
		return
	}
	// "A sender SHOULD send a STREAM_DATA_BLOCKED or DATA_BLOCKED frame to indicate to the
	// receiver that it has data to write but is blocked by flow control limits."
	// https://www.rfc-editor.org/rfc/rfc9000#section-4.1-10
	if h.sent == h.max && !(h.blocked.IsSet() && h.blockedAt == h.max) {
		h.blockedAt = h.max
		h.blocked.Set()
		s.stats.BlockedByStream++
		s.enqueue(qControl, st)
	}
	if h.sent < h.max && s.sent == s.sendMax && !(s.blocked.IsSet() && s.blockedAt == s.sendMax) {
		s.blockedAt = s.sendMax
		s.blocked.Set()
		s.stats.BlockedByConn++
	}
}
