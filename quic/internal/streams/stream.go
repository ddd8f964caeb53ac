package streams

import "github.com/pqquic/pqquic/quic/internal/recovery"

// A stream is one stream. The half that it lacks, and one that is over, is done.
type stream struct {
	id    ID
	index int  // in Set.all
	gone  bool // freed; a queue may still hold it
	// aborted: the peer has given the stream up while our application was busy with it.
	aborted bool
	events  uint8 // to be polled, a bit for each kind
	queued  uint8 // a bit for each queue that holds it
	next    [numQueues]*stream

	send sendHalf
	recv recvHalf
}

// sendHalf is the sending part.
//
//	acked ≤ sent ≤ end, sent ≤ max, end-acked ≤ Config.SendBuffer
//
// Bytes from acked to end are in buf.
type sendHalf struct {
	done bool // the peer knows all, and so does the application

	buf     sendBuffer
	charged int64 // to Set.sendShare
	acked   int64 // everything below is acknowledged
	sent    int64 // everything below was sent at least once
	end     int64 // everything below was written
	max     int64 // the peer's limit
	above   recovery.RangeSet[int64]
	lost    recovery.RangeSet[int64] // to be sent again; disjoint from above
	// Every other probe repeats the oldest bytes that are not acknowledged. Those between begin
	// at probed.
	probed      int64
	probeOldest bool // the last probe did

	fin    bool // there will be no more
	finVal recovery.SentVal

	resetting bool // by the application, or in answer to STOP_SENDING
	reset     recovery.SentVal
	code      uint64 // of RESET_STREAM

	stopped  bool   // by the peer
	stopCode uint64 // of STOP_SENDING
	isKnown  bool   // the application has ended this half, or knows that it is stopped

	blocked   recovery.SentVal // STREAM_DATA_BLOCKED
	blockedAt int64
	waiting   bool // Write has returned ErrBlocked
	starved   bool // because of the budget; in qStarved
	promised  bool // counted in Set.promised
	unflushed bool // counted in Set.unflushed
}

// recvHalf is the receiving part.
//
//	win.consumed ≤ next ≤ win.received ≤ final
//
// Bytes from win.consumed to next are in buf, and those of later.
type recvHalf struct {
	done bool // the application has seen the end

	buf     recvBuffer
	charged int64 // to Set.recvShare
	win     window
	next    int64 // everything below has arrived
	later   recovery.RangeSet[int64]
	final   int64 // size, or -1

	reset bool // by the peer
	code  uint64

	stopped  bool // by the application: what arrives is discarded
	stop     recovery.SentVal
	stopCode uint64

	waiting bool // report when there is something to read
}

// The queues of a Set. A stream that has lost its reason to be in one stays until its turn comes.
const (
	qControl = iota // control frames
	qResend         // lost bytes, and an end without bytes
	qFresh          // bytes that were never sent, within the stream's limit
	qEvents         // events for the application
	qStarved        // writers that wait for room in the budget
	numQueues
)

// A queue is a list of streams, linked through themselves.
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

// peek returns the first stream that is in a queue with good reason, or nil.
func (s *Set) peek(q int) *stream {
	for {
		st := s.queues[q].head
		if st == nil || st.belongs(q) {
			return st
		}
		s.dequeue(q)
	}
}

// rotate moves the first stream to the end, or out.
func (s *Set) rotate(q int) {
	st := s.queues[q].head
	s.dequeue(q)
	if st.belongs(q) {
		s.enqueue(q, st)
	}
}

// belongs reports whether a stream has reason to be in a queue.
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

// schedule puts a stream into the queues where it belongs, and notes what holds it back.
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
