package streams

import "fmt"

// CheckInvariants returns an error if the Set's state is inconsistent. It takes time proportional to the
// number of streams and buffered chunks. Tests call it; production code does not.
func (s *Set) CheckInvariants() error {
	var received, consumed, sent, sendHeld, recvHeld, readable int64
	unflushed, bulk := int32(0), int32(0)
	for i, st := range s.all {
		if st.index != i || st.gone || s.lookUp(st.id) != st || st.send.done && st.recv.done {
			return fmt.Errorf("stream %d is listed but cannot be found", st.id)
		}
		if err := s.checkSend(st); err != nil {
			return fmt.Errorf("stream %d: %w", st.id, err)
		}
		if err := s.checkRecv(st); err != nil {
			return fmt.Errorf("stream %d: %w", st.id, err)
		}
		received += st.recv.win.received
		consumed += st.recv.win.consumed
		sent += st.send.sent
		readable += st.recv.next - st.recv.win.consumed
		sendHeld += st.send.buf.size()
		recvHeld += st.recv.buf.size() + gapMemory*int64(st.recv.later.NumRanges())
		if st.send.unflushed {
			unflushed++
		}
		if st.recv.isBulk() {
			bulk++
		}
	}
	w := &s.recv
	switch {
	case s.streams != nil && len(s.all) != len(s.streams):
		return fmt.Errorf("%d streams are listed, but %d are known", len(s.all), len(s.streams))
	case unflushed != s.unflushed:
		return fmt.Errorf("%d streams are counted as unflushed, but %d are", s.unflushed, unflushed)
	case bulk != s.bulkStreams:
		return fmt.Errorf("%d streams are counted as bulk data, but %d are", s.bulkStreams, bulk)
	case w.received-w.consumed != received-consumed:
		return fmt.Errorf("%d bytes are counted as unread, but %d are", w.received-w.consumed, received-consumed)
	case received > w.received || sent > s.sent || s.sent > s.sendMax:
		return fmt.Errorf("received %d of %d, sent %d of %d, limit %d", received, w.received, sent, s.sent, s.sendMax)
	case sendHeld+s.datagramsSend != s.sendShare.held || recvHeld+s.datagramsRecv != s.recvShare.held:
		return fmt.Errorf("%d and %d bytes are charged, but %d and %d are held", s.sendShare.held, s.recvShare.held, sendHeld, recvHeld)
	case readable != s.readable:
		return fmt.Errorf("%d bytes are counted as readable, but %d are", s.readable, readable)
	case s.starvedAt.IsZero() && s.peek(qStarved) != nil:
		return fmt.Errorf("streams are starved but no timer is set")
	}
	if err := w.check(); err != nil {
		return fmt.Errorf("connection: %w", err)
	}
	if err := s.prio.check(); err != nil {
		return err
	}
	return s.checkLimits()
}

func (w *window) check() error {
	switch {
	case w.consumed > w.received || w.received > w.limit || w.limit > w.consumed+w.size:
		return fmt.Errorf("consumed %d, received %d, limit %d, window %d", w.consumed, w.received, w.limit, w.size)
	case w.size > w.max:
		return fmt.Errorf("the window of %d exceeds its maximum of %d", w.size, w.max)
	}
	return nil
}

func (s *Set) checkLimits() error {
	for k := range s.remote {
		r, l := &s.remote[k], &s.local[k]
		open := r.opened - r.returned - s.aborts.withheld[k]
		switch {
		case r.accepted > r.opened || r.opened > r.limit || r.announced > r.opened:
			return fmt.Errorf("accepted %d, opened %d, limit %d", r.accepted, r.opened, r.limit)
		case open < 0 || open > r.size:
			return fmt.Errorf("%d streams of the peer are open, but %d are allowed", open, r.size)
		case l.opened > l.max && !s.hasWithheld:
			return fmt.Errorf("%d streams were opened, but %d are allowed", l.opened, l.max)
		}
	}
	return nil
}

