package core

import (
	"github.com/pqquic/pqquic/internal/varint"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/streams"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// cryptoSend is the sending side of one level's CRYPTO stream. The provider bounds the size of flights, so
// the data stays in one buffer until all of it is acknowledged.
type cryptoSend struct {
	buf     []byte
	base    int64                    // offset of buf[0]
	pending recovery.RangeSet[int64] // ranges to send: new, lost or probed
	unacked recovery.RangeSet[int64] // ranges not yet acknowledged
	cuts    helloCuts                // of a client's ClientHello
}

// write appends data. It belongs to s from then on, which frees it by streams.FreeBuffer.
func (s *cryptoSend) write(p []byte) {
	start := s.base + int64(len(s.buf))
	s.pending.Add(start, start+int64(len(p)))
	s.unacked.Add(start, start+int64(len(p)))
	if s.buf == nil {
		s.buf = p
		return
	}
	s.buf = append(streams.GrowBuffer(s.buf, len(s.buf)+len(p)), p...)
	streams.FreeBuffer(p)
}

func (s *cryptoSend) hasPending() bool { return s.pending.NumRanges() > 0 }

// appendFrames appends CRYPTO frames for as many pending ranges as fit, the lowest first unless there are cuts.
func (s *cryptoSend) appendFrames(b []byte, room int, rec []byte) ([]byte, []byte) {
	for s.pending.NumRanges() > 0 {
		r := s.next()
		n := r.End - r.Start
		// The overhead is type, offset and length. Two bytes are enough for the length of any frame.
		overhead := int64(1 + varint.Size(uint64(r.Start)) + 2)
		if most := int64(room) - overhead; n > most {
			n = most
		}
		if n <= 0 {
			break
		}
		f := wire.Crypto{Offset: uint64(r.Start), Data: s.buf[r.Start-s.base : r.Start-s.base+n]}
		before := len(b)
		b = f.Append(b)
		room -= len(b) - before
		rec = appendRecord2(rec, recCrypto, uint64(r.Start), uint64(n))
		s.pending.Sub(r.Start, r.Start+n)
	}
	return b, rec
}

// fate handles the acknowledgement or loss of one frame.
func (s *cryptoSend) fate(start, n int64, fate recovery.Fate) {
	if fate == recovery.Acked {
		s.unacked.Sub(start, start+n)
		s.pending.Sub(start, start+n)
		if s.unacked.NumRanges() == 0 {
			s.base += int64(len(s.buf))
			s.free()
		}
		return
	}
	for i := 0; i < s.unacked.NumRanges(); i++ {
		r := s.unacked.Range(i)
		lo, hi := max(r.Start, start), min(r.End, start+n)
		if lo < hi {
			s.pending.Add(lo, hi)
		}
	}
}

// free frees the buffer, of which nothing is sent again.
func (s *cryptoSend) free() {
	streams.FreeBuffer(s.buf)
	s.buf = nil
}

// probe makes up to limit bytes from the front of the unacknowledged data pending again and returns how
// many it found. A probe then carries data that the peer may be missing instead of a PING frame.
func (s *cryptoSend) probe(limit int64) (used int64) {
	for i := 0; i < s.unacked.NumRanges() && limit > 0; i++ {
		r := s.unacked.Range(i)
		n := min(limit, r.End-r.Start)
		s.pending.Add(r.Start, r.Start+n)
		limit -= n
		used += n
	}
	return used
}
