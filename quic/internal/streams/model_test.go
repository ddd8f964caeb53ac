package streams

import (
	"io"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/recovery"
)

// A model is the expected state of a stream: what was written at one end must be read at the other.
type model struct {
	id      ID
	written [2]int64 // by the client, by the server
	read    [2]int64
	size    [2]int64 // size to be written
	closed  [2]bool
	aborted [2]bool  // this direction was reset or stopped by either side
	resetAt [2]bool  // it was reset with a reliable size
	minimum [2]int64 // what must arrive although this direction was reset
	done    [2]bool  // this direction was read to its end

	loan   [2]*Loan  // of this side, with a rest that is not written yet
	peeked [2][]byte // the unread bytes that Peek has returned at the other side
	behind [2][]byte // what PeekBehind has returned for these
}

// A world runs a pair of Sets over a network that loses, reorders and duplicates packets.
type world struct {
	t       *testing.T
	rng     *rand.Rand
	now     monotime.Time
	sides   [2]*peer
	flying  [2][]*packet
	late    [2][]*packet // declared lost, but may still arrive
	streams map[ID]*model
	loss    float64

	lent    map[*Loan]lent
	parts   int  // loans of which a part was written
	held    int  // streams that were aborted while peeked bytes were in use
	lazy    bool // the applications seldom read
	refused int  // packets for which there was no memory
	starved uint64
}

// A lent slice contains what its stream has from off on.
type lent struct {
	id  ID
	off int64
}

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 1)), now: 1, streams: make(map[ID]*model),
		lent: make(map[*Loan]lent)}
	cfg := func() *Config {
		c := testConfig()
		c.RecvWindow, c.ConnWindow = 1+w.rng.Int64N(20000), 1+w.rng.Int64N(30000)
		c.SendBuffer = 1 + w.rng.Int64N(50000)
		c.ResetStreamAt = true
		c.MaxBidi, c.MaxUni = w.rng.Int64N(4), w.rng.Int64N(4)
		c.SendMemory, c.RecvMemory = NewBudget(w.rng.Int64N(1<<16)), NewBudget(w.rng.Int64N(1<<16))
		if w.rng.IntN(2) == 0 { // budgets limit more than windows do
			c.RecvWindow, c.ConnWindow, c.SendBuffer = 1<<18, 1<<20, 1<<18
			w.lazy = true
		}
		return c
	}
	w.sides[0], w.sides[1] = newPair(t, cfg(), cfg())
	w.loss = w.rng.Float64() * 0.5
	return w
}

// exists reports whether the stream has a direction from a side.
func (m *model) exists(side int) bool {
	return !m.id.Uni() || int(m.id.Initiator()) == side
}

// transmit sends, delivers, loses or repeats some packets of one side.
func (w *world) transmit(side int) {
	p, q := w.sides[side], w.sides[1-side]
	for range w.rng.IntN(4) {
		room := 64 + w.rng.IntN(1400)
		if pkt := p.send(room, false); pkt != nil {
			w.flying[side] = append(w.flying[side], pkt)
		} else if pkt := p.send(room, w.rng.IntN(10) == 0); pkt != nil {
			w.flying[side] = append(w.flying[side], pkt)
		}
	}
	for range w.rng.IntN(5) {
		f := w.flying[side]
		if len(f) == 0 {
			break
		}
		i := w.rng.IntN(min(len(f), 8))
		pkt := f[i]
		w.flying[side] = append(f[:i], f[i+1:]...)
		if w.rng.Float64() < w.loss {
			p.fate(pkt, recovery.Lost)
			if w.rng.IntN(3) == 0 { // the packet was only late
				w.late[side] = append(w.late[side], pkt)
			}
			continue
		}
		w.deliver(p, q, pkt)
	}
	if l := w.late[side]; len(l) > 0 && w.rng.IntN(4) == 0 {
		w.late[side] = l[1:]
		w.deliver(p, q, l[0])
	}
}

func (w *world) deliver(p, q *peer, pkt *packet) {
	if !q.Admits(w.now, pkt.payload) {
		w.refused++
		p.fate(pkt, recovery.Lost)
		return
	}
	require.NoError(w.t, q.receive(w.now, testRTT, pkt))
	p.fate(pkt, recovery.Acked)
}

// open opens a stream of a random type if that is allowed.
func (w *world) open(side int) {
	id, err := w.sides[side].Open(w.rng.IntN(2) == 0)
	if err != nil {
		require.ErrorIs(w.t, err, ErrLimit)
		return
	}
	m := &model{id: id}
	w.streams[id] = m
	for i := range m.size {
		m.size[i] = w.rng.Int64N(1 << w.rng.IntN(18))
	}
}

