package streams

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// newClient returns a client with n unidirectional streams, whose peer sends the limits in p.
func newClient(t testing.TB, p wire.TransportParameters, n int) (*peer, []ID) {
	c, _ := newPair(t, testConfig(), testConfig())
	c.sendMax, c.local = 0, [2]localType{}
	p.MaxStreamsUni = max(p.MaxStreamsUni, uint64(n))
	c.SetPeerParams(&p)
	var ids []ID
	for range n {
		id, err := c.Open(true)
		require.NoError(t, err)
		ids = append(ids, id)
	}
	return c, ids
}

// wide are the parameters of a peer that allows more than a test needs.
var wide = wire.TransportParameters{MaxData: 1 << 30, MaxStreamDataUni: 1 << 30, MaxStreamDataBidiRemote: 1 << 30}

func (p *peer) write(id ID, n int) {
	p.t.Helper()
	_, err := p.Write(id, make([]byte, n))
	require.NoError(p.t, err)
}

// stream returns the only STREAM frame of a packet.
func (pkt *packet) stream(t testing.TB) wire.Stream {
	t.Helper()
	require.NotNil(t, pkt)
	f, n := wire.ConsumeStream(pkt.payload)
	require.Equal(t, len(pkt.payload), n)
	return f
}

// Frames fill packets exactly, whatever the room.
func TestFrameFit(t *testing.T) {
	for room := range 300 {
		for _, n := range []int{0, 1, 47, 63, 64, 65, 100, 200, 5000} {
			c, ids := newClient(t, wide, 1)
			c.write(ids[0], n)
			require.NoError(t, c.CloseWrite(ids[0]))
			total := 0
			b, rec := c.Append(nil, room, 0, nil, false)
			require.LessOrEqual(t, len(b), room)
			require.Equal(t, len(b) == 0, len(rec) == 0)
			if room >= n+8 {
				require.NotEmpty(t, b, "%d bytes in a room of %d", n, room)
			}
			if len(b) > 0 {
				f, size := wire.ConsumeStream(b)
				require.Equal(t, len(b), size)
				require.True(t, !f.ToEnd || len(b) == room, "without length in the middle of a packet")
				if n > len(f.Data) {
					require.LessOrEqual(t, room-len(b), 1, "%d bytes in a room of %d leave some", n, room)
				}
				require.Equal(t, len(f.Data) == n, f.Fin)
				total = len(f.Data)
			}
			for pkt := c.send(1200, false); pkt != nil; pkt = c.send(1200, false) {
				f := pkt.stream(t)
				require.EqualValues(t, total, f.Offset)
				total += len(f.Data)
			}
			require.Equal(t, n, total)
		}
	}
}

// Append keeps the existing bytes and does not use capacity beyond room.
func TestAppendKeeps(t *testing.T) {
	c, ids := newClient(t, wide, 1)
	c.write(ids[0], 5000)
	buf := make([]byte, 0, 2000)
	b, rec := c.Append(append(buf, "head"...), 100, 0, []byte{1, 2}, false)
	require.Equal(t, "head", string(b[:4]))
	require.Len(t, b, 104)
	require.Equal(t, []byte{1, 2}, rec[:2])
	require.Zero(t, buf[:2000][104])
}

// Streams take turns. A stream that is finished or blocked does not delay others.
func TestTurns(t *testing.T) {
	c, ids := newClient(t, wide, 3)
	for _, id := range ids {
		c.write(id, 10000)
	}
	sent := make(map[ID]int)
	for range 9 {
		f := c.send(1000, false).stream(t)
		sent[ID(f.ID)] += len(f.Data)
	}
	for _, id := range ids {
		require.InDelta(t, 3000, sent[id], 50, "stream %d", id)
	}
	require.NoError(t, c.Reset(ids[1], 1))
	require.Equal(t, []string{"RESET_STREAM"}, kinds(c.send(40, false).frames(t)))
	clear(sent)
	for range 4 {
		f := c.send(1000, false).stream(t)
		sent[ID(f.ID)]++
	}
	require.Equal(t, map[ID]int{ids[0]: 2, ids[2]: 2}, sent)
}

// kinds reduces frames to their names.
func kinds(frames []string) (names []string) {
	for _, f := range frames {
		for i := range f {
			if f[i] == ' ' || f[i] == '(' || f[i] == '{' {
				f = f[:i]
				break
			}
		}
		names = append(names, f)
	}
	return names
}

