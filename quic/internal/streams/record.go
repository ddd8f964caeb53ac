package streams

import (
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// Records of what packets carried: a kind and varints. Package core owns kinds below 0x40.
const (
	recData              byte = 0x40 + iota // stream, offset, length
	recDataFin                              // the same, with the end of the stream
	recReset                                // stream
	recStop                                 // stream
	recMaxStreamData                        // stream
	recStreamDataBlocked                    // stream
	recMaxData                              // 0
	recMaxStreams                           // 1 if unidirectional
	recStreamsBlocked                       // 1 if unidirectional
	recDataBlocked                          // 0
)

func appendDataRecord(rec []byte, id ID, off, n int64, fin bool) []byte {
	kind := recData
	if fin {
		kind = recDataFin
	}
	rec = wire.AppendVarint(append(rec, kind), uint64(id))
	return wire.AppendVarint(wire.AppendVarint(rec, uint64(off)), uint64(n))
}

// ConsumeRecord takes back one entry of a record, carried by the packet pn, and returns its length.
// An entry that was lost may be acknowledged later.
func (s *Set) ConsumeRecord(rec []byte, pn wire.PacketNumber, fate recovery.Fate) int {
	kind, at := rec[0], 1
	next := func() uint64 {
		v, n := wire.ConsumeVarint(rec[at:])
		if n < 0 {
			panic("BUG: broken record of a sent packet")
		}
		at += n
		return v
	}
	id := ID(next())
	switch kind {
	case recData, recDataFin:
		off, n := int64(next()), int64(next())
		if st := s.streams[id]; st != nil && st.send.open {
			s.dataFate(st, off, off+n, kind == recDataFin, pn, fate)
		}
	case recMaxData:
		s.in.val.AckOrLoss(pn, fate)
	case recMaxStreams:
		s.remote[id].val.AckOrLoss(pn, fate)
	case recStreamsBlocked:
		s.local[id].blocked.AckOrLoss(pn, fate)
	case recDataBlocked:
		s.outBlock.AckOrLoss(pn, fate)
	default:
		if st := s.streams[id]; st != nil {
			s.controlFate(st, kind, pn, fate)
		}
	}
	return at
}

// controlFate handles the fate of a stream's control value.
func (s *Set) controlFate(st *stream, kind byte, pn wire.PacketNumber, fate recovery.Fate) {
	var v *recovery.SentVal
	switch kind {
	case recReset:
		v = &st.send.reset
	case recStop:
		v = &st.recv.stop
	case recMaxStreamData:
		v = &st.recv.win.val
	case recStreamDataBlocked:
		v = &st.send.blocked
	}
	v.AckOrLoss(pn, fate)
	if v.ShouldSend(false) {
		st.enqueue()
	}
	if kind == recReset && v.IsReceived() && st.send.open {
		st.send.open = false
		s.forgetIfDone(st)
	}
}

// dataFate handles the fate of a STREAM frame.
func (s *Set) dataFate(st *stream, start, end int64, fin bool, pn wire.PacketNumber, fate recovery.Fate) {
	h := &st.send
	if h.reset.IsSet() {
		return
	}
	if fate == recovery.Lost {
		if fin {
			h.finVal.AckOrLoss(pn, fate)
		}
		h.loseData(max(start, h.buf.base), end)
		if h.lost.NumRanges() > 0 || fin && h.finVal.ShouldSend(false) {
			st.enqueue()
		}
		return
	}
	before := h.outstanding()
	if fin {
		h.finVal.SetReceived()
	}
	h.acked.Add(max(start, h.buf.base), end)
	h.lost.Sub(start, end)
	if h.acked.NumRanges() > 0 && h.acked.Range(0).Start <= h.buf.base {
		to := h.acked.Range(0).End
		h.acked.Sub(h.buf.base, to)
		h.buf.discard(to)
	}
	s.dirty(h.outstanding() - before)
	if h.full && h.written-h.buf.base <= s.cfg.SendBuffer/2 {
		h.full = false
		st.report(EventWritable)
	}
	if h.fin && h.finVal.IsReceived() && h.buf.base == h.written {
		h.open = false
		s.forgetIfDone(st)
	}
}

// loseData makes [start, end) due again but for what has been acknowledged.
func (h *sendHalf) loseData(start, end int64) {
	for i := 0; i < h.acked.NumRanges() && start < end; i++ {
		a := h.acked.Range(i)
		if a.End <= start {
			continue
		}
		if a.Start >= end {
			break
		}
		h.lost.Add(start, a.Start)
		start = a.End
	}
	h.lost.Add(start, end)
}
