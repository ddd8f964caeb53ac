package streams

// Data that was written and not yet sent waits in chunks. What ten streams may have written, 4 MiB each by default, is more
// than the cache of a processor holds, and copying from a chunk to a packet then takes two or three times as long
// (h3-download-10 of bench/peers). A path needs no more of it than what is sent until the writer has run.
//
// Therefore Write and WriteChunk accept less than the buffer has room for while several streams send. The limit does not
// hold for a stream whose peer has received all that it permits: what a peer does not read stops a writer only when the
// buffer is full, as if there were no limit. It does not hold for Lend either, which copies nothing.

const (
	// unsentPart is the part of Config.SendBuffer that all streams together may have written and not sent.
	unsentPart = 4
	// leastUnsent is what a stream may always have written and not sent. A writer is woken when half of it was sent, which
	// is room for a chunk of any size.
	leastUnsent = 2 * largestChunk
)

// unsentLimit returns how many bytes a stream may have written and not sent.
func (s *Set) unsentLimit() int64 {
	if s.unflushed < 2 || s.cfg.SendBuffer <= leastUnsent {
		return unlimited // a stream alone is as fast with long pieces, which need fewer wake-ups
	}
	return max(s.cfg.SendBuffer/unsentPart/int64(s.unflushed), leastUnsent)
}

// writeRoom returns how many bytes may be copied into the send buffer of a stream.
func (s *Set) writeRoom(st *stream) int64 {
	h := &st.send
	room := s.cfg.SendBuffer - (h.end - h.acked)
	if !s.isStalled(st) {
		room = min(room, s.unsentLimit()-(h.end-h.sent))
	}
	return max(room, 0)
}

// isStalled reports whether the peer has all of a stream that it permits, so that only the peer's application can help.
func (s *Set) isStalled(st *stream) bool {
	h := &st.send
	return h.sent == h.acked && (h.sent == h.max || s.sent == s.sendMax || st.withheld)
}

// canWake reports whether a waiting writer has enough room to be woken: a quarter of the buffer, and half of the limit
// if that has stopped it.
func (s *Set) canWake(st *stream) bool {
	h := &st.send
	if h.end-h.acked > s.cfg.SendBuffer-max(1, s.cfg.SendBuffer/4) {
		return false
	}
	return !h.copies || s.isStalled(st) || h.end-h.sent <= s.unsentLimit()/2
}

// wakeStalled wakes the writers of streams that are stalled, when the peer permits no more on the connection or less than
// before.
func (s *Set) wakeStalled() {
	for _, st := range s.all {
		s.wakeWriter(st)
	}
}