// put writes up to n bytes in one of three ways: by copying them, by lending them, or in a chunk.
func (w *world) put(m *model, side int, n int64) (int, error) {
	p, way := w.sides[side], w.rng.IntN(3)
	chunk := NewChunk(w.rng.IntN(2) == 0)
	if l := m.loan[side]; l != nil || way == 1 && n > 0 {
		if l == nil {
			l = NewLoan(fill(make([]byte, n), m.id, m.written[side]), nil)
			w.lent[l] = lent{m.id, m.written[side]}
			m.loan[side] = l
		}
		got, err := p.Lend(m.id, l)
		if err != ErrBlocked || w.rng.IntN(10) == 0 { // as if a deadline passed
			p.EndLoan(l)
			m.loan[side] = nil
		} else if got > 0 {
			w.parts++
		}
		return got, err
	} else if full := int64(len(chunk.Bytes())); way == 2 && n >= full/2 {
		n = min(n, full)
		fill(chunk.Bytes()[:n], m.id, m.written[side])
		err := p.WriteChunk(m.id, chunk, int(n))
		if err == nil {
			return int(n), nil
		}
		chunk.Free()
		if err != ErrTooLarge {
			return 0, err
		}
	}
	return p.Write(m.id, fill(make([]byte, n), m.id, m.written[side]))
}

// takeLoans checks that the slices that a side has returned are unchanged, and reuses them.
func (w *world) takeLoans(side int) {
	has := w.sides[side].HasOutput()
	for l := w.sides[side].PollReturned(); l != nil; l = l.Next() {
		require.True(w.t, has, "HasOutput missed a loan")
		require.Contains(w.t, w.lent, l, "the loan is returned once")
		checkPattern(w.t, l.Bytes(), w.lent[l].id, w.lent[l].off)
		delete(w.lent, l)
		clear(l.Bytes())
	}
}

func (w *world) write(m *model, side int) {
	if !m.exists(side) || w.rng.IntN(2) == 0 {
		return
	}
	p := w.sides[side]
	if l := m.loan[side]; l != nil && m.closed[side] {
		p.EndLoan(l) // the stream was reset
		m.loan[side] = nil
	}
	if m.closed[side] {
		return
	}
	got, err := w.put(m, side, min(m.size[side]-m.written[side], w.rng.Int64N(20000)))
	m.written[side] += int64(got)
	var stopped *StoppedError
	switch {
	case err == ErrBlocked:
	case err == ErrClosed && int(m.id.Initiator()) != side:
		return // not opened here yet
	case err != nil:
		require.ErrorAs(w.t, err, &stopped)
		require.True(w.t, m.aborted[side])
		m.closed[side] = true
	case m.written[side] == m.size[side]:
		if err := p.CloseWrite(m.id); err != nil {
			require.ErrorAs(w.t, err, &stopped)
		}
		m.closed[side] = true
	}
}

// read reads the data that side has sent, at the other side.
func (w *world) read(m *model, side int) {
	if !m.exists(side) || m.done[side] || w.lazy && w.rng.IntN(50) > 0 {
		return
	}
	n, err := w.get(m, side, w.rng.Int64N(20000))
	m.read[side] += n
	require.LessOrEqual(w.t, m.read[side], m.written[side])
	var reset *ResetError
	switch {
	case err == nil || err == ErrBlocked:
	case err == ErrClosed:
		// The stream has not been opened here yet.
		require.NotEqual(w.t, int(m.id.Initiator()), 1-side)
		require.Zero(w.t, m.read[side])
	case err == io.EOF:
		require.Equal(w.t, m.size[side], m.read[side])
		m.done[side] = true
	default:
		require.ErrorAs(w.t, err, &reset)
		require.True(w.t, m.aborted[side])
		require.GreaterOrEqual(w.t, m.read[side], m.minimum[side], "less than the reliable size was delivered")
		m.done[side] = true
	}
}

// checkPeeked checks the bytes that were peeked. They follow what was read and some that were consumed since.
func (w *world) checkPeeked(m *model, side int, consumed int64) {
	at := m.read[side] + consumed
	checkPattern(w.t, m.peeked[side], m.id, at)
	checkPattern(w.t, m.behind[side], m.id, at+int64(len(m.peeked[side])))
}

// get consumes up to n bytes by one of Read, Peek and Discard.
func (w *world) get(m *model, side int, n int64) (int64, error) {
	q := w.sides[1-side]
	w.checkPeeked(m, side, 0)
	if w.rng.IntN(2) == 0 {
		n = min(n, int64(len(m.peeked[side])))
		m.peeked[side], m.behind[side] = nil, nil
		n, err := q.Discard(w.now, testRTT, m.id, n)
		if err == ErrClosed && m.done[side] || err == io.EOF || m.aborted[side] {
			return n, err
		}
		want := int(w.rng.Int64N(int64(q.MaxPeek()) + 1))
		b, peekErr := q.Peek(m.id, want)
		require.True(w.t, len(b) >= want || peekErr != nil)
		m.peeked[side], m.behind[side] = b, q.PeekBehind(m.id, len(b))
		w.checkPeeked(m, side, n)
		if len(b) == 0 && peekErr != nil {
			err = peekErr
		}
		return n, err
	}
	p := make([]byte, n)
	got, err := q.Read(w.now, testRTT, m.id, p)
	if m.peeked[side], m.behind[side] = nil, nil; got == 0 {
		return 0, err
	}
	checkPattern(w.t, p[:got], m.id, m.read[side])
	return int64(got), err
}