// "Senders MUST NOT send data in excess of either limit."
// https://www.rfc-editor.org/rfc/rfc9000#section-4.1-3
// "An endpoint MUST NOT send data on any stream without ensuring that it is within the flow control limits set by its
// peer."
// https://www.rfc-editor.org/rfc/rfc9000#section-2.2-6
// "The data sent on a stream MUST NOT exceed the largest maximum stream data value advertised by the receiver."
// https://www.rfc-editor.org/rfc/rfc9000#section-19.10-8
func TestBlocked(t *testing.T) {
	c, ids := newClient(t, wire.TransportParameters{MaxData: 250, MaxStreamDataUni: 100}, 3)
	sum := func() (n int) {
		for pkt := c.send(60, false); pkt != nil; pkt = c.send(60, false) {
			for b := pkt.payload; len(b) > 0; {
				if b[0]&^7 == 8 {
					f, _ := wire.ConsumeStream(b)
					n += len(f.Data)
				}
				_, used := wire.ParseFrame(b)
				b = b[used:]
			}
		}
		require.NoError(t, c.CheckInvariants())
		return n
	}
	c.write(ids[0], 1000)
	require.Equal(t, 100, sum())
	require.True(t, c.find(ids[0]).send.blocked.IsSet(), "STREAM_DATA_BLOCKED was sent")
	require.False(t, c.blocked.IsSet())
	c.write(ids[1], 1000)
	c.write(ids[2], 1000)
	require.Equal(t, 150, sum())
	require.True(t, c.blocked.IsSet(), "DATA_BLOCKED was sent")
	require.False(t, c.HasPending())

	// "A sender MUST ignore any MAX_STREAM_DATA or MAX_DATA frames that do not increase flow
	// control limits."
	// https://www.rfc-editor.org/rfc/rfc9000#section-4.1-9
	require.NoError(t, c.input(wire.MaxData{Max: 249}))
	require.NoError(t, c.input(wire.MaxStreamData{ID: uint64(ids[0]), Max: 99}))
	require.False(t, c.HasPending())

	require.NoError(t, c.input(wire.MaxStreamData{ID: uint64(ids[0]), Max: 400}))
	require.Zero(t, sum(), "the connection's limit holds")
	require.NoError(t, c.input(wire.MaxData{Max: 1000}))
	require.Equal(t, 300+50, sum(), "as far as the streams' limits go")
	require.NoError(t, c.CloseWrite(ids[1]))
	require.Zero(t, sum(), "an end behind blocked data waits for it")
	require.False(t, c.Flushed())
}

// The end of a stream needs no flow control credit.
func TestFinWithoutCredit(t *testing.T) {
	c, ids := newClient(t, wire.TransportParameters{}, 1)
	require.NoError(t, c.CloseWrite(ids[0]))
	f := c.send(100, false).stream(t)
	require.True(t, f.Fin)
	require.Empty(t, f.Data)
}

// Lost information is sent again, in its newest form, and only as long as the peer lacks it.
func TestLoss(t *testing.T) {
	c, ids := newClient(t, wide, 1)
	c.write(ids[0], 3000)
	require.NoError(t, c.CloseWrite(ids[0]))
	var pkts []*packet
	for pkt := c.send(1040, false); pkt != nil; pkt = c.send(1040, false) {
		pkts = append(pkts, pkt)
	}
	require.Len(t, pkts, 3)
	c.fate(pkts[1], recovery.Lost)
	again := c.send(2000, false)
	require.Equal(t, pkts[1].stream(t).Data, again.stream(t).Data)
	require.Equal(t, pkts[1].stream(t).Offset, again.stream(t).Offset)
	require.False(t, c.HasPending())

	c.fate(again, recovery.Lost)
	c.fate(pkts[1], recovery.Acked)
	require.False(t, c.HasPending(), "the packet was late, not lost")

	c.fate(pkts[2], recovery.Lost)
	f := c.send(2000, false)
	require.True(t, f.stream(t).Fin)
	c.fate(pkts[0], recovery.Acked)
	require.False(t, c.Flushed())
	c.fate(f, recovery.Acked)
	require.True(t, c.Flushed())
	require.Equal(t, []string{"flushed"}, c.events())
	require.Zero(t, c.Stats().OpenStreams, "the stream is freed")
	c.fate(pkts[2], recovery.Acked)
	require.NoError(t, c.CheckInvariants())
}