func (s *Set) checkSend(st *stream) error {
	h := &st.send
	switch {
	case h.done:
		if h.buf.size() > 0 {
			return fmt.Errorf("data is kept after the end")
		}
		return nil
	case h.acked > h.sent || h.sent > h.end || h.sent > h.max:
		return fmt.Errorf("acked %d, sent %d, end %d, limit %d", h.acked, h.sent, h.end, h.max)
	case h.end-h.acked > s.cfg.SendBuffer:
		return fmt.Errorf("the send buffer should hold %d bytes", h.end-h.acked)
	case h.buf.size() > 2*(h.end-h.acked)+2*maxChunk: // chunks of WriteChunk are at least half full
		return fmt.Errorf("%d bytes of memory are used for %d bytes", h.buf.size(), h.end-h.acked)
	case h.resettingAt && !h.resetting && (h.reliable > h.end || h.fin):
		return fmt.Errorf("RESET_STREAM_AT for %d of %d bytes, fin %t", h.reliable, h.end, h.fin)
	case h.unflushed == h.isFlushed():
		return fmt.Errorf("the stream is miscounted as flushed or unflushed")
	}
	if !h.resetting {
		if err := h.buf.check(h.acked, h.end); err != nil {
			return err
		}
	}
	for i := range h.above.NumRanges() {
		if r := h.above.Range(i); r.Start <= h.acked || r.End > h.sent {
			return fmt.Errorf("acked [%d, %d) beyond %d of %d", r.Start, r.End, h.acked, h.sent)
		}
	}
	for i := range h.lost.NumRanges() {
		if r := h.lost.Range(i); r.Start < h.acked || r.End > h.reliableEnd() {
			return fmt.Errorf("lost [%d, %d) of [%d, %d)", r.Start, r.End, h.acked, h.reliableEnd())
		}
	}
	for q := range numQueues {
		if st.belongs(q) && st.queued&(1<<q) == 0 {
			return fmt.Errorf("the stream is not in queue %d", q)
		}
	}
	return nil
}

func (s *Set) checkRecv(st *stream) error {
	r := &st.recv
	if r.done {
		if r.buf.size() > 0 || r.win.consumed != r.win.received {
			return fmt.Errorf("data is kept after the end")
		}
		return nil
	}
	switch {
	case r.next < r.win.consumed || r.next > r.win.received || r.final >= 0 && r.win.received > r.final:
		return fmt.Errorf("consumed %d, next %d, received %d, final %d", r.win.consumed, r.next, r.win.received, r.final)
	case r.resettingAt && !r.reset && r.next > max(r.reliable, r.win.consumed):
		return fmt.Errorf("data up to %d is kept of a stream that is reset at %d", r.next, r.reliable)
	case r.buf.size() > r.win.received-r.win.consumed+2*maxChunk:
		return fmt.Errorf("%d bytes of memory are used for %d bytes", r.buf.size(), r.win.received-r.win.consumed)
	case int64(r.later.NumRanges()) > max(maxGaps, r.win.size/bytesPerGap):
		return fmt.Errorf("the stream has %d gaps", r.later.NumRanges())
	case r.later.NumRanges() > 0 && r.later.Range(0).Start <= r.next:
		return fmt.Errorf("later data begins at %d, not after %d", r.later.Range(0).Start, r.next)
	}
	return r.win.check()
}

// check verifies that each stream knows its place and is in the queue of its priority.
func (p *priorities) check() error {
	if p == nil {
		return nil
	}
	for q := qResend; q <= qFresh; q++ {
		for u := range p.levels[q-qResend] {
			l := &p.levels[q-qResend][u]
			for j, h := range []turnHeap{l.shared, l.ordered} {
				for i, t := range h {
					switch st := t.st; {
					case st.place[q-qResend] != int32(i) || st.queued&(1<<q) == 0:
						return fmt.Errorf("stream %d is in queue %d and does not know its place", st.id, q)
					case int(st.urgency) != u || st.ordered != (j == 1):
						return fmt.Errorf("stream %d is in the queue of another priority", st.id)
					case i > 0 && h[(i-1)/2].key >= t.key:
						return fmt.Errorf("queue %d is out of order at stream %d", q, st.id)
					}
				}
			}
		}
	}
	return nil
}
