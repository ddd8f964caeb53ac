package streams

// Priorities
//
// A stream has an urgency from 0, the most urgent, to 7, and shares the bandwidth of its urgency with other streams
// (incremental) or not (RFC 9218, section 4). Until the application sets a priority, all streams are incremental with
// defaultUrgency, and the Set uses the queues of queue.go. The first call of SetPriority replaces qResend and qFresh by
// a priorities struct.
//
// Lost data is sent before new data whatever its priority, so that a receiver does not have to keep what follows a gap
// while more urgent streams send. Within each of the two kinds:
//
//   - A stream sends only if no stream of a lower urgency number can.
//   - Streams of the same urgency that are not incremental send one after another, in the order of their IDs.
//   - Incremental streams of the same urgency take turns for one frame each.
//   - If an urgency has streams of both types, the two types take turns, so that neither waits for the other's end.

const (
	urgencies      = 8
	defaultUrgency = 3
)

// priorities contains the queues of the streams with data to send.
type priorities struct {
	levels [2][urgencies]level // of lost data and of new data
	of     *level              // the level of the stream that peekData returned last
}

// A level contains the streams of one urgency.
type level struct {
	shared  turnHeap // incremental streams, in turns
	ordered turnHeap // other streams, in the order of their IDs
	turns   uint64   // number of turns in shared so far
	swap    bool     // an incremental stream is next
	chosen  bool     // the stream that peekData returned last is incremental
}

// level returns the level of a stream for qResend or qFresh.
func (p *priorities) level(q int, st *stream) *level { return &p.levels[q-qResend][st.urgency] }

// add adds a stream that is not in the queue q.
func (l *level) add(q int, st *stream) {
	if st.ordered {
		l.ordered.push(q, uint64(st.id), st)
		return
	}
	l.turns++
	l.shared.push(q, l.turns, st)
}

// remove removes a stream that is in the queue q.
func (l *level) remove(q int, st *stream) {
	if st.ordered {
		l.ordered.remove(q, st)
	} else {
		l.shared.remove(q, st)
	}
}

// next returns the stream whose turn it is, or nil.
func (p *priorities) next(q int) *stream {
	for u := range p.levels[q-qResend] {
		l := &p.levels[q-qResend][u]
		ordered, shared := l.ordered.peek(q), l.shared.peek(q)
		if ordered == nil && shared == nil {
			continue
		}
		p.of, l.chosen = l, ordered == nil || shared != nil && l.swap
		if l.chosen {
			return shared
		}
		return ordered
	}
	return nil
}

// rotate ends the turn of the stream that next returned last.
func (p *priorities) rotate(q int) {
	l := p.of
	if l.swap = !l.chosen; l.swap {
		l.ordered.peek(q) // drops the stream if it has nothing more
		return
	}
	st := l.shared[0].st
	l.shared.remove(q, st)
	if st.belongs(q) {
		l.add(q, st)
	}
}

// SetPriority sets the priority of a stream's data. urgency must be from 0 to 7. A stream of which everything has been
// sent, or that does not exist, is not changed.
func (s *Set) SetPriority(id ID, urgency uint8, incremental bool) {
	st := s.find(id)
	if st == nil || st.send.done || st.urgency == urgency && st.ordered == !incremental {
		return
	}
	if s.prio == nil {
		s.usePriorities()
	}
	for q := qResend; q <= qFresh; q++ {
		if st.queued&(1<<q) != 0 {
			s.prio.level(q, st).remove(q, st)
		}
	}
	st.urgency, st.ordered = urgency, !incremental
	for q := qResend; q <= qFresh; q++ {
		if st.belongs(q) {
			s.enqueue(q, st)
		}
	}
}

// usePriorities moves the streams with data to send to the queues of their priority, which all have by default.
func (s *Set) usePriorities() {
	s.prio = new(priorities)
	for q := qResend; q <= qFresh; q++ {
		for l := &s.queues[q]; l.head != nil; {
			st := l.head
			l.pop(q)
			s.prio.level(q, st).add(q, st)
		}
	}
}

// peekData returns the first stream of qResend or qFresh, or nil.
func (s *Set) peekData(q int) *stream {
	if s.prio != nil {
		return s.prio.next(q)
	}
	return s.peek(q)
}

// rotateData ends the turn of the stream that peekData returned last.
func (s *Set) rotateData(q int) {
	if s.prio != nil {
		s.prio.rotate(q)
	} else {
		s.queues[q].rotate(q)
	}
}
