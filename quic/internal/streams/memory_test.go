package streams

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// writers returns n clients that share a send budget and whose peers allow unlimited sending.
func writers(t *testing.T, n int, b *Budget, streams int) (clients []*peer, ids []ID) {
	for range n {
		c, list := newClient(t, wide, streams)
		cfg := *c.cfg
		cfg.SendBuffer, cfg.SendMemory = 4<<20, b
		c.cfg, c.sendShare.b = &cfg, b
		clients, ids = append(clients, c), list
	}
	return clients, ids
}

// Connections whose peers never acknowledge use at most the budget and MinShare each. Those that write at
// the same time get equal shares.
func TestSendBudget(t *testing.T) {
	const total = 16 << 20
	for _, n := range []int{1, 3, 10, 100, 1000} {
		b := NewBudget(total)
		clients, ids := writers(t, n, b, 4)
		for _, c := range clients {
			c.sendMax = 0 // nothing is sent, and unsentLimit does not hold
		}
		piece := make([]byte, 20<<10)
		for blocked := 0; blocked < n*len(ids); {
			blocked = 0
			for _, c := range clients {
				for _, id := range ids {
					if _, err := c.Write(id, piece); err == ErrBlocked {
						blocked++
					}
				}
			}
		}
		least, most, sum := clients[0].sendShare.held, int64(0), int64(0)
		for _, c := range clients {
			require.NoError(t, c.CheckInvariants())
			least, most = min(least, c.sendShare.held), max(most, c.sendShare.held)
			sum += c.sendShare.held
		}
		require.Equal(t, sum, b.Used())
		slack := int64(maxChunk * len(ids))
		require.LessOrEqual(t, most, max(total/int64(n+1), MinShare)+slack, "%d connections", n)
		require.GreaterOrEqual(t, least, max(total/int64(3*n), MinShare)-maxChunk, "%d connections", n)
		require.LessOrEqual(t, sum, total+int64(n)*(MinShare+slack))
		require.Positive(t, b.Refused())
		// A new connection can write at once, and data that is acknowledged can be replaced.
		c, list := writers(t, 1, b, 1)
		c[0].write(list[0], MinShare-maxChunk)
		for _, c := range append(clients, c...) {
			c.Close()
		}
		require.Zero(t, b.Used())
	}
}

// Streams whose peers do not read keep what they hold. They leave room for a stream that starts later, and
// for one that makes progress.
func TestStuckStreamsLeaveRoom(t *testing.T) {
	const total, stuck = 256 << 20, 60
	clients, ids := writers(t, 1, NewBudget(total), stuck+1)
	c := clients[0]
	c.sendMax = 0 // nothing is sent, and unsentLimit does not hold
	piece := make([]byte, 64<<10)
	for blocked := 0; blocked < stuck; {
		blocked = 0
		for _, id := range ids[:stuck] {
			if _, err := c.Write(id, piece); err == ErrBlocked {
				blocked++
			}
		}
	}
	require.Less(t, c.sendShare.held, int64(total/2)*4/5)
	n, err := c.Write(ids[stuck], make([]byte, 128<<10))
	require.NoError(t, err)
	require.Equal(t, 128<<10, n)
	require.NoError(t, c.CheckInvariants())
}

