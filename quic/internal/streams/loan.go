package streams

// A Loan is a slice that the application lends to a stream, so that it is sent without being copied. The bytes
// must not change until the loan is returned, which is when none of them is in the send buffer any more and
// EndLoan was called. PollReturned then returns the loan, once.
type Loan struct {
	p        []byte
	rest     []byte // not in the send buffer yet
	segments int    // segments of the send buffer with a part of p
	ended    bool   // the application adds no more of p
	Release  func(p []byte)
	next     *Loan // in a loanList
}

// NewLoan returns a loan of p. release is for the application.
func NewLoan(p []byte, release func([]byte)) *Loan { return &Loan{p: p, rest: p, Release: release} }

// Bytes returns the slice that was lent.
func (l *Loan) Bytes() []byte { return l.p }

// Next returns the loan that PollReturned returned after this one, or nil.
func (l *Loan) Next() *Loan { return l.next }

// leastLent is the minimum number of bytes of a part of a loan, unless nothing else is in the buffer or it
// is the last part. A segment takes 48 bytes of memory, which is not counted.
const leastLent = 1 << 10

// Lend adds to a stream's send buffer what has room of the rest of a loan, and returns how many bytes these
// are. If something is left, it returns ErrBlocked, and EventWritable follows when there is room. Other
// errors are those of Write. The memory of a loan is the application's and does not count towards the
// budget. Whatever Lend returns, the application must call EndLoan in the end.
func (s *Set) Lend(id ID, l *Loan) (int, error) {
	st := s.find(id)
	if err := st.sendError(); err != nil {
		s.maybeEndSend(st)
		return 0, err
	}
	h := &st.send
	n := min(int64(len(l.rest)), s.cfg.SendBuffer-(h.end-h.acked))
	if n < int64(len(l.rest)) && n < leastLent && h.end > h.acked {
		n = 0
	}
	if n > 0 {
		h.buf.lend(h.end, l, int(n))
		s.extend(st, n)
	}
	if len(l.rest) > 0 {
		h.waiting, h.copies = true, false
		return int(n), ErrBlocked
	}
	return int(n), nil
}

// EndLoan is called when the application adds no more of a loan.
func (s *Set) EndLoan(l *Loan) {
	l.ended = true
	s.returned.addIfDone(l)
}

// PollReturned returns the first of the loans that were returned since the last call, or nil. Loan.Next
// returns the others. It can also be called after Close.
func (s *Set) PollReturned() *Loan { return s.returned.take() }

// WriteChunk is like Write for the first n bytes of a chunk, at least half of it. It does not copy them: the chunk
// belongs to the Set afterwards. If there is no room for all of it, WriteChunk returns ErrBlocked, and EventWritable
// follows when there is. If the chunk is too large for the buffer or for the memory that is left, it returns ErrTooLarge,
// and Write can add a part of the bytes. After any error, the chunk still belongs to the caller.
func (s *Set) WriteChunk(id ID, c *Chunk, n int) error {
	st := s.find(id)
	if err := st.sendError(); err != nil {
		s.maybeEndSend(st)
		return err
	}
	h := &st.send
	if int64(n) > s.cfg.SendBuffer/4 || int64(len(c.mem)) > s.sendRoom(st) {
		return ErrTooLarge
	}
	if int64(n) > s.writeRoom(st) {
		h.waiting, h.copies = true, true
		return ErrBlocked
	}
	s.keepPromise(st)
	h.buf.add(h.end, c, n)
	s.chargeSend(st)
	s.extend(st, int64(n))
	return nil
}

// A loanList is a list of loans, in order. last.next is the first, so that an empty list takes one word.
type loanList struct{ last *Loan }

// addIfDone appends a loan if it is returned.
func (q *loanList) addIfDone(l *Loan) {
	if l.segments > 0 || !l.ended {
		return
	}
	if q.last == nil {
		l.next = l
	} else {
		l.next, q.last.next = q.last.next, l
	}
	q.last = l
}

// take empties the list and returns its first loan.
func (q *loanList) take() *Loan {
	last := q.last
	if last == nil {
		return nil
	}
	first := last.next
	q.last, last.next = nil, nil
	return first
}
