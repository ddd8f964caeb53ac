package streams

import "math/bits"

// An EventKind is the kind of an Event.
type EventKind uint8

const (
	// EventOpened means that the peer has opened the stream and Accept returns another one. It is returned
	// once for each stream, in order.
	EventOpened EventKind = iota + 1
	// EventReadable means that Read or Peek, which has returned ErrBlocked, will return something else: data, the
	// end, or a ResetError. Read may never have been called.
	EventReadable
	// EventWritable means that Write, which has returned ErrBlocked, will return something else.
	EventWritable
	// EventReset means that the peer has reset the stream with Code. EventReadable follows if it is due.
	EventReset
	// EventStopped means that the peer has asked us to stop sending, with Code. EventWritable follows if it
	// is due.
	EventStopped
	// EventCanOpenBidi and EventCanOpenUni mean that Open, which has returned ErrLimit, may succeed.
	EventCanOpenBidi
	EventCanOpenUni
	// EventFlushed means that Flushed has become true. It is returned once each time.
	EventFlushed
)

// An Event informs the application about a change. An event that waits to be polled is not queued again, so
// the state may have changed further when it is polled.
type Event struct {
	Kind EventKind
	ID   ID     // the stream, unless the event concerns the connection
	Code uint64 // set for EventReset and EventStopped
}

// PollEvent returns the next event.
func (s *Set) PollEvent() (Event, bool) {
	for k := range s.remote {
		if r := &s.remote[k]; r.announced < r.opened {
			r.announced++
			return Event{Kind: EventOpened, ID: MakeID(s.side.Peer(), k == 1, r.announced-1)}, true
		}
		if l := &s.local[k]; l.event {
			l.event = false
			return Event{Kind: EventCanOpenBidi + EventKind(k)}, true
		}
	}
	if st := s.peek(qEvents); st != nil {
		e := Event{Kind: EventKind(bits.TrailingZeros8(st.events)), ID: st.id}
		switch e.Kind {
		case EventReset:
			e.Code = st.recv.code
		case EventStopped:
			e.Code = st.send.stopCode
		}
		if st.events &^= 1 << e.Kind; st.events == 0 {
			s.dequeue(qEvents)
		}
		return e, true
	}
	if s.flushed {
		s.flushed = false
		if s.unflushed == 0 {
			return Event{Kind: EventFlushed}, true
		}
	}
	return Event{}, false
}

// HasOutput reports whether PollEvent or PollReturned may return something. If it returns false, they return nothing.
func (s *Set) HasOutput() bool {
	for k := range s.remote {
		if s.remote[k].announced < s.remote[k].opened || s.local[k].event {
			return true
		}
	}
	return s.queues[qEvents].head != nil || s.flushed || s.returned.last != nil
}

// report queues an event about a stream.
func (s *Set) report(st *stream, k EventKind) {
	st.events |= 1 << k
	s.enqueue(qEvents, st)
}

// wakeReader reports a stream as readable if the application waits for that.
func (s *Set) wakeReader(st *stream) {
	if r := &st.recv; r.wants > 0 && (r.reset || r.next-r.win.consumed >= r.wants || r.next == r.end()) {
		r.wants = 0
		s.report(st, EventReadable)
	}
}

// wakeWriter reports a stream as writable if the application waits for that and there is much room. A writer is therefore
// not woken for each acknowledgement.
func (s *Set) wakeWriter(st *stream) {
	h := &st.send
	if h.waiting && (h.resetting || h.resettingAt || !h.starved && s.canWake(st)) {
		h.waiting = false
		s.report(st, EventWritable)
	}
}
