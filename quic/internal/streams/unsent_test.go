package streams

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// unsentTest returns a client with streams that have sent something, and a large buffer.
func unsentTest(t *testing.T, p wire.TransportParameters, streams int) (*peer, []ID) {
	c, ids := newClient(t, p, streams)
	cfg := *c.cfg
	cfg.SendBuffer = 4 << 20
	c.cfg = &cfg
	for _, id := range ids {
		c.write(id, 1000)
	}
	return c, ids
}

// fillUp writes as much as a stream accepts, and returns how much that is.
func (p *peer) fillUp(id ID) int {
	n, err := p.Write(id, make([]byte, 8<<20))
	require.Equal(p.t, ErrBlocked, err)
	return n
}

// sendAll sends what may be sent. It returns the packets.
func (p *peer) sendAll() (pkts []*packet) {
	for p.HasPending() {
		pkts = append(pkts, p.jumbo())
	}
	return pkts
}

func (p *peer) ack(pkts []*packet) {
	for _, pkt := range pkts {
		p.fate(pkt, recovery.Acked)
	}
}

// Several streams share a quarter of the buffer for what was not sent, but each may have 128 KiB. Writers are woken when
// half of it was sent.
func TestUnsent(t *testing.T) {
	for _, tt := range []struct{ streams, limit int }{{1, 4 << 20}, {2, 512 << 10}, {5, 1 << 20 / 5}, {10, 128 << 10}, {50, 128 << 10}} {
		c, ids := unsentTest(t, wide, tt.streams)
		for _, id := range ids {
			require.Equal(t, tt.limit-1000, c.fillUp(id), "%d streams", tt.streams)
		}
		require.Empty(t, c.events())
		pkts := c.sendAll()
		if tt.streams == 1 {
			require.Empty(t, c.events(), "nothing is acknowledged")
			continue
		}
		require.Len(t, c.events(), tt.streams)
		for _, id := range ids {
			require.Equal(t, tt.limit, c.fillUp(id))
		}
		for h := &c.find(ids[0]).send; h.end-h.sent > int64(tt.limit)/2; pkts = append(pkts, c.jumbo()) {
			require.NotContains(t, c.events(), "writable 2")
		}
		require.Contains(t, c.events(), "writable 2")
		c.ack(pkts)
		require.NoError(t, c.CheckInvariants())
	}
}

// If the peer has received all that it permits, a writer can fill the whole buffer: it does not depend on what the peer
// reads. Nor does the limit hold for loans.
func TestUnsentOfStalledStreams(t *testing.T) {
	const size = 4 << 20
	t.Run("stream", func(t *testing.T) {
		c, ids := unsentTest(t, wire.TransportParameters{MaxData: 1 << 30, MaxStreamDataUni: 100_000}, 10)
		for _, id := range ids {
			require.Equal(t, 128<<10-1000, c.fillUp(id))
		}
		pkts := c.sendAll()
		c.events()
		for _, id := range ids {
			c.fillUp(id)
		}
		require.Empty(t, c.events())
		c.ack(pkts)
		require.Len(t, c.events(), len(ids))
		for _, id := range ids {
			c.fillUp(id)
			require.EqualValues(t, size+100_000, c.find(id).send.end)
		}
		require.Empty(t, c.events())
	})
	t.Run("connection", func(t *testing.T) {
		c, ids := unsentTest(t, wire.TransportParameters{MaxData: 100_000, MaxStreamDataUni: 1 << 30}, 20)
		first := c.sendAll()
		require.NotEmpty(t, first)
		c.ack(first)
		for _, id := range ids {
			c.write(id, 1)
		}
		for _, id := range ids {
			require.Equal(t, 128<<10-1, c.fillUp(id))
		}
		require.Empty(t, c.events())
		c.ack(c.sendAll()) // of few streams: the others have nothing that could be acknowledged
		require.Len(t, c.events(), len(ids))
		for _, id := range ids {
			c.fillUp(id)
			require.EqualValues(t, size, c.find(id).send.end-c.find(id).send.acked)
		}
	})
	t.Run("early data rejected", func(t *testing.T) {
		c, ids := unsentTest(t, wide, 10)
		for _, id := range ids {
			c.fillUp(id)
		}
		require.Empty(t, c.events())
		c.Rewind()
		c.ReplacePeerParams(nil)
		require.Len(t, c.events(), len(ids))
		require.Equal(t, size-128<<10, c.fillUp(ids[0]))
	})
	t.Run("loan", func(t *testing.T) {
		c, ids := unsentTest(t, wide, 10)
		n, err := c.Lend(ids[0], NewLoan(make([]byte, 8<<20), nil))
		require.Equal(t, ErrBlocked, err)
		require.Equal(t, size-1000, n)
		c.sendAll()
		require.Empty(t, c.events(), "sending makes no room for a loan")
	})
}

// A chunk waits until there is room for all of it.
func TestUnsentChunk(t *testing.T) {
	c, ids := unsentTest(t, wide, 10)
	large := func(id ID) error {
		chunk := NewChunk(true)
		err := c.WriteChunk(id, chunk, largestChunk)
		if err != nil {
			chunk.Free()
		}
		return err
	}
	require.NoError(t, large(ids[0]))
	require.Equal(t, ErrBlocked, large(ids[0]))
	require.Empty(t, c.events())
	pkts := c.sendAll()
	require.Equal(t, []string{"writable 2"}, c.events())
	require.NoError(t, large(ids[0]))
	c.ack(pkts)

	small := *c.cfg
	small.SendBuffer = 4*largestChunk - 1
	c.cfg = &small
	require.Equal(t, ErrTooLarge, large(ids[0]))
	require.NoError(t, c.CheckInvariants())
}
