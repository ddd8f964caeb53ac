package streams

import (
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// packer appends frames to a packet while they fit.
type packer struct {
	b     []byte
	limit int // of len(b)
	rec   []byte
	pn    wire.PacketNumber
	probe bool
}

func (p *packer) room() int { return p.limit - len(p.b) }

// put appends a frame of a value if it is due and fits; false if it did not fit.
func (p *packer) put(v *recovery.SentVal, size int, f func([]byte) []byte, kind byte, id ID) bool {
	if !v.ShouldSend(p.probe) {
		return true
	}
	if size > p.room() {
		return false
	}
	p.b = f(p.b)
	p.rec = wire.AppendVarint(append(p.rec, kind), uint64(id))
	v.SetSent(p.pn)
	return true
}

// Append appends frames, at most room bytes, to the packet pn, and to rec a record of them for
// ConsumeRecord. A probe repeats what is still on its way.
func (s *Set) Append(b []byte, room int, pn wire.PacketNumber, rec []byte, probe bool) ([]byte, []byte) {
	p := packer{b: b, limit: len(b) + room, rec: rec, pn: pn, probe: probe}
	before := len(b)
	s.appendLimits(&p)
	for n := len(s.queue); n > 0 && p.room() > minFrameRoom; n-- {
		st := s.queue[0]
		if !st.gone && !st.appendTo(&p) {
			break // the packet is full; the stream goes on in the next one
		}
		st.queued = false
		s.pop()
		if !st.gone && st.pending() {
			st.enqueue()
		}
	}
	if probe && len(p.b) == before {
		s.appendProbe(&p)
	}
	return p.b, p.rec
}

// minFrameRoom is room in which no frame of a stream is worth starting.
const minFrameRoom = 32

func (s *Set) pop() {
	copy(s.queue, s.queue[1:])
	s.queue[len(s.queue)-1] = nil
	s.queue = s.queue[:len(s.queue)-1]
}

// appendLimits appends frames about the connection as a whole.
func (s *Set) appendLimits(p *packer) {
	if s.in.val.ShouldSend(p.probe) {
		f := wire.MaxData{Max: uint64(s.in.max)}
		p.put(&s.in.val, f.Size(), f.Append, recMaxData, 0)
	}
	for k := range s.remote {
		if r := &s.remote[k]; r.val.ShouldSend(p.probe) {
			f := wire.MaxStreams{Uni: k == 1, Max: uint64(r.max)}
			p.put(&r.val, f.Size(), f.Append, recMaxStreams, ID(k))
		}
		if l := &s.local[k]; l.blocked.ShouldSend(false) {
			f := wire.StreamsBlocked{Uni: k == 1, Limit: uint64(l.max)}
			p.put(&l.blocked, f.Size(), f.Append, recStreamsBlocked, ID(k))
		}
	}
	if s.outBlock.ShouldSend(false) {
		f := wire.DataBlocked{Limit: uint64(s.blockedAt)}
		p.put(&s.outBlock, f.Size(), f.Append, recDataBlocked, 0)
	}
}

// appendTo appends a stream's frames; false if there was no room for all of them.
func (st *stream) appendTo(p *packer) bool {
	h, r := &st.send, &st.recv
	if r.open {
		stop := wire.StopSending{ID: uint64(st.id), Code: r.stopFor}
		grant := wire.MaxStreamData{ID: uint64(st.id), Max: uint64(r.win.max)}
		if !p.put(&r.stop, stop.Size(), stop.Append, recStop, st.id) ||
			r.final < 0 && !p.put(&r.win.val, grant.Size(), grant.Append, recMaxStreamData, st.id) {
			return false
		}
	}
	if !h.open {
		return true
	}
	if h.reset.IsSet() {
		f := wire.ResetStream{ID: uint64(st.id), Code: h.code, FinalSize: uint64(h.next)}
		return p.put(&h.reset, f.Size(), f.Append, recReset, st.id)
	}
	for h.lost.NumRanges() > 0 {
		lost := h.lost.Range(0)
		n := st.appendData(p, lost.Start, lost.End)
		if n < 0 {
			return false
		}
		h.lost.Sub(lost.Start, lost.Start+n)
	}
	return st.appendNew(p)
}

// appendNew appends bytes that were never sent, as far as both windows allow, and the FIN.
func (st *stream) appendNew(p *packer) bool {
	h, s := &st.send, st.set
	for h.next < h.written {
		end := min(h.written, h.max, h.next+s.outMax-s.outTotal)
		if end <= h.next {
			st.noteBlocked(p)
			return true
		}
		n := st.appendData(p, h.next, end)
		if n < 0 {
			return false
		}
		h.next += n
		s.outTotal += n
	}
	if h.fin && h.finVal.ShouldSend(p.probe) {
		return st.appendData(p, h.written, h.written) >= 0
	}
	return true
}

// noteBlocked says which window holds the stream back.
func (st *stream) noteBlocked(p *packer) {
	h, s := &st.send, st.set
	if h.next >= h.max {
		if !h.blocked.IsSet() || h.at != h.max {
			h.blocked.Set()
			h.at = h.max
		}
		f := wire.StreamDataBlocked{ID: uint64(st.id), Limit: uint64(h.at)}
		p.put(&h.blocked, f.Size(), f.Append, recStreamDataBlocked, st.id)
		return
	}
	if !s.outBlock.IsSet() || s.blockedAt != s.outMax {
		s.outBlock.Set()
		s.blockedAt = s.outMax
	}
	if !st.waits {
		st.waits = true
		s.waiting = append(s.waiting, st)
	}
}

// appendData appends a STREAM frame for a part of [start, end), with the FIN if that is the end of
// the stream. It returns the number of bytes, or -1 if none fit.
func (st *stream) appendData(p *packer, start, end int64) int64 {
	h := &st.send
	f := wire.Stream{ID: uint64(st.id), Offset: uint64(start)}
	n := int64(min(p.room(), chunkSize)) - int64(f.Overhead(p.room()))
	if n < 0 || n == 0 && start < end {
		return -1
	}
	n = min(n, end-start)
	f.Fin = h.fin && start+n == h.written
	p.b = f.AppendHeader(p.b, int(n))
	at := len(p.b)
	p.b = p.b[:at+int(n)]
	h.buf.read(p.b[at:], start)
	if f.Fin {
		h.finVal.SetSent(p.pn)
	}
	p.rec = appendDataRecord(p.rec, st.id, start, n, f.Fin)
	return n
}

// pending reports whether appendTo would append something.
func (st *stream) pending() bool {
	h, r := &st.send, &st.recv
	if r.open && (r.stop.ShouldSend(false) || r.final < 0 && r.win.val.ShouldSend(false)) {
		return true
	}
	switch {
	case !h.open:
		return false
	case h.reset.IsSet():
		return h.reset.ShouldSend(false)
	case h.lost.NumRanges() > 0 || h.blocked.ShouldSend(false):
		return true
	case h.next < h.written:
		return h.next < h.max && st.set.outTotal < st.set.outMax
	}
	return h.fin && h.finVal.ShouldSend(false)
}

// HasPending reports whether Append would append something.
func (s *Set) HasPending() bool {
	return len(s.queue) > 0 || s.in.val.ShouldSend(false) || s.outBlock.ShouldSend(false) ||
		s.remote[0].val.ShouldSend(false) || s.remote[1].val.ShouldSend(false) ||
		s.local[0].blocked.ShouldSend(false) || s.local[1].blocked.ShouldSend(false)
}

// appendProbe repeats the first bytes that are not acknowledged of one stream.
func (s *Set) appendProbe(p *packer) {
	for _, st := range s.order {
		h := &st.send
		if !h.open || h.reset.IsSet() {
			if h.open && !st.appendTo(p) {
				return
			}
			continue
		}
		start, end := h.buf.base, h.next
		if h.acked.NumRanges() > 0 {
			end = min(end, h.acked.Range(0).Start)
		}
		if start < end || h.fin && h.finVal.ShouldSend(true) {
			st.appendData(p, start, max(start, end))
			return
		}
	}
}
