package streams

import "fmt"

// CheckInvariants verifies what must hold between any two calls.
func (s *Set) CheckInvariants() error {
	var in, out, unacked int64
	for i, st := range s.order {
		h, r := &st.send, &st.recv
		switch {
		case st.gone || st.index != i || s.streams[st.id] != st:
			return fmt.Errorf("stream %d: lost its place", st.id)
		case h.next > h.max && h.max > 0 || h.next > h.written:
			return fmt.Errorf("stream %d: sent %d, allowed %d, written %d", st.id, h.next, h.max, h.written)
		case h.written-h.buf.base > s.cfg.SendBuffer && !h.reset.IsSet():
			return fmt.Errorf("stream %d: %d bytes in the send buffer", st.id, h.written-h.buf.base)
		case r.highest > r.win.max:
			return fmt.Errorf("stream %d: received %d, allowed %d", st.id, r.highest, r.win.max)
		case r.have.NumRanges() > maxGaps:
			return fmt.Errorf("stream %d: %d gaps", st.id, r.have.NumRanges())
		case !st.queued && !st.waits && st.pending():
			return fmt.Errorf("stream %d: has something to send and is not queued", st.id)
		}
		in += r.highest
		out += h.next
		if h.open && !h.reset.IsSet() {
			unacked += h.outstanding()
		}
	}
	switch {
	case unacked != s.unacked:
		return fmt.Errorf("%d bytes unacknowledged counted, %d there", s.unacked, unacked)
	case in > s.inTotal || s.inTotal > s.in.max:
		return fmt.Errorf("received %d on streams, %d in all, allowed %d", in, s.inTotal, s.in.max)
	case out > s.outTotal || s.outTotal > s.outMax:
		return fmt.Errorf("sent %d on streams, %d in all, allowed %d", out, s.outTotal, s.outMax)
	}
	return nil
}
