//go:build !race

package streams

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// These tests count allocations. They do not run with the race detector, with which pools drop items at
// random.

// TestBulkAllocs checks that a packet of a bulk transfer costs no allocation on either side.
func TestBulkAllocs(t *testing.T) {
	for _, streams := range []int{1, 10} {
		c := newConveyor(t, streams)
		for range 5000 {
			c.packet(t)
		}
		const batch = 100
		perBatch := testing.AllocsPerRun(100, func() {
			for range batch {
				c.packet(t)
			}
		})
		// A garbage collection empties the pools. This costs a chunk now and then, but not one for every
		// packet.
		require.Less(t, perBatch/batch, 0.5, "allocations per packet with %d streams", streams)
		require.NoError(t, c.a.CheckInvariants())
		require.NoError(t, c.b.CheckInvariants())
	}
}

// Once a stream has its segments, it writes, sends and releases without allocation.
func TestSendBufferAllocs(t *testing.T) {
	for _, size := range []int{1, 10, 1000, 20000} {
		var b sendBuffer
		in, out := make([]byte, size), make([]byte, size)
		off := int64(0)
		round := func() {
			b.write(off, in)
			b.read(out, off)
			off += int64(size)
			b.release(off-int64(size/2), nil)
		}
		for range 1000 {
			round()
		}
		// A garbage collection empties the pools, which costs a chunk now and then.
		require.Less(t, testing.AllocsPerRun(1000, round), 0.5, "writes of %d bytes", size)
		b.free(nil)
	}
}

// A short stream uses the memory of one that was freed before.
func TestShortStreamAllocs(t *testing.T) {
	shortStream := shortStreams(t)
	for range 100 {
		shortStream()
	}
	// A garbage collection empties the pools, which costs a chunk now and then.
	require.Less(t, testing.AllocsPerRun(1000, shortStream), 0.5)
}
