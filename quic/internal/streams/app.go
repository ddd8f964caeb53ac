package streams

// Open opens a stream. If the peer's stream limit is reached, it returns ErrLimit, and EventCanOpenBidi or
// EventCanOpenUni follows when the limit is raised. The peer learns of the stream with the first frame
// about it.
//
// "A QUIC endpoint MUST NOT reuse a stream ID within a connection."
// https://www.rfc-editor.org/rfc/rfc9000#section-2.1-2
// "Endpoints MUST NOT exceed the limit set by their peer."
// https://www.rfc-editor.org/rfc/rfc9000#section-4.6-3
// "An endpoint MUST NOT open more streams than permitted by the current stream limit set by its peer."
// https://www.rfc-editor.org/rfc/rfc9000#section-19.11-7
func (s *Set) Open(uni bool) (ID, error) {
	l := &s.local[typeIndex(uni)]
	if l.opened >= l.max {
		l.waiting = true
		// "An endpoint that is unable to open a new stream due to the peer's limits SHOULD
		// send a STREAMS_BLOCKED frame".
		// https://www.rfc-editor.org/rfc/rfc9000#section-4.6-6
		if !l.blocked.IsSet() {
			l.blocked.Set()
			s.stats.BlockedByStreamLimit++
		}
		return 0, ErrLimit
	}
	id := MakeID(s.side, uni, l.opened)
	l.opened++
	s.add(id)
	return id, nil
}

// Announce has a frame sent from which the peer learns of a bidirectional stream, although nothing was written: a
// MAX_STREAM_DATA frame that may repeat the limit.
//
// "For bidirectional streams initiated by a peer, receipt of a MAX_STREAM_DATA or STOP_SENDING frame for the sending
// part of the stream also creates the receiving part."
// https://www.rfc-editor.org/rfc/rfc9000#section-3.2-4
func (s *Set) Announce(id ID) error {
	st := s.find(id)
	if st == nil || st.recv.done {
		return ErrClosed
	}
	st.recv.win.update.Set()
	s.enqueue(qControl, st)
	return nil
}

// Limit returns how many streams of a type the peer has allowed so far.
func (s *Set) Limit(uni bool) int64 { return s.local[typeIndex(uni)].max }

// Accept returns the next stream that the peer has opened, in the order of stream numbers.
func (s *Set) Accept(uni bool) (ID, bool) {
	r := &s.remote[typeIndex(uni)]
	if r.accepted == r.opened {
		return 0, false
	}
	r.accepted++
	return MakeID(s.side.Peer(), uni, r.accepted-1), true
}
