package streams

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

// push appends a stream that is not in the queue.
func (l *queue) push(q int, st *stream) {
	st.queued |= 1 << q
	if l.tail == nil {
		l.head = st
	} else {
		l.tail.next[q] = st
	}
	l.tail = st
}

// pop removes the first stream.
func (l *queue) pop(q int) {
	st := l.head
	l.head, st.next[q] = st.next[q], nil
	if l.head == nil {
		l.tail = nil
	}
	st.queued &^= 1 << q
}

// peek returns the first stream that belongs in the queue, or nil. It drops those before.
func (l *queue) peek(q int) *stream {
	for l.head != nil && !l.head.belongs(q) {
		l.pop(q)
	}
	return l.head
}

// rotate moves the first stream to the end, or removes it if it no longer belongs in the queue.
func (l *queue) rotate(q int) {
	st := l.head
	l.pop(q)
	if st.belongs(q) {
		l.push(q, st)
	}
}

// enqueue adds a stream to a queue unless it is there.
func (s *Set) enqueue(q int, st *stream) {
	switch {
	case st.queued&(1<<q) != 0:
	case s.prio != nil && (q == qResend || q == qFresh):
		s.prio.level(q, st).add(q, st)
	default:
		s.queues[q].push(q, st)
	}
}

// dequeue removes the first stream of a queue.
func (s *Set) dequeue(q int) { s.queues[q].pop(q) }

// peek returns the first stream that belongs in a queue, or nil. See peekData for qResend and qFresh.
func (s *Set) peek(q int) *stream { return s.queues[q].peek(q) }

// belongs reports whether a stream belongs in a queue.
func (st *stream) belongs(q int) bool {
	h := &st.send
	switch {
	case st.gone, st.withheld && q != qEvents && q != qStarved:
		return false
	case q == qControl:
		return st.controlDue(false)
	case q == qEvents:
		return st.events != 0
	case h.resetting || h.done:
		return false
	case q == qStarved:
		return h.starved && !h.resettingAt
	case q == qResend:
		return h.lost.NumRanges() > 0 || h.sent == h.end && h.finVal.ShouldSend(false)
	}
	return h.sent < min(h.end, h.max)
}

// schedule adds a stream to the queues in which it belongs and records what blocks it.
func (s *Set) schedule(st *stream) {
	for q := range numQueues {
		if q != qEvents && q != qStarved && st.belongs(q) {
			if q == qFresh && st.queued&(1<<q) == 0 {
				s.noteFresh(st)
			}
			s.enqueue(q, st)
		}
	}
	h := &st.send
	if h.resetting || h.done || h.sent == h.end || st.withheld {
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