// Writers that a budget blocks are woken in order, as many as there is room for, when data of their own
// connection or of another one is acknowledged.
func TestStarvedWriters(t *testing.T) {
	const total = 256 << 10
	b := NewBudget(total)
	clients, ids := writers(t, 2, b, 8)
	hog, c := clients[0], clients[1]
	require.Equal(t, []string{}, append([]string{}, c.events()...))
	_, err := hog.Write(ids[0], make([]byte, total))
	require.Equal(t, ErrBlocked, err)
	_, err = c.Write(ids[7], make([]byte, MinShare))
	require.NoError(t, err, "the least share")
	for _, id := range ids[:6] {
		for range 2 { // a stream waits only once
			n, err := c.Write(id, make([]byte, 10))
			require.Equal(t, ErrBlocked, err)
			require.Zero(t, n)
		}
	}
	require.Empty(t, c.events())

	// An acknowledgement of their own data wakes the writers for which it makes room.
	acks := func(p *peer, n int) {
		for done := 0; done < n; {
			pkt := p.send(12000, false)
			f, _ := wire.ConsumeStream(pkt.payload)
			done += len(f.Data)
			p.fate(pkt, recovery.Acked)
		}
	}
	acks(c, 2*maxChunk)
	require.Equal(t, []string{"writable 2", "writable 6"}, c.events())
	for _, id := range ids[:2] {
		_, err := c.Write(id, make([]byte, maxChunk))
		require.NoError(t, err)
	}
	require.NoError(t, c.CheckInvariants())

	// Room in the budget from another connection is detected by the timer.
	acks(hog, total/2)
	require.Empty(t, c.events())
	require.Contains(t, hog.events(), "writable 2")
	next := c.NextTimeout()
	require.LessOrEqual(t, next.Sub(c.now), starvedPoll)
	c.HandleTimeout(next)
	require.Equal(t, []string{"writable 10", "writable 14", "writable 18", "writable 22"}, c.events())
	require.Zero(t, c.NextTimeout(), "nothing waits any more")
	for _, id := range ids[2:6] {
		_, err := c.Write(id, make([]byte, 10))
		require.NoError(t, err)
	}

	// As long as there is no room, the timer wakes no stream. A reset stream does not wait.
	_, err = hog.Write(ids[0], make([]byte, total))
	require.Equal(t, ErrBlocked, err)
	n, err := c.Write(ids[2], make([]byte, total))
	require.Equal(t, ErrBlocked, err)
	require.Less(t, n, total/2)
	hog.Write(ids[0], make([]byte, total))
	c.events()
	for range 5 {
		next := c.NextTimeout()
		require.True(t, next.After(c.now))
		c.HandleTimeout(next)
		require.Empty(t, c.events())
	}
	require.NoError(t, c.Reset(ids[2], 1))
	require.Equal(t, []string{"writable 10"}, c.events())
	c.HandleTimeout(c.NextTimeout())
	require.Zero(t, c.NextTimeout())
	require.NoError(t, c.CheckInvariants())
}

// receiver returns a server that shares a receive budget.
func receiver(t *testing.T, b *Budget) *peer {
	cfg := testConfig()
	cfg.RecvWindow, cfg.ConnWindow, cfg.MaxUni, cfg.RecvMemory = 1<<20, 4<<20, 100, b
	s := &peer{t: t}
	s.Init(cfg, tlsprovider.Server)
	return s
}

// offer receives a frame unless there is no memory for it.
func (p *peer) offer(f wire.Stream) bool {
	payload := f.Append(nil)
	if !p.Admits(1, payload) {
		return false
	}
	require.NoError(p.t, p.receive(1, testRTT, &packet{payload: payload}))
	return true
}

// Connections whose data is not read, or whose first byte is missing, use at most the budget and a bounded
// amount each. A connection whose application reads is not affected.
func TestReceiveBudget(t *testing.T) {
	const total, n = 4 << 20, 200
	for _, first := range []int64{0, 1} {
		b := NewBudget(total)
		var hostile []*peer
		for range n {
			s := receiver(t, b)
			for _, id := range []ID{peerUni, peerBidi} {
				for off := first; off+1000 <= 1<<20 && s.offer(wire.Stream{ID: uint64(id), Offset: uint64(off), Data: make([]byte, 1000)}); {
					off += 1000
				}
			}
			require.NoError(t, s.CheckInvariants())
			hostile = append(hostile, s)
		}
		most := int64(0)
		for _, s := range hostile {
			most = max(most, s.recvShare.held)
			require.LessOrEqual(t, s.recvShare.held, int64(2<<20+2*maxChunk))
		}
		require.LessOrEqual(t, b.Used(), int64(total+n*2*(MinShare+maxChunk)))
		require.GreaterOrEqual(t, most, int64(2<<20-2*maxChunk), "the first one took its share")

		good := receiver(t, b)
		out := make([]byte, 4000)
		for off := int64(0); off < 1<<20; off += 4000 {
			require.True(t, good.offer(wire.Stream{ID: uint64(peerUni), Offset: uint64(off + 2000), Data: make([]byte, 2000)}))
			require.True(t, good.offer(wire.Stream{ID: uint64(peerUni), Offset: uint64(off), Data: make([]byte, 2000)}))
			got, err := good.Read(1, testRTT, peerUni, out)
			require.NoError(t, err)
			require.Equal(t, 4000, got)
			good.send(1200, false)
		}
		for _, s := range hostile {
			s.Close()
		}
		good.Close()
		require.Zero(t, b.Used())
	}
}

