package streams

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// A pipe is a path with a delay and a bit rate, without loss, and a sender whose congestion window doubles
// every round trip until it fills the path, as in slow start.
type pipe struct {
	rtt    time.Duration
	rate   float64 // bytes per nanosecond
	cwnd   float64
	flying []flight // packets from a to b, in the order of arrival
	back   []flight
	unread bool // the application at b does not read
	read   int64
	got    []byte
}

// flight is a packet on its way.
type flight struct {
	at  monotime.Time
	pkt *packet
}

// run sends as fast as flow control and the path permit until end, which is in ticks.
func (w *pipe) run(t *testing.T, a, b *peer, ids []ID, from, end monotime.Time) {
	const tick = 100 * time.Microsecond
	block := make([]byte, 64<<10)
	credit := 0.0
	for now := from; now.Before(end); now = now.Add(tick) {
		for _, id := range ids {
			for {
				if _, err := a.Write(id, block); err != nil {
					require.Equal(t, ErrBlocked, err)
					break
				}
			}
		}
		credit = min(credit+w.rate*float64(tick), w.rate*float64(2*tick))
		inFlight := 0.0
		for _, f := range w.flying {
			inFlight += float64(len(f.pkt.payload))
		}
		for _, f := range w.back {
			inFlight += float64(len(f.pkt.payload))
		}
		for credit > 0 && inFlight < w.cwnd && a.HasPending() {
			pkt := a.jumbo()
			credit -= float64(len(pkt.payload))
			inFlight += float64(len(pkt.payload))
			w.flying = append(w.flying, flight{now.Add(w.rtt / 2), pkt})
		}
		for len(w.flying) > 0 && !now.Before(w.flying[0].at) {
			require.NoError(t, b.receive(now, w.rtt, w.flying[0].pkt))
			w.back = append(w.back, flight{now.Add(w.rtt / 2), w.flying[0].pkt})
			w.flying = w.flying[1:]
		}
		if !w.unread {
			w.readAll(t, b, ids, now)
		}
		// Packets from b take half a round trip. Their frames are acknowledged at once.
		for b.HasPending() {
			pkt := b.send(1200, false)
			w.back = append(w.back, flight{now.Add(w.rtt / 2), &packet{pn: -1, payload: pkt.payload}})
			b.fate(pkt, recovery.Acked)
		}
		for len(w.back) > 0 && !now.Before(w.back[0].at) {
			pkt := w.back[0].pkt
			w.back = w.back[1:]
			if pkt.pn < 0 {
				require.NoError(t, a.receive(now, w.rtt, pkt))
				continue
			}
			w.cwnd += float64(len(pkt.payload))
			a.fate(pkt, recovery.Acked)
		}
	}
}

func (w *pipe) readAll(t *testing.T, b *peer, ids []ID, now monotime.Time) {
	for _, id := range ids {
		for {
			n, err := b.Read(now, w.rtt, id, w.got)
			w.read += int64(n)
			if err != nil {
				require.Contains(t, []error{ErrBlocked, ErrClosed}, err)
				break
			}
		}
	}
}

// jumbo sends a large packet, so that the test is fast.
func (p *peer) jumbo() *packet {
	b, rec := p.Append(nil, 12000, p.nextPN, nil, false)
	p.nextPN++
	return &packet{p.nextPN - 1, b, rec}
}

// defaults returns the stream windows of package quic and smaller connection windows.
func defaults() *Config {
	return &Config{
		RecvWindow: 512 << 10, MaxRecvWindow: 16 << 20,
		ConnWindow: 1 << 20, MaxConnWindow: 32 << 20,
		SendBuffer: 32 << 20, MaxBidi: 100, MaxUni: 100,
		SendMemory: NewBudget(1 << 30), RecvMemory: NewBudget(1 << 30),
	}
}

const (
	ms      = time.Millisecond
	gigabit = 0.125 // bytes per nanosecond
)

func newPipe(rtt time.Duration, rate, cwnd float64) *pipe {
	return &pipe{rtt: rtt, rate: rate, cwnd: cwnd, got: make([]byte, 64<<10)}
}

