package streams

import (
	"github.com/pqquic/pqquic/internal/varint"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// The kinds of entries in the record of a sent packet. Each is followed by varints.
const (
	recData              byte = 0x40 + iota // stream, offset, length
	recDataFin                              // the same, with the end of the stream
	recReset                                // stream
	recStop                                 // stream
	recMaxStreamData                        // stream
	recStreamDataBlocked                    // stream
	recMaxData                              // 0
	recDataBlocked                          // 0
	recMaxStreams                           // 1 if unidirectional
	recStreamsBlocked                       // 1 if unidirectional
	recResetAt                              // stream
)

func appendDataRecord(rec []byte, id ID, off, n int64, fin bool) []byte {
	kind := recData
	if fin {
		kind = recDataFin
	}
	rec = varint.Append(append(rec, kind), uint64(id))
	return varint.Append(varint.Append(rec, uint64(off)), uint64(n))
}

// next reads a number that this package wrote.
func next(rec []byte, at *int) uint64 {
	v, n := varint.Consume(rec[*at:])
	if n < 0 {
		panic("BUG: broken record of a sent packet")
	}
	*at += n
	return v
}

// ConsumeRecord processes the entry at the beginning of rec and returns its length. It is called for each
// entry in the record of a packet that was acknowledged or declared lost. A packet that was declared lost
// may be acknowledged later.
func (s *Set) ConsumeRecord(rec []byte, pn wire.PacketNumber, fate recovery.Fate) int {
	kind, at := rec[0], 1
	arg := next(rec, &at)
	switch kind {
	case recData, recDataFin:
		start := int64(next(rec, &at))
		end := start + int64(next(rec, &at))
		if st := s.find(ID(arg)); st != nil && !st.send.done && !st.send.resetting {
			if fate == recovery.Acked {
				s.dataAcked(st, start, end, kind == recDataFin)
			} else {
				s.dataLost(st, start, end, kind == recDataFin, pn)
			}
		}
	case recMaxData:
		s.recv.update.AckOrLoss(pn, fate)
	case recDataBlocked:
		s.blocked.AckOrLoss(pn, fate)
	case recMaxStreams:
		s.remote[arg].update.AckOrLoss(pn, fate)
	case recStreamsBlocked:
		s.local[arg].blocked.AckOrLoss(pn, fate)
	default:
		if st := s.find(ID(arg)); st != nil {
			s.controlFate(st, kind, pn, fate)
		}
	}
	return at
}

// controlFate reports the fate of a packet to the control value of a stream in it.
func (s *Set) controlFate(st *stream, kind byte, pn wire.PacketNumber, fate recovery.Fate) {
	switch kind {
	case recReset:
		fixedFate(&st.send.reset, pn, fate)
		s.uncountFlushed(st)
		s.maybeEndSend(st)
	case recResetAt:
		// Only the frame with the smallest reliable size counts, which was sent last.
		if !st.send.resetting {
			st.send.reset.AckOrLoss(pn, fate)
			s.uncountFlushed(st)
			s.maybeEndSend(st)
		}
	case recStop:
		if r := &st.recv; r.stop.IsSet() && !r.done {
			fixedFate(&r.stop, pn, fate)
			s.maybeEndStopped(st)
		}
	case recMaxStreamData:
		st.recv.win.update.AckOrLoss(pn, fate)
	case recStreamDataBlocked:
		st.send.blocked.AckOrLoss(pn, fate)
	default:
		panic("BUG: record of unknown kind")
	}
	if !st.gone && st.controlDue(false) {
		s.enqueue(qControl, st)
	}
}

// fixedFate handles the fate of values that do not change. The value is received if any packet with it is
// acknowledged.
func fixedFate(v *recovery.SentVal, pn wire.PacketNumber, fate recovery.Fate) {
	if fate == recovery.Acked {
		v.SetReceived()
	} else {
		v.AckOrLoss(pn, fate)
	}
}

// dataAcked records that the peer has received data of a stream and, if fin is set, its end.
func (s *Set) dataAcked(st *stream, start, end int64, fin bool) {
	h := &st.send
	if fin {
		h.finVal.SetReceived()
	}
	if h.lost.NumRanges() > 0 {
		h.lost.Sub(start, end)
	}
	switch {
	case start > h.acked:
		h.above.Add(start, end)
	case end > h.acked:
		h.acked = end
		for h.above.NumRanges() > 0 && h.above.Range(0).Start <= h.acked {
			h.acked = max(h.acked, h.above.Range(0).End)
			h.above.Sub(0, h.acked)
		}
		h.buf.release(h.acked, &s.returned)
		s.chargeSend(st)
		s.wakeWriter(st)
	}
	s.uncountFlushed(st)
	s.maybeEndSend(st)
}

// dataLost makes the lost data of a stream due again, and its end if fin is set, except for what has
// arrived in other packets.
func (s *Set) dataLost(st *stream, start, end int64, fin bool, pn wire.PacketNumber) {
	h := &st.send
	if fin {
		h.finVal.AckOrLoss(pn, recovery.Lost)
	}
	start = max(start, h.acked)
	if h.resettingAt {
		end = min(end, h.reliable)
	}
	for start < end {
		r, ok := h.above.Behind(start)
		if !ok {
			r = recovery.Range[int64]{Start: end, End: end}
		}
		h.lost.Add(start, min(end, r.Start))
		start = r.End
	}
	s.schedule(st)
}
