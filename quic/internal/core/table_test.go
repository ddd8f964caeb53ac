package core

import (
	"math/rand/v2"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A table has the entries of a map.
func TestTable(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var got table[int, int]
	want := map[int]int{}
	shrunk := 0
	for _, limit := range []int{10, 5000, 20, 3000, 1} {
		for range 20_000 {
			key := rng.IntN(5000)
			if peak := got.peak; rng.IntN(5000) < limit {
				got.set(key, peak)
				want[key] = peak
			} else {
				got.delete(key)
				delete(want, key)
				if got.peak < peak {
					shrunk++
				}
			}
		}
		require.Equal(t, want, got.m)
		require.Equal(t, len(want), got.len())
	}
	require.Positive(t, shrunk)
	require.Less(t, shrunk, 20, "copies are rare")
}

// The memory of the tables after a flood is that before it.
func TestFloodLeavesNoMemory(t *testing.T) {
	r := newRig(t, rigOptions{})
	e := r.endpoint
	flood := func(n int) {
		for i := range n {
			in := &Incoming{DstID: r.connID(), LocalID: r.connID(),
				Path: Path{Remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 1)}}
			ref := ConnRef(1 + i)
			e.Add(r.now, ref, in)
			e.HandleConnEvent(r.now, ref, EndpointEvent{Kind: AddConnID, ConnID: in.LocalID})
			e.HandleConnEvent(r.now, ref, EndpointEvent{Kind: AddResetToken, Token: [16]byte(in.LocalID.AppendTo(in.DstID.AppendTo(nil)))})
		}
		for i := range n {
			e.HandleConnEvent(r.now, ConnRef(1+i), EndpointEvent{Kind: ConnClosed})
		}
		r.now = r.now.Add(time.Minute)
		e.HandleTimeout(r.now)
		require.NoError(t, e.CheckInvariants())
	}
	flood(10)
	before := heapAfterGC()
	flood(50_000)
	require.Less(t, heapAfterGC()-before, int64(1<<20), "50,000 entries need many megabytes")
	runtime.KeepAlive(e)
}

func heapAfterGC() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