func openStreams(t testing.TB, p *peer, n int) (ids []ID) {
	for range n {
		id, err := p.Open(true)
		require.NoError(t, err)
		ids = append(ids, id)
	}
	return ids
}

// The windows follow slow start from ten packets up to a path of 1 Gbit/s and 100 ms without limiting it:
// the receiver gets what it would get from a sender without flow control, and 90 % of the rate after the 10
// round trips of slow start.
func TestTuneGigabit(t *testing.T) {
	const rtt = 100 * ms
	transfer := func(cfg *Config, streams int) (early, late float64) {
		a, b := newPair(t, cfg, cfg)
		ids := openStreams(t, a, streams)
		w := newPipe(rtt, gigabit, 12000)
		end := monotime.Time(1).Add(10*rtt + rtt/2)
		w.run(t, a, b, ids, 1, end)
		early = float64(w.read)
		w.run(t, a, b, ids, end, end.Add(5*rtt))
		require.NoError(t, a.CheckInvariants())
		require.NoError(t, b.CheckInvariants())
		require.LessOrEqual(t, b.recv.size, max(cfg.ConnWindow, cfg.MaxConnWindow))
		return early, (float64(w.read) - early) / float64(5*rtt)
	}
	boundless := defaults()
	boundless.RecvWindow, boundless.ConnWindow = 1<<30, 1<<30
	wantEarly, wantLate := transfer(boundless, 1)
	for _, streams := range []int{1, 4} {
		early, late := transfer(defaults(), streams)
		require.Greater(t, early, 0.99*wantEarly, "too few bytes in slow start on %d streams", streams)
		require.Greater(t, late, 0.99*wantLate, "rate too low in bytes per nanosecond on %d streams", streams)
		require.Greater(t, late, 0.9*gigabit, "rate too low in bytes per nanosecond on %d streams", streams)
	}
}

// With the whole congestion window available from the first packet on, only flow control limits the rate.
func TestTuneFromStart(t *testing.T) {
	a, b := newPair(t, defaults(), defaults())
	ids := openStreams(t, a, 1)
	const rtt = 100 * ms
	w := newPipe(rtt, gigabit, 1e9)
	end := monotime.Time(1).Add(10 * rtt)
	w.run(t, a, b, ids, 1, end)
	before := w.read
	w.run(t, a, b, ids, end, end.Add(5*rtt))
	require.Greater(t, float64(w.read-before)/float64(5*rtt), 0.9*gigabit)
	require.GreaterOrEqual(t, b.recv.size, min(streamsPerConn*b.find(ids[0]).recv.win.size, b.recv.max),
		"some streams of this size that are not read must not stop the others")
}

// A window does not grow if the path does not fill it.
func TestTuneNoFurther(t *testing.T) {
	a, b := newPair(t, defaults(), defaults())
	ids := openStreams(t, a, 1)
	const rtt = 20 * ms
	w := newPipe(rtt, gigabit/100, 1e9) // a round trip holds 25 KB
	w.run(t, a, b, ids, 1, monotime.Time(1).Add(100*rtt))
	require.EqualValues(t, 512<<10, b.find(ids[0]).recv.win.size)
	require.EqualValues(t, 1<<20, b.recv.size)
}

// If the application does not read, its windows keep their initial sizes.
func TestTuneNotRead(t *testing.T) {
	a, b := newPair(t, defaults(), defaults())
	ids := openStreams(t, a, 3)
	const rtt = 10 * ms
	w := newPipe(rtt, gigabit, 1e9)
	w.unread = true
	w.run(t, a, b, ids, 1, monotime.Time(1).Add(30*rtt))
	require.EqualValues(t, 1<<20, b.recv.size)
	require.EqualValues(t, 1<<20, b.recv.received)
	require.InDelta(t, 1<<20, b.cfg.RecvMemory.Used(), 3*maxChunk)
	for _, id := range ids {
		require.EqualValues(t, 512<<10, b.find(id).recv.win.size)
	}
	require.NoError(t, b.CheckInvariants())
}

