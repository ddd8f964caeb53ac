package streams

import "math"

// Streams of the same urgency take turns. A turn is longer than a packet, so that the packets of a train, which the receiver
// handles together, carry long runs of few streams: fewer readers are woken for it, and each finds more. (bulk-down-10 of
// bench/peers shows the difference.) It is not longer than a train, which is short on a slow path.
//
// A small message does not wait for long turns (h3-beside): once a stream gets a few bytes to send, each stream sends only
// one frame until all have had a turn.
const (
	turnUnit = 256
	maxTurn  = 16 << 10
	maxCycle = 160 << 10 // in which each stream has one turn, unless there are so many that each sends a packet
)

// putFresh appends STREAM frames with data that was not sent before.
func (s *Set) putFresh(p *packer) {
	for s.sent < s.sendMax {
		st := s.peekData(qFresh)
		if st == nil {
			return
		}
		if st.turnLeft == 0 {
			st.turnLeft = s.newTurn()
		}
		h := &st.send
		n := st.putStream(p, h.sent, min(h.end, h.max, h.sent+s.sendMax-s.sent))
		if n < 0 {
			return
		}
		h.sent += n
		s.sent += n
		st.turnLeft -= uint8(min(int64(st.turnLeft), (n+turnUnit-1)/turnUnit))
		if s.shortTurns > 0 {
			s.shortTurns--
			st.turnLeft = 0
		}
		if st.turnLeft == 0 || !st.belongs(qFresh) {
			st.turnLeft = 0
			s.rotateData(qFresh)
		}
		s.schedule(st)
		if s.wakeWriter(st); s.sent == s.sendMax {
			s.wakeStalled()
		}
	}
}

// SetTrain says how many bytes the next train may have.
func (s *Set) SetTrain(size int) { s.turn = uint8(min(size, maxTurn) / turnUnit) }

// noteFresh is called when a stream that had nothing in qFresh has something.
func (s *Set) noteFresh(st *stream) {
	if st.send.end-st.send.sent < maxTurn {
		s.shortTurns = uint16(min(s.unflushed, math.MaxUint16))
	}
}

// newTurn returns the length of a turn that begins, in units of turnUnit.
func (s *Set) newTurn() uint8 {
	return max(1, min(s.turn, uint8(min(maxTurn, maxCycle/max(s.unflushed, 1))/turnUnit)))
}
