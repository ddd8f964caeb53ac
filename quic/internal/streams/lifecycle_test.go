package streams

import (
	"io"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// "An endpoint that receives a STOP_SENDING frame MUST send a RESET_STREAM frame if the stream is in
// the 'Ready' or 'Send' state. [...] An endpoint SHOULD copy the error code".
// https://www.rfc-editor.org/rfc/rfc9000#section-3.5-4
func TestStopSending(t *testing.T) {
	c, ids := newClient(t, wide, 1)
	id := ids[0]
	c.write(id, 100)
	require.NotNil(t, c.send(50+10, false))
	c.write(id, int(c.cfg.SendBuffer)-100)
	_, err := c.Write(id, []byte("x"))
	require.Equal(t, ErrBlocked, err)
	require.NoError(t, c.input(wire.StopSending{ID: uint64(id), Code: 77}))
	require.NoError(t, c.input(wire.StopSending{ID: uint64(id), Code: 78}), "a second STOP_SENDING has no effect")
	require.Equal(t, []string{"writable 2", "stopped 2 with 77"}, c.events())

	pkt := c.send(1200, false)
	f, n := wire.ConsumeResetStream(pkt.payload)
	require.Equal(t, len(pkt.payload), n)
	require.EqualValues(t, 77, f.Code)
	require.EqualValues(t, c.sent, f.FinalSize)
	c.fate(pkt, recovery.Lost)
	again := c.send(1200, false)
	require.Equal(t, pkt.payload, again.payload)
	require.False(t, c.Flushed())
	c.fate(again, recovery.Acked)
	require.True(t, c.Flushed())
	require.EqualValues(t, 1, c.Stats().OpenStreams, "the application does not know about the stream")

	_, err = c.Write(id, []byte("x"))
	require.Equal(t, &StoppedError{77}, err)
	require.Zero(t, c.Stats().OpenStreams)
	_, err = c.Write(id, []byte("x"))
	require.Equal(t, ErrClosed, err)
	require.NoError(t, c.input(wire.StopSending{ID: uint64(id), Code: 79}), "STOP_SENDING was late")
	require.NoError(t, c.CheckInvariants())
}

// STOP_SENDING arrives in every state of the sending part, before and after every call of the application.
// In the end the stream is freed on both sides.
func TestStopRace(t *testing.T) {
	type step func(c, s *peer, id ID)
	now := monotime.Time(1)
	data := make([]byte, 5000)
	steps := map[string]step{
		"write":  func(c, s *peer, id ID) { _, _ = c.Write(id, data) },
		"close":  func(c, s *peer, id ID) { _ = c.CloseWrite(id) },
		"reset":  func(c, s *peer, id ID) { _ = c.Reset(id, 1) },
		"stop":   func(c, s *peer, id ID) { _ = s.StopSending(id, 2) },
		"read":   func(c, s *peer, id ID) { _, _ = s.Read(now, testRTT, id, make([]byte, 3000)) },
		"flow":   func(c, s *peer, id ID) { flow(t, now, c, s) },
		"lose":   func(c, s *peer, id ID) { loseOne(c); loseOne(s) },
		"events": func(c, s *peer, id ID) { c.events(); s.events() },
	}
	names := []string{"write", "close", "reset", "stop", "read", "flow", "lose", "events"}
	for code := range 8 * 8 * 8 * 8 {
		c, s := newPair(t, testConfig(), testConfig())
		id, err := c.Open(true)
		require.NoError(t, err)
		_, err = c.Write(id, data)
		require.NoError(t, err)
		flow(t, now, c, s)
		_, ok := s.Accept(true)
		require.True(t, ok)
		for n := code; n > 0; n /= 8 {
			steps[names[n%8]](c, s, id)
		}
		// Both applications finish, and the network delivers.
		flow(t, now, c, s)
		_ = c.Reset(id, 3)
		flow(t, now, c, s)
		for err = nil; err == nil; {
			_, err = s.Read(now, testRTT, id, data)
		}
		flow(t, now, c, s)
		require.Zero(t, c.Stats().OpenStreams, "sequence %o", code)
		require.Zero(t, s.Stats().OpenStreams, "sequence %o: %v", code, err)
		require.Equal(t, s.recv.received, s.recv.consumed)
		require.True(t, c.Flushed())
	}
}

func loseOne(p *peer) {
	if pkt := p.send(1200, false); pkt != nil {
		p.fate(pkt, recovery.Lost)
	}
}

// The reader learns of a reset at once, and loses what it has not read. A reset that arrives after all of
// the data has no effect.
func TestReset(t *testing.T) {
	s := newServer(t)
	s.events()
	require.NoError(t, s.input(wire.Stream{ID: uint64(peerUni), Data: []byte("abc")}))
	require.Equal(t, []string{"readable 2"}, s.events())
	p := make([]byte, 2)
	_, err := s.Read(1, testRTT, peerUni, p)
	require.NoError(t, err)
	require.NoError(t, s.input(wire.ResetStream{ID: uint64(peerUni), Code: 9, FinalSize: 5}))
	require.Equal(t, []string{"reset 2 with 9"}, s.events(), "no reader waits")
	_, err = s.Read(1, testRTT, peerUni, p)
	require.Equal(t, &ResetError{9}, err)
	require.Nil(t, s.find(peerUni))

	require.NoError(t, s.input(wire.Stream{ID: uint64(peerBidi), Data: []byte("abc")}))
	_, err = s.Read(1, testRTT, peerBidi, make([]byte, 10))
	require.NoError(t, err)
	_, err = s.Read(1, testRTT, peerBidi, p)
	require.Equal(t, ErrBlocked, err)
	s.events()
	require.NoError(t, s.input(wire.ResetStream{ID: uint64(peerBidi), FinalSize: 3}),
		"at the end of what was read, but without FIN")
	require.Equal(t, []string{"readable 0", "reset 0"}, s.events())

	require.NoError(t, s.input(wire.Stream{ID: uint64(peerUni) + 4, Data: []byte("ab"), Fin: true}))
	require.NoError(t, s.input(wire.ResetStream{ID: uint64(peerUni) + 4, Code: 9, FinalSize: 2}))
	require.Equal(t, []byte("ab"), readAll(t, s, peerUni+4, 10))

	require.NoError(t, s.input(wire.Stream{ID: uint64(peerUni) + 8, Fin: true}))
	require.NoError(t, s.input(wire.ResetStream{ID: uint64(peerUni) + 8, Code: 9}))
	_, err = s.Read(1, testRTT, peerUni+8, p)
	require.Equal(t, io.EOF, err, "an empty stream is complete as well")
	require.NoError(t, s.CheckInvariants())
}

// A reader that has stopped gets no further events of the stream. STOP_SENDING is sent only while it has an
// effect, until the peer has received it or has finished.
func TestStopAndFin(t *testing.T) {
	s := newServer(t)
	id := uint64(peerUni)
	require.NoError(t, s.input(wire.Stream{ID: id, Data: []byte("abc")}))
	require.NoError(t, s.StopSending(peerUni, 4))
	require.Equal(t, ErrClosed, s.StopSending(peerUni, 4))
	_, err := s.Read(1, testRTT, peerUni, make([]byte, 1))
	require.Equal(t, ErrClosed, err)
	pkt := s.send(100, false)
	require.Equal(t, []string{"STOP_SENDING"}, kinds(pkt.frames(t)))
	require.NoError(t, s.input(wire.Stream{ID: id, Offset: 3, Data: []byte("d")}))
	require.EqualValues(t, 4, s.find(peerUni).recv.win.consumed, "the bytes are counted, and their credit is returned")
	require.NoError(t, s.input(wire.Stream{ID: id, Offset: 4, Fin: true}))
	require.NotNil(t, s.find(peerUni))
	s.fate(pkt, recovery.Lost)
	pkt = s.send(100, false)
	require.Equal(t, []string{"STOP_SENDING"}, kinds(pkt.frames(t)))
	s.fate(pkt, recovery.Acked)
	require.Nil(t, s.find(peerUni))

	id += 4
	require.NoError(t, s.input(wire.Stream{ID: id, Data: []byte("abc"), Fin: true}))
	require.NoError(t, s.StopSending(ID(id), 4))
	require.Nil(t, s.find(ID(id)), "the stream is complete, so there is nothing to stop")
	require.False(t, s.HasPending())
	require.NoError(t, s.CheckInvariants())
}

// The peer may open another stream when one is freed, and not before. The update is sent in time.
//
// "An endpoint MUST NOT wait to receive this signal before advertising additional credit"
// https://www.rfc-editor.org/rfc/rfc9000#section-4.6-6
func TestStreamCredit(t *testing.T) {
	_, s := newPair(t, testConfig(), testConfig())
	finish := func(n uint64) {
		id := ID(n<<2 | 2)
		require.NoError(t, s.input(wire.Stream{ID: uint64(id), Data: []byte("x"), Fin: true}))
		_, ok := s.Accept(true)
		require.True(t, ok)
		require.Equal(t, []byte("x"), readAll(t, s, id, 10))
		require.NoError(t, s.CheckInvariants())
	}
	for n := range uint64(2) {
		finish(n)
	}
	require.False(t, s.HasPending(), "the peer has enough left")
	finish(2)
	require.Equal(t, []string{wire.MaxStreams{Uni: true, Max: 13}.String()}, s.send(100, false).frames(t))
	requireCode(t, wire.StreamLimitError, s.input(wire.Stream{ID: 13<<2 | 2}))

	// With the maximum number of open streams, each stream that ends causes an update.
	require.NoError(t, s.input(wire.Stream{ID: 12<<2 | 2}))
	finish(3)
	require.Equal(t, []string{wire.MaxStreams{Uni: true, Max: 14}.String()}, s.send(100, false).frames(t))
}

// Open stops at the peer's limit, reports that to the peer once, and notifies the application when the
// limit changes.
//
// "Endpoints MUST NOT exceed the limit set by their peer."
// https://www.rfc-editor.org/rfc/rfc9000#section-4.6-3
// "An endpoint MUST NOT open more streams than permitted by the current stream limit set by its peer."
// https://www.rfc-editor.org/rfc/rfc9000#section-19.11-7
func TestOpenLimit(t *testing.T) {
	c, s := newPair(t, testConfig(), testConfig())
	ids := openStreams(t, c, 10)
	for range 2 {
		_, err := c.Open(true)
		require.Equal(t, ErrLimit, err)
	}
	pkt := c.send(100, false)
	require.Equal(t, []string{"STREAMS_BLOCKED"}, kinds(pkt.frames(t)))
	require.NoError(t, s.receive(1, testRTT, pkt))
	require.False(t, c.HasPending())
	// "MAX_STREAMS frames that do not increase the stream limit MUST be ignored."
	// https://www.rfc-editor.org/rfc/rfc9000#section-4.6-4
	require.NoError(t, c.input(wire.MaxStreams{Uni: true, Max: 9}))
	require.Empty(t, c.events())
	require.NoError(t, c.CloseWrite(ids[0]))
	flow(t, 1, c, s)
	_, ok := s.Accept(true)
	require.True(t, ok)
	_, err := s.Read(1, testRTT, ids[0], nil)
	require.Equal(t, io.EOF, err)
	c.events()
	flow(t, 1, c, s)
	require.Equal(t, []string{"can open uni"}, c.events())
	require.Len(t, openStreams(t, c, 1), 1)
	_, err = c.Open(false)
	require.NoError(t, err)
}

// A peer that opens and aborts streams gets new ones at a bounded rate, however fast the peer and our
// application are. A peer that ends its streams is not limited, nor is one that aborts streams if there is
// no limit.
func TestAbortLimit(t *testing.T) {
	for _, test := range []struct {
		abort bool
		rate  int64
	}{{false, 200}, {true, 0}, {true, 200}, {true, 1000}} {
		cfg := testConfig()
		cfg.AbortRate = test.rate
		c, s := newPair(t, testConfig(), cfg)
		now := monotime.Time(1)
		opened := 0
		round := func() {
			for id, err := c.Open(true); err == nil; id, err = c.Open(true) {
				opened++
				if test.abort {
					require.NoError(t, c.Reset(id, 1))
				} else {
					require.NoError(t, c.CloseWrite(id))
				}
			}
			flow(t, now, c, s)
			for id, ok := s.Accept(true); ok; id, ok = s.Accept(true) {
				_, err := s.Read(now, testRTT, id, nil)
				require.Error(t, err)
			}
			flow(t, now, c, s)
			c.events()
			s.events()
			now = now.Add(ms / 10)
			if next := s.NextTimeout(); !next.IsZero() && !now.Before(next) {
				s.HandleTimeout(now)
			}
		}
		for range 1000 { // 100 ms
			round()
		}
		if !test.abort || test.rate == 0 {
			require.Equal(t, 10000, opened)
			require.Zero(t, s.NextTimeout())
			require.Zero(t, s.Stats().WithheldStreams)
			continue
		}
		most := abortBurst*test.rate + test.rate/10 + 10 // burst, rate, and the limit on open streams
		require.InDelta(t, most, opened, abortBatch)
		require.EqualValues(t, opened, s.Stats().AbortedStreams)
		require.Positive(t, s.Stats().WithheldStreams)
		// The rest of the credit follows as time passes.
		for next := s.NextTimeout(); !next.IsZero(); next = s.NextTimeout() {
			require.True(t, next.After(s.now))
			s.HandleTimeout(next)
			require.NoError(t, s.CheckInvariants())
		}
		before := opened
		flow(t, now, c, s)
		round()
		require.Equal(t, 10, opened-before)
	}
}

// When an ordinary server and client close streams that they have finished with, this does not count as an
// abort by the client, so the client is not limited.
func TestRequestReply(t *testing.T) {
	step := func(t *testing.T, from, to *peer) {
		pkt := from.send(1200, false)
		require.NotNil(t, pkt)
		require.NoError(t, to.receive(1, testRTT, pkt))
		from.fate(pkt, recovery.Acked)
	}
	for _, test := range []struct {
		name     string
		exchange func(t *testing.T, c, s *peer, id ID)
	}{
		{"the server closes before the client's FIN", func(t *testing.T, c, s *peer, id ID) {
			s.write(id, 100)
			require.NoError(t, s.CloseWrite(id))
			require.NoError(t, s.StopSending(id, 0))
			step(t, s, c) // answer, FIN and STOP_SENDING
			require.Len(t, readAll(t, c, id, 200), 100)
			var stopped *StoppedError
			require.ErrorAs(t, c.CloseWrite(id), &stopped)
		}},
		{"the client closes before the server's FIN", func(t *testing.T, c, s *peer, id ID) {
			require.NoError(t, c.CloseWrite(id))
			step(t, c, s)
			require.Len(t, readAll(t, s, id, 200), 10)
			s.write(id, 100)
			step(t, s, c) // the whole answer
			require.NoError(t, c.StopSending(id, 0))
			require.NoError(t, s.CloseWrite(id))
			step(t, c, s) // STOP_SENDING passes the FIN
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, s := newPair(t, testConfig(), testConfig())
			for i := range 4000 {
				id, err := c.Open(false)
				require.NoError(t, err, "exchange %d", i)
				c.write(id, 10)
				step(t, c, s)
				got, ok := s.Accept(false)
				require.True(t, ok)
				require.Equal(t, id, got)
				test.exchange(t, c, s, id)
				flow(t, 1, c, s)
				require.Zero(t, s.Stats().OpenStreams)
				c.events()
				s.events()
			}
			require.Zero(t, s.Stats().AbortedStreams)
			require.Zero(t, s.NextTimeout())
		})
	}
}

// Empty and repeated frames cause no events.
func TestNoEventsWithoutChanges(t *testing.T) {
	s := newServer(t)
	s.events()
	for range 10 {
		require.NoError(t, s.input(wire.Stream{ID: uint64(peerUni)}))
		require.NoError(t, s.input(wire.StreamDataBlocked{ID: uint64(peerUni), Limit: 1}))
		require.NoError(t, s.input(wire.DataBlocked{Limit: 1}))
		require.NoError(t, s.input(wire.StreamsBlocked{Limit: 1}))
		require.NoError(t, s.input(wire.MaxData{Max: 1}))
	}
	require.Empty(t, s.events())
	require.False(t, s.HasPending())
	for range 10 {
		require.NoError(t, s.input(wire.Stream{ID: uint64(peerUni), Data: []byte("a")}))
	}
	require.Equal(t, []string{"readable 2"}, s.events())
}

// Data that has arrived can be read after the end of the connection. Nothing else is kept.
func TestCloseSending(t *testing.T) {
	c, s := newPair(t, testConfig(), testConfig())
	ids := openStreams(t, c, 2)
	for _, id := range ids {
		c.write(id, 3000)
	}
	require.NoError(t, c.CloseWrite(ids[0]))
	id, err := s.Open(false)
	require.NoError(t, err)
	_, err = s.Write(id, make([]byte, 5000))
	require.NoError(t, err)
	flow(t, 1, c, s)
	s.write(id, 5000)
	s.CloseSending()
	require.True(t, s.Flushed())
	require.NoError(t, s.CheckInvariants())
	require.Len(t, readAll(t, s, ids[0], 700), 3000)
	n, err := s.Read(1, testRTT, ids[1], make([]byte, 5000))
	require.NoError(t, err)
	require.Equal(t, 3000, n)
	_, err = s.Read(1, testRTT, ids[1], make([]byte, 5000))
	require.Equal(t, ErrBlocked, err)
	_, err = s.Write(id, []byte("x"))
	require.Equal(t, ErrClosed, err)
	require.NoError(t, s.CheckInvariants())
	s.Close()
	require.NoError(t, s.CheckInvariants())
	require.Empty(t, s.events())
}

// A Peek that waits for several bytes is woken when all of them have arrived, or when they will not.
func TestPeekEvents(t *testing.T) {
	for name, last := range map[string]wire.Frame{
		"all have arrived": wire.Stream{ID: 0, Offset: 2, Data: []byte("c")},
		"the end":          wire.Stream{ID: 0, Offset: 2, Fin: true},
		"reset":            wire.ResetStream{ID: 0, Code: 7, FinalSize: 2},
	} {
		s := newServer(t)
		require.NoError(t, s.input(wire.Stream{ID: 0, Data: []byte("a")}), name)
		s.events()
		b, err := s.Peek(0, 3)
		require.ErrorIs(t, err, ErrBlocked, name)
		require.Equal(t, "a", string(b[:cap(b)]), "the rest of the chunk cannot be reached")
		require.NoError(t, s.input(wire.Stream{ID: 0, Offset: 1, Data: []byte("b")}))
		require.Empty(t, s.events(), name)
		require.NoError(t, s.input(last))
		require.Contains(t, s.events(), "readable 0", name)
	}
}

// The numbers of streams that each side has opened remain when the Set is closed.
//
// "A QUIC endpoint MUST NOT reuse a stream ID within a connection."
// https://www.rfc-editor.org/rfc/rfc9000#section-2.1-2
func TestOpenedStreamsAreCounted(t *testing.T) {
	c, ids := newClient(t, wide, 3)
	require.Equal(t, []ID{MakeID(c.side, true, 0), MakeID(c.side, true, 1), MakeID(c.side, true, 2)}, ids)
	require.NoError(t, c.input(wire.Stream{ID: 1, Fin: true}))
	for range 2 {
		require.EqualValues(t, len(ids), c.Stats().LocalStreams)
		require.EqualValues(t, 1, c.Stats().PeerStreams)
		c.Close()
	}
}

// A connection that rests with few streams drops the tables of the many that it had, and finds its streams as before.
func TestRestDropsTables(t *testing.T) {
	cfg := testConfig()
	cfg.MaxUni = 1000
	c, _ := newPair(t, cfg, cfg)
	var ids []ID
	for range 200 {
		id, err := c.Open(true)
		require.NoError(t, err)
		ids = append(ids, id)
		require.NoError(t, c.CheckInvariants())
	}
	kept := []ID{ids[0], ids[7], ids[150]}
	for _, id := range ids {
		if !slices.Contains(kept, id) {
			require.NoError(t, c.CloseWrite(id))
		}
	}
	for pkt := c.send(1200, false); pkt != nil; pkt = c.send(1200, false) {
		c.fate(pkt, recovery.Acked)
	}
	require.NotNil(t, c.streams)
	c.Rest()
	require.Nil(t, c.streams)
	require.LessOrEqual(t, cap(c.all), fewStreams)
	for _, spare := range c.all[len(c.all):cap(c.all)] {
		require.Nil(t, spare)
	}
	require.NoError(t, c.CheckInvariants())
	for _, id := range kept {
		_, err := c.Write(id, []byte("x"))
		require.NoError(t, err)
	}
	_, err := c.Write(ids[1], []byte("x"))
	require.Equal(t, ErrClosed, err)
	for range 20 {
		_, err := c.Open(true)
		require.NoError(t, err)
		require.NoError(t, c.CheckInvariants())
	}
}

// A stream that a queue still contains is not used again when it is freed.
func TestQueuedStreamIsNotUsedAgain(t *testing.T) {
	c, _ := newPair(t, testConfig(), testConfig())
	open := func() *stream {
		id, err := c.Open(true)
		require.NoError(t, err)
		return c.find(id)
	}
	free := func(st *stream) {
		st.send.done = true
		c.maybeFree(st)
		require.True(t, st.gone)
	}
	first := open()
	free(first)
	require.Same(t, first, open())
	c.report(first, EventWritable)
	free(first)
	second := open()
	require.NotSame(t, first, second)
	require.Empty(t, c.events(), "an event of a stream that was freed")
	free(second)
	require.Same(t, second, open())
}