// A lost end without data is sent again. An acknowledgement of any packet with it is enough.
func TestFinAlone(t *testing.T) {
	c, ids := newClient(t, wide, 1)
	c.write(ids[0], 10)
	data := c.send(100, false)
	require.NoError(t, c.CloseWrite(ids[0]))
	fin := c.send(100, false)
	c.fate(data, recovery.Acked)
	c.fate(fin, recovery.Lost)
	again := c.send(100, false).stream(t)
	require.True(t, again.Fin)
	require.EqualValues(t, 10, again.Offset)
	require.False(t, c.Flushed())
	c.fate(fin, recovery.Acked)
	require.True(t, c.Flushed())
	require.Zero(t, c.Stats().OpenStreams)
}

// A probe repeats unacknowledged data instead of carrying a PING, and the next probe repeats other data.
func TestProbe(t *testing.T) {
	c, ids := newClient(t, wide, 2)
	require.Nil(t, c.send(1000, true), "nothing is missing")
	c.write(ids[1], 3000)
	var pkts []*packet
	for pkt := c.send(1040, false); pkt != nil; pkt = c.send(1040, false) {
		pkts = append(pkts, pkt)
	}
	c.fate(pkts[0], recovery.Acked)
	require.Nil(t, c.send(1000, false))
	first, second := c.send(1000, true).stream(t), c.send(1000, true).stream(t)
	require.EqualValues(t, len(pkts[0].stream(t).Data), first.Offset, "what is acknowledged is not repeated")
	require.EqualValues(t, first.Offset+uint64(len(first.Data)), second.Offset)
	require.Equal(t, uint64(3000), second.Offset+uint64(len(second.Data)))
	require.Equal(t, first.Offset, c.send(1000, true).stream(t).Offset, "from the beginning")

	c.write(ids[0], 10)
	require.EqualValues(t, ids[0], c.send(1000, true).stream(t).ID, "new data comes first")

	require.NoError(t, c.Reset(ids[1], 5))
	require.NotNil(t, c.send(1000, false))
	require.Equal(t, []string{"STREAM"}, kinds(c.send(1000, true).frames(t)))
	require.NoError(t, c.Reset(ids[0], 5))
	require.NotNil(t, c.send(1000, false))
	require.Equal(t, []string{"RESET_STREAM"}, kinds(c.send(1000, true).frames(t)))
}

// Write accepts what the buffer holds. The writer is woken when a quarter is free.
func TestWriteBuffer(t *testing.T) {
	c, ids := newClient(t, wide, 1)
	size := int(c.cfg.SendBuffer)
	n, err := c.Write(ids[0], make([]byte, size+5))
	require.Equal(t, size, n)
	require.Equal(t, ErrBlocked, err)
	n, err = c.Write(ids[0], []byte("x"))
	require.Zero(t, n)
	require.Equal(t, ErrBlocked, err)
	n, err = c.Write(ids[0], nil)
	require.Zero(t, n)
	require.NoError(t, err)
	acked := 0
	for acked < size/4 {
		require.Empty(t, c.events(), "%d bytes are free", acked)
		pkt := c.send(1200, false)
		acked += len(pkt.stream(t).Data)
		c.fate(pkt, recovery.Acked)
	}
	require.Equal(t, []string{"writable 2"}, c.events())
	c.write(ids[0], size/4)
	require.NoError(t, c.CheckInvariants())
}

// TestAfterEnd checks what the application's calls return when their half has ended.
//
// "An endpoint MUST NOT send data on a stream at or beyond the final size."
// https://www.rfc-editor.org/rfc/rfc9000#section-4.5-4
func TestAfterEnd(t *testing.T) {
	c, ids := newClient(t, wide, 2)
	require.NoError(t, c.CloseWrite(ids[0]))
	require.Equal(t, ErrClosed, c.CloseWrite(ids[0]))
	_, err := c.Write(ids[0], []byte("x"))
	require.Equal(t, ErrClosed, err)
	require.NoError(t, c.Reset(ids[0], 1), "an end that is not acknowledged can still be reset")
	require.Equal(t, ErrClosed, c.Reset(ids[0], 1))

	require.NoError(t, c.Reset(ids[1], 1))
	_, err = c.Write(ids[1], []byte("x"))
	require.Equal(t, ErrClosed, err)
	require.Equal(t, ErrClosed, c.CloseWrite(ids[1]))
	_, err = c.Read(1, testRTT, ids[0], make([]byte, 1))
	require.Equal(t, ErrClosed, err, "there is no receiving part")
	require.Equal(t, ErrClosed, c.StopSending(ids[0], 1))
	_, err = c.Write(1000, []byte("x"))
	require.Equal(t, ErrClosed, err)
}
