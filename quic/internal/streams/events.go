package streams

// EventKind says what changed.
type EventKind uint8

const (
	// EventReadable: Read would return something: bytes, the end, or an error.
	EventReadable EventKind = iota + 1
	// EventWritable: a Write that was cut short can go on, or would fail.
	EventWritable
	// EventOpened: the peer opened streams; Accept has some.
	EventOpened
	// EventCanOpenBidi and EventCanOpenUni: Open would succeed after ErrLimit.
	EventCanOpenBidi
	EventCanOpenUni
	// EventFlushed: everything written has been acknowledged.
	EventFlushed
)

// Event is a change that an application may wait for. An event that waits to be polled is not
// queued a second time.
type Event struct {
	Kind EventKind
	ID   ID // of EventReadable, EventWritable, EventOpened
}

// report queues an event about a stream.
func (st *stream) report(k EventKind) {
	if bit := uint8(1) << k; st.reported&bit == 0 && !st.gone {
		st.reported |= bit
		st.set.events = append(st.set.events, Event{k, st.id})
	}
}

// PollEvent returns the next event.
func (s *Set) PollEvent() (Event, bool) {
	if len(s.events) == 0 {
		if s.wasDirty && s.unacked == 0 {
			s.wasDirty = false
			return Event{Kind: EventFlushed}, true
		}
		return Event{}, false
	}
	e := s.events[0]
	if s.events = s.events[1:]; len(s.events) == 0 {
		s.events = nil
	}
	if st := s.streams[e.ID]; st != nil {
		st.reported &^= 1 << e.Kind
	}
	return e, true
}

// Flushed reports whether everything that was written has been acknowledged.
func (s *Set) Flushed() bool { return s.unacked == 0 }

// dirty counts bytes, or a FIN, on their way.
func (s *Set) dirty(n int64) {
	s.unacked += n
	s.wasDirty = s.wasDirty || n > 0
}