// TestAdmits checks what a connection that has used up its share still receives.
func TestAdmits(t *testing.T) {
	b := NewBudget(0)
	s := receiver(t, b)
	frame := func(id ID, off, n int) wire.Stream {
		return wire.Stream{ID: uint64(id), Offset: uint64(off), Data: make([]byte, n)}
	}
	other := peerUni + 4
	require.True(t, s.offer(frame(peerUni, 0, 100)))
	require.True(t, s.offer(frame(other, 100, 1000)))
	for off := 1000; s.offer(frame(peerBidi, off, 1000)); off += 1000 {
	}
	require.InDelta(t, MinShare, s.recvShare.held, maxChunk+gapMemory)
	require.EqualValues(t, 1, b.Refused())
	all := func(frames ...wire.Frame) (p []byte) {
		for _, f := range frames {
			p = f.Append(p)
		}
		return p
	}
	for _, test := range []struct {
		name    string
		payload []byte
		want    bool
	}{
		{"repeated data", all(frame(peerBidi, 2000, 1000)), true},
		{"bytes behind a gap", all(frame(other, 2000, 10)), false},
		{"bytes that fill a gap", all(frame(other, 0, 100)), true},
		{"the next bytes of a stream that is not read", all(frame(peerUni, 100, 10)), true},
		{"the beginning of a new stream", all(frame(peerUni+8, 0, 10)), true},
		{"another part of a new stream", all(frame(peerUni+8, 1, 10)), false},
		{"an end without bytes", all(wire.Stream{ID: uint64(peerUni), Offset: 100, Fin: true}), true},
		{"control frames", all(wire.MaxData{Max: 5}, wire.ResetStream{ID: uint64(other), FinalSize: 1100}), true},
		{"one refused frame among others", all(wire.MaxData{Max: 5}, frame(other, 0, 100), frame(other, 2000, 10)), false},
		{"a malformed frame", []byte{byte(wire.FrameMaxData)}, true},
		{"a malformed STREAM frame", []byte{byte(wire.FrameStream) | 2, 0, 50}, true},
	} {
		require.Equal(t, test.want, s.Admits(1, test.payload), test.name)
	}
	// Reading makes the front readable.
	_, err := s.Read(1, testRTT, peerUni, make([]byte, 100))
	require.NoError(t, err)
	require.True(t, s.Admits(1, all(frame(peerUni, 100, 10))))
	// The number of such packets is bounded as well.
	for id := peerUni + 8; s.offer(frame(id, 0, 2000)); id += 4 {
		require.Less(t, id, peerUni+400, "no end")
	}
	require.NoError(t, s.CheckInvariants())
	for _, st := range s.all {
		require.NoError(t, s.StopSending(st.id, 1))
	}
	require.True(t, s.Admits(1, all(frame(other, 2000, 10))), "there is room again")
	require.Equal(t, monotime.Time(0), s.NextTimeout())
}

// Data that the application never reads after the peer has closed the connection is in use until the
// connection is garbage, and then no longer counts towards the budget.
func TestUnreadDataIsReleasedByTheGarbageCollector(t *testing.T) {
	cfg := testConfig()
	cfg.RecvMemory = NewBudget(1 << 20)
	c, s := newPair(t, testConfig(), cfg)
	ids := openStreams(t, c, 2)
	for _, id := range ids {
		c.write(id, 10_000)
	}
	require.NoError(t, c.CloseWrite(ids[0]))
	flow(t, 1, c, s)
	s.CloseSending()
	require.Len(t, readAll(t, s, ids[0], 700), 10_000)
	require.GreaterOrEqual(t, cfg.RecvMemory.Used(), int64(10_000))
	runtime.KeepAlive(s)
	for range 1000 {
		runtime.GC()
		if runtime.Gosched(); cfg.RecvMemory.Used() == 0 {
			return
		}
	}
	require.Zero(t, cfg.RecvMemory.Used())
}
