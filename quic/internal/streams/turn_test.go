package streams

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/wire"
)

// turns sends packets of 1200 bytes, and returns how many each turn of a stream has.
func (p *peer) turns(packets int) (lengths []int) {
	last := ID(1 << 62)
	for range packets {
		id := ID(p.send(1200, false).stream(p.t).ID)
		if id != last {
			lengths = append(lengths, 0)
		}
		lengths[len(lengths)-1]++
		last = id
	}
	return lengths
}

// A turn is 16 KiB long, and shorter if many streams share the path or trains are short.
func TestTurnLength(t *testing.T) {
	p := wire.TransportParameters{MaxData: 1 << 40, MaxStreamDataUni: 1 << 30}
	for _, tt := range []struct{ streams, want int }{{2, 13}, {10, 13}, {20, 7}, {80, 2}, {200, 1}} {
		c, ids := newClient(t, p, tt.streams)
		c.SetTrain(64 << 10)
		for _, id := range ids {
			c.write(id, 100_000)
		}
		for _, n := range c.turns(tt.want * tt.streams) {
			require.Equal(t, tt.want, n, "%d streams", tt.streams)
		}
	}
	for _, packets := range []int{1, 2, 10} {
		c, ids := newClient(t, p, 2)
		c.SetTrain(packets * 1200)
		for _, id := range ids {
			c.write(id, 100_000)
		}
		require.Equal(t, []int{packets, packets, packets, packets}, c.turns(4*packets))
	}
}

// A message does not wait for long turns.
func TestTurnsBesideMessage(t *testing.T) {
	c, ids := newClient(t, wide, 4)
	c.SetTrain(64 << 10)
	for _, id := range ids[:3] {
		c.write(id, 100_000)
	}
	require.Equal(t, []int{13, 13, 5}, c.turns(31))
	c.write(ids[3], 100)
	require.Equal(t, []int{1, 1, 1}, c.turns(3))
	list := c.send(1200, false).dataFrames(t)
	require.EqualValues(t, ids[3], list[0].ID)
	require.Len(t, list, 2)
	require.Equal(t, []int{12, 13, 13}, c.turns(38), "long turns")
}

// A more urgent stream interrupts a turn.
func TestTurnInterrupted(t *testing.T) {
	c, ids := newClient(t, wide, 3)
	c.SetTrain(64 << 10)
	c.SetPriority(ids[2], 0, true)
	c.write(ids[0], 100_000)
	c.write(ids[1], 100_000)
	require.Equal(t, []int{5}, c.turns(5))
	c.write(ids[2], 20_000)
	for range 17 {
		require.EqualValues(t, ids[2], c.send(1200, false).dataFrames(t)[0].ID)
	}
	require.Equal(t, []int{8, 13}, c.turns(21), "the rest of the turn, and the next one")
}
