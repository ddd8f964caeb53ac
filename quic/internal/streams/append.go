package streams

import (
	"github.com/pqquic/pqquic/internal/varint"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// A packer appends frames to a packet.
type packer struct {
	b     []byte
	end   int // the maximum length of b
	pn    wire.PacketNumber
	rec   []byte
	probe bool  // values that were sent but not acknowledged are due, too
	ahead int64 // what the peer may send ahead on each stream
}

func (p *packer) room() int { return p.end - len(p.b) }

// A frame is a frame that carries a control value.
type frame interface {
	Size() int
	Append([]byte) []byte
}

// put appends the frame of a value and its record. It returns false if there is no room.
func put[F frame](p *packer, v *recovery.SentVal, f F, kind byte, arg uint64) bool {
	if f.Size() > p.room() {
		return false
	}
	p.b = f.Append(p.b)
	p.rec = varint.Append(append(p.rec, kind), arg)
	v.SetSent(p.pn)
	return true
}

// Append appends frames to a packet's payload b, at most room bytes, and records in rec what they carry, as
// entries that begin with a byte from 0x40 to 0x7f. A probe repeats what is not acknowledged if there is
// nothing new. A STREAM frame that takes all of the room has no length, so that nothing may follow it in
// the packet.
func (s *Set) Append(b []byte, room int, pn wire.PacketNumber, rec []byte, probe bool) (payload, record []byte) {
	p := packer{b: b, end: len(b) + room, pn: pn, rec: rec, probe: probe, ahead: s.ahead()}
	if s.putLimits(&p) && s.putControl(&p) {
		s.putData(&p)
	}
	if probe && len(p.b) == len(b) {
		s.putProbe(&p)
	}
	return p.b, p.rec
}

// HasPending reports whether Append, with enough room and without probe, would append anything.
func (s *Set) HasPending() bool {
	return s.limitsDue() || s.peek(qControl) != nil || s.peekData(qResend) != nil ||
		s.sent < s.sendMax && s.peekData(qFresh) != nil
}

func (s *Set) limitsDue() bool {
	return s.recv.update.ShouldSend(false) || s.blocked.ShouldSend(false) ||
		s.remote[0].update.ShouldSend(false) || s.remote[1].update.ShouldSend(false) ||
		s.local[0].blocked.ShouldSend(false) || s.local[1].blocked.ShouldSend(false)
}

// putLimits appends frames about the connection as a whole. It returns false if there was no room.
func (s *Set) putLimits(p *packer) bool {
	if s.recv.update.ShouldSend(p.probe) {
		limit := s.recv.newLimit(unlimited)
		if !put(p, &s.recv.update, wire.MaxData{Max: uint64(limit)}, recMaxData, 0) {
			return false
		}
		s.recv.limit = limit
	}
	for k := range s.remote {
		if r := &s.remote[k]; r.update.ShouldSend(p.probe) {
			limit := r.newLimit()
			f := wire.MaxStreams{Uni: k == 1, Max: uint64(limit)}
			if !put(p, &r.update, f, recMaxStreams, uint64(k)) {
				return false
			}
			r.sentUpdate(limit)
		}
		if l := &s.local[k]; l.blocked.ShouldSend(p.probe) {
			f := wire.StreamsBlocked{Uni: k == 1, Limit: uint64(l.max)}
			if !put(p, &l.blocked, f, recStreamsBlocked, uint64(k)) {
				return false
			}
		}
	}
	if s.blocked.ShouldSend(p.probe) {
		return put(p, &s.blocked, wire.DataBlocked{Limit: uint64(s.blockedAt)}, recDataBlocked, 0)
	}
	return true
}

// putControl appends control frames of streams. It returns false if not all of them fit.
func (s *Set) putControl(p *packer) bool {
	for {
		st := s.peek(qControl)
		if st == nil {
			return true
		}
		if !st.putControl(p) {
			return false
		}
		s.dequeue(qControl)
	}
}

// controlDue reports whether putControl would append something.
func (st *stream) controlDue(probe bool) bool {
	h, r := &st.send, &st.recv
	return !h.done && (h.resetDue(probe) || h.blocked.ShouldSend(probe)) ||
		!r.done && (r.stop.ShouldSend(probe) || r.win.update.ShouldSend(probe))
}

// putControl appends the control frames of one stream. It returns false if not all of them fit.
//
// "A sender MUST NOT send any of these frames from a terminal state ('Data Recvd' or 'Reset Recvd')."
// https://www.rfc-editor.org/rfc/rfc9000#section-3.3-2
// "The content of a RESET_STREAM frame MUST NOT change when it is sent again."
// https://www.rfc-editor.org/rfc/rfc9000#section-13.3-3.4
func (st *stream) putControl(p *packer) bool {
	h, r, id := &st.send, &st.recv, uint64(st.id)
	if !h.done && h.resetDue(p.probe) && !st.putReset(p) {
		return false
	}
	if !h.done && h.blocked.ShouldSend(p.probe) {
		f := wire.StreamDataBlocked{ID: id, Limit: uint64(h.blockedAt)}
		if !put(p, &h.blocked, f, recStreamDataBlocked, id) {
			return false
		}
	}
	if !r.done && r.stop.ShouldSend(p.probe) {
		if !put(p, &r.stop, wire.StopSending{ID: id, Code: r.stopCode}, recStop, id) {
			return false
		}
	}
	if !r.done && r.win.update.ShouldSend(p.probe) {
		limit := r.win.newLimit(p.ahead)
		if !put(p, &r.win.update, wire.MaxStreamData{ID: id, Max: uint64(limit)}, recMaxStreamData, id) {
			return false
		}
		r.win.limit = limit
	}
	return true
}

// putData appends STREAM frames, lost data first and then new data. With lost data, the streams take turns
// for one frame each, which fills a packet if the stream has enough data.
//
// "An endpoint MUST NOT send data on any stream without ensuring that it is within the flow control limits set by its
// peer."
// https://www.rfc-editor.org/rfc/rfc9000#section-2.2-6
// "The data sent on a stream MUST NOT exceed the largest maximum stream data value advertised by the receiver."
// https://www.rfc-editor.org/rfc/rfc9000#section-19.10-8
func (s *Set) putData(p *packer) {
	for {
		st := s.peekData(qResend)
		if st == nil {
			break
		}
		if !s.putLost(p, st) {
			return
		}
		s.rotateData(qResend)
	}
	s.putFresh(p)
}

// putLost appends lost data of a stream, or its end. It returns false if there was no room.
func (s *Set) putLost(p *packer, st *stream) bool {
	h := &st.send
	if h.lost.NumRanges() == 0 {
		return st.putStream(p, h.end, h.end) >= 0
	}
	r := h.lost.Range(0)
	n := st.putStream(p, r.Start, r.End)
	if n < 0 {
		return false
	}
	h.lost.Sub(r.Start, r.Start+n)
	return true
}

// minData is the minimum room for which data is split.
const minData = 48

// putStream appends a STREAM frame with data from start on, but not beyond end, and the end of the stream
// if the data reaches it. It returns the number of bytes, or -1 if there was no room.
//
// "The data at a given offset MUST NOT change if it is sent multiple times"
// https://www.rfc-editor.org/rfc/rfc9000#section-2.2-4
func (st *stream) putStream(p *packer, start, end int64) int64 {
	h := &st.send
	f := wire.Stream{ID: uint64(st.id), Offset: uint64(start), ToEnd: true}
	n := int64(p.room() - f.Overhead(0))
	if n <= 0 || n > end-start {
		// The frame does not fill the packet, so it needs a length.
		f.ToEnd = false
		n = min(end-start, int64(p.room()-f.Overhead(p.room())))
	}
	if n < 0 || n < end-start && n < minData {
		return -1
	}
	f.Fin = h.fin && start+n == h.end
	p.b = f.AppendHeader(p.b, int(n))
	at := len(p.b)
	p.b = grow(p.b, int(n))
	h.buf.read(p.b[at:], start)
	if f.Fin {
		h.finVal.SetSent(p.pn)
	}
	p.rec = appendDataRecord(p.rec, st.id, start, n, f.Fin)
	return n
}

// grow extends b by n bytes. The caller must set them.
func grow(b []byte, n int) []byte {
	if len(b)+n <= cap(b) {
		return b[:len(b)+n]
	}
	return append(b, make([]byte, n)...)
}

// putProbe repeats something that is not acknowledged, of the first stream that has any. Every second probe
// repeats the oldest data, because a receiver that is out of memory may accept nothing else. The probes
// between repeat other data.
func (s *Set) putProbe(p *packer) {
	for _, st := range s.all {
		h := &st.send
		if st.withheld {
			continue
		}
		if st.controlDue(true) {
			before := len(p.b)
			if !st.putControl(p) || len(p.b) > before {
				return
			}
		}
		if h.done || h.resetting {
			continue
		}
		from := h.acked
		if h.probeOldest {
			from = max(from, h.probed)
		}
		start, end := h.unacked(from)
		if start == end {
			start, end = h.unacked(h.acked)
		}
		if start == end && !h.finVal.ShouldSend(true) {
			continue
		}
		n := st.putStream(p, start, end)
		if end := start + max(n, 0); h.probeOldest || end > h.probed {
			h.probed = end
		}
		h.probeOldest = !h.probeOldest
		return
	}
}

// unacked returns the first range, from an offset on, that was sent but not acknowledged and must arrive, or an empty
// range at the end of that.
func (h *sendHalf) unacked(from int64) (start, end int64) {
	start, end = from, h.reliableEnd()
	if r, ok := h.above.Behind(start); ok && r.Start <= start {
		start = r.End
	}
	if r, ok := h.above.Behind(start); ok {
		end = min(end, r.Start)
	}
	return min(start, end), end
}