// abort resets or stops a direction.
func (w *world) abort(m *model, side int) {
	if !m.exists(side) {
		return
	}
	if !m.done[side] && len(m.peeked[side]) > 0 {
		w.held++
	}
	if w.rng.IntN(3) == 0 {
		if w.sides[side].Reset(m.id, 7) == nil {
			m.aborted[side], m.closed[side], m.minimum[side] = true, true, 0
		}
	} else if w.rng.IntN(2) == 0 {
		if size := w.rng.Int64N(m.written[side] + 1); w.sides[side].ResetAt(m.id, 7, size) == nil {
			if !m.resetAt[side] || size < m.minimum[side] {
				m.minimum[side] = size
			}
			m.aborted[side], m.closed[side], m.resetAt[side] = true, true, true
		}
	} else if !m.done[side] && w.sides[1-side].StopSending(m.id, 8) == nil {
		m.aborted[side], m.done[side] = true, true
	}
}

func (w *world) accept(side int) {
	for uni := range 2 {
		if id, ok := w.sides[side].Accept(uni == 1); ok {
			require.Contains(w.t, w.streams, id)
		}
	}
}

// ids returns the streams in a fixed order.
func (w *world) ids() (list []*model) {
	for n := range int64(1000) {
		for k := range 4 {
			if m := w.streams[ID(n)<<2|ID(k)]; m != nil {
				list = append(list, m)
			}
		}
	}
	return list
}

func (w *world) step(open bool) {
	w.now = w.now.Add(testRTT / 8)
	for side := range 2 {
		if open && w.rng.IntN(8) == 0 {
			for _, m := range w.ids() {
				w.sides[side].SetPriority(m.id, uint8(w.rng.IntN(8)), w.rng.IntN(2) == 0)
			}
		}
		if open && w.rng.IntN(4) == 0 {
			w.open(side)
		}
		w.accept(side)
		for _, m := range w.ids() {
			w.write(m, side)
			w.read(m, side)
			if m.aborted[side] { // what was peeked stays valid
				w.checkPeeked(m, side, 0)
			}
			if open && w.rng.IntN(200) == 0 {
				w.abort(m, side)
			}
		}
		w.transmit(side)
		w.sides[side].events()
		w.sides[side].HandleTimeout(w.now)
		w.takeLoans(side)
		require.NoError(w.t, w.sides[side].CheckInvariants())
	}
}

// Whatever the network and the applications do, each stream delivers what was written or reports that it
// does not. In the end no state is left.
//
// "Endpoints MUST be able to deliver stream data to an application as an ordered byte stream."
// https://www.rfc-editor.org/rfc/rfc9000#section-2.2-2
// "The data at a given offset MUST NOT change if it is sent multiple times"
// https://www.rfc-editor.org/rfc/rfc9000#section-2.2-4
func TestModel(t *testing.T) {
	refused, parts, held, starved := 0, 0, 0, uint64(0)
	seeds := uint64(60)
	if testing.Short() {
		seeds = 5
	}
	for seed := range seeds {
		w := runModel(t, seed)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
		refused += w.refused
		parts += w.parts
		held += w.held
		starved += w.starved
	}
	require.Positive(t, refused, "no packet met an exhausted budget")
	require.Positive(t, starved, "no writer met an exhausted budget")
	require.Positive(t, parts, "no loan was written in parts")
	require.Positive(t, held, "no stream was aborted while peeked bytes were in use")
}

func runModel(t *testing.T, seed uint64) *world {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	w := newWorld(t, seed)
	for range 300 {
		w.step(true)
	}
	w.loss, w.lazy = 0, false
	for i := 0; ; i++ {
		require.Less(t, i, 20000, "the streams do not finish")
		w.step(false)
		if w.finished() {
			break
		}
	}
	for side, p := range w.sides {
		require.Zero(t, p.Stats().OpenStreams, "streams are left")
		require.True(t, p.Flushed())
		require.Equal(t, p.recv.received, p.recv.consumed, "unread bytes are left")
		require.Equal(t, p.sent, w.sides[1-side].recv.received, "the sides do not agree on what was sent")
	}
	for _, p := range w.sides {
		require.Zero(t, p.cfg.SendMemory.Used())
		require.Zero(t, p.cfg.RecvMemory.Used())
		w.starved += p.cfg.SendMemory.Refused()
		p.Close()
	}
	require.Empty(t, w.lent, "loans are not returned")
	return w
}

// finished reports whether both directions of each stream have ended and nothing is left to send.
func (w *world) finished() bool {
	for _, m := range w.streams {
		for side := range 2 {
			if m.exists(side) && (!m.closed[side] || !m.done[side]) {
				return false
			}
		}
	}
	return len(w.sides[0].all)+len(w.sides[1].all) == 0
}
