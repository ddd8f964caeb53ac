package streams

import "math/bits"

// EventKind says what changed.
type EventKind uint8

const (
	// EventOpened: the peer has opened the stream, and Accept returns one more. Comes once for
	// each stream, in order.
	EventOpened EventKind = iota + 1
	// EventReadable: Read, which has returned ErrBlocked or was never called, has something else
	// to return: bytes, the end, or a ResetError.
	EventReadable
	// EventWritable: Write, which has returned ErrBlocked, has something else to return.
	EventWritable
	// EventReset: the peer has reset the stream with Code. EventReadable comes too, if due.
	EventReset
	// EventStopped: the peer has asked us to stop sending, with Code. EventWritable comes too, if
	// due.
	EventStopped
	// EventCanOpenBidi and EventCanOpenUni: Open, which has returned ErrLimit, is worth another
	// try.
	EventCanOpenBidi
	EventCanOpenUni
	// EventFlushed: Flushed has become true. Comes once each time.
	EventFlushed
)

// An Event reports a change to the application. An event that waits to be polled is not queued again, and
// what it reports may be out of date by then.
type Event struct {
	Kind EventKind
	ID   ID     // of the stream that it is about, if it is about one
	Code uint64 // of EventReset and EventStopped
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

// report queues an event about a stream.
func (s *Set) report(st *stream, k EventKind) {
	st.events |= 1 << k
	s.enqueue(qEvents, st)
}

// wakeReader reports a stream as readable, if anybody wants to know.
func (s *Set) wakeReader(st *stream) {
	if r := &st.recv; r.waiting && (r.reset || r.next > r.win.consumed || r.final == r.win.consumed) {
		r.waiting = false
		s.report(st, EventReadable)
	}
}

// wakeWriter reports a stream as writable, if anybody wants to know: when there is room for a quarter
// of the buffer, so that a writer is not woken for each acknowledgement.
func (s *Set) wakeWriter(st *stream) {
	h := &st.send
	if h.waiting && (h.resetting || !h.starved && h.end-h.acked <= s.cfg.SendBuffer-max(1, s.cfg.SendBuffer/4)) {
		h.waiting = false
		s.report(st, EventWritable)
	}
}