// The application reads slowly. The amount of unread data is bounded by the initial window.
func TestTuneSlowReader(t *testing.T) {
	a, b := newPair(t, defaults(), defaults())
	ids := openStreams(t, a, 1)
	const rtt = 10 * ms
	w := newPipe(rtt, gigabit, 1e9)
	w.unread = true
	now := monotime.Time(1)
	for range 100 {
		w.run(t, a, b, ids, now, now.Add(rtt))
		now = now.Add(rtt)
		_, err := b.Read(now, rtt, ids[0], make([]byte, 20<<10))
		if err != nil {
			require.Contains(t, []error{ErrBlocked, ErrClosed}, err)
		}
	}
	require.EqualValues(t, 512<<10, b.find(ids[0]).recv.win.size)
}

// The connection's window does not grow beyond its share of the budget.
func TestTuneBudget(t *testing.T) {
	const rtt = 10 * ms
	for _, total := range []int64{1 << 20, 5 << 20, 1 << 30} {
		cfg := defaults()
		cfg.RecvMemory = NewBudget(total)
		a, b := newPair(t, cfg, cfg)
		ids := openStreams(t, a, 1)
		newPipe(rtt, 10*gigabit, 1e9).run(t, a, b, ids, 1, monotime.Time(1).Add(20*rtt))
		require.NoError(t, b.CheckInvariants())
		require.LessOrEqual(t, b.recv.size, max(total, cfg.ConnWindow))
		require.GreaterOrEqual(t, b.recv.size, min(total, cfg.MaxConnWindow)/2-MinShare)
		b.Close()
		require.Zero(t, cfg.RecvMemory.Used())
	}
}

// Credit for data that was read, discarded or reset is returned to the connection. Credit for data that
// waits for a reader is not.
//
// "The receiver MUST use the final size of the stream to account for all bytes sent on the stream in its
// connection-level flow controller."
// https://www.rfc-editor.org/rfc/rfc9000#section-4.5-3
func TestCredit(t *testing.T) {
	s := newServer(t)
	window := s.cfg.RecvWindow
	data := make([]byte, window)
	for _, id := range []ID{peerUni, peerBidi} {
		require.NoError(t, s.input(wire.Stream{ID: uint64(id), Data: data}))
	}
	require.Zero(t, s.recv.space())
	require.False(t, s.HasPending(), "nothing was read")

	_, err := s.Read(1, testRTT, peerUni, data[:window/8])
	require.NoError(t, err)
	require.False(t, s.HasPending(), "too little for an update")
	_, err = s.Read(1, testRTT, peerUni, data[:window/2])
	require.NoError(t, err)
	require.Equal(t, []string{"MAX_DATA", "MAX_STREAM_DATA"}, kinds(s.send(100, false).frames(t)))
	require.NoError(t, s.CheckInvariants())

	before := s.recv.consumed
	require.NoError(t, s.input(wire.ResetStream{ID: uint64(peerUni), Code: 1, FinalSize: uint64(window + 10)}))
	require.Equal(t, before+window*3/8+10, s.recv.consumed, "the bytes of the reset stream, including those that will not arrive")
	require.NoError(t, s.CheckInvariants())
	require.NoError(t, s.StopSending(peerBidi, 2))
	require.Equal(t, s.recv.received, s.recv.consumed)
	require.NoError(t, s.CheckInvariants())
}

// TestNoUpdateAfterEnd: "The receiver only sends MAX_STREAM_DATA frames in the 'Recv' state."
// https://www.rfc-editor.org/rfc/rfc9000#section-3.3-4
func TestNoUpdateAfterEnd(t *testing.T) {
	s := newServer(t)
	data := make([]byte, s.cfg.RecvWindow)
	require.NoError(t, s.input(wire.Stream{ID: uint64(peerUni), Data: data}))
	_, err := s.Read(1, testRTT, peerUni, data)
	require.NoError(t, err)
	require.NoError(t, s.input(wire.Stream{ID: uint64(peerUni), Offset: uint64(len(data)), Fin: true}))
	require.Equal(t, []string{"MAX_DATA"}, kinds(s.send(100, false).frames(t)))
	require.False(t, s.HasPending())
}
