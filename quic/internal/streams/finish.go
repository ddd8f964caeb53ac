package streams

// CloseSending frees everything but what was received, which can still be read: the peer has closed
// the connection after its last bytes. Nothing is sent any more, and the windows give back what they
// had taken from the budget.
func (s *Set) CloseSending() {
	for _, st := range s.order {
		st.send.buf.release()
		st.send = sendHalf{}
		st.recv.win.freeze(s.cfg.Budget)
		st.queued, st.waits = false, false
	}
	s.in.freeze(s.cfg.Budget)
	s.queue, s.waiting, s.unacked, s.wasDirty = nil, nil, 0, false
	for i := len(s.order) - 1; i >= 0; i-- {
		s.forgetIfDone(s.order[i])
	}
}

// freeze keeps the window from growing ever again.
func (w *window) freeze(budget *Budget) {
	w.release(budget)
	w.limit = w.size
}
