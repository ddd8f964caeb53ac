package tlstest

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/pqquic/pqquic/tlsprovider/tlstest/internal/require"

	"github.com/pqquic/pqquic/tlsprovider"
)

// tamperedSizes opens a train of each payload size up to 9000 bytes in which two packets in the middle were changed, one
// at a random byte and one in its tag. The others must open.
func (k *keys) tamperedSizes(t *testing.T) {
	s, o := k.pair(t)
	random := rand.New(rand.NewPCG(7, 8))
	filling := make([]byte, 9000)
	for i := range filling {
		filling[i] = byte(random.Uint32())
	}
	pn, largest := uint64(0), int64(-1)
	var tr train
	for size := 0; size <= 9000; size++ {
		tr = train{slab: tr.slab[:0], seal: tr.seal[:0], open: tr.open[:0]}
		pnLen := 1 + int(pn%4)
		if size+pnLen < 4 {
			pnLen = 4 // otherwise the packet has no sample
		}
		for range 5 {
			tr.add(pn, pnLen, 0, filling[:size])
			pn++
		}
		tr.sealAll(t, s)
		anywhere := tr.open[1].Offset + uint32(random.IntN(int(tr.open[1].Len)))
		tr.slab[anywhere] ^= 1 << random.IntN(8)
		tag := tr.open[3].Offset + tr.open[3].Len - 1 - uint32(random.IntN(tlsprovider.TagLen))
		tr.slab[tag] ^= 1 << random.IntN(8)
		require.Equal(t, len(tr.open), o.Open(tr.slab, tr.open, largest))
		for i := range tr.open {
			if i == 1 || i == 3 {
				require.Equal(t, tlsprovider.OpenFailed, tr.open[i].Status, "%d bytes, packet %d", size, i)
			} else {
				tr.requireOpen(t, i, tlsprovider.OpenOK)
			}
		}
		largest = int64(pn) - 1
		if testing.Short() || raceEnabled {
			size += random.IntN(16)
		}
	}
}

// droppedPhase checks that packets of a phase whose key was discarded fail, and packets of a phase that never existed.
func (k *keys) droppedPhase(t *testing.T) {
	s, o := k.pair(t)
	var old, fresh train
	for pn := range uint64(4) {
		old.add(pn, 4, 0, []byte("payload"))
	}
	old.sealAll(t, s)
	require.NoError(t, s.Update())
	for pn := range uint64(2) {
		fresh.add(10+pn, 4, 1, []byte("payload"))
	}
	fresh.sealAll(t, s)
	require.Equal(t, 2, o.Open(old.slab, old.open[:2], -1))
	require.Equal(t, 1, o.Open(fresh.slab, fresh.open, 1))
	require.NoError(t, o.Update(10))
	o.DropPrevious()
	require.Equal(t, 2, o.Open(old.slab, old.open[2:], 10))
	for _, d := range old.open[2:] {
		require.Equal(t, tlsprovider.OpenFailed, d.Status)
	}
	require.Equal(t, 1, o.Open(fresh.slab, fresh.open[1:], 10))
	fresh.requireOpen(t, 1, tlsprovider.OpenOK)

	// Seal with the key of the current phase and the bit of the other one. No key opens that.
	var forged train
	forged.add(12, 4, 0, []byte("payload"))
	forged.sealAll(t, s)
	require.Equal(t, 1, o.Open(forged.slab, forged.open, 1<<20))
	require.Equal(t, tlsprovider.OpenFailed, forged.open[0].Status)
	s2, o2 := k.pair(t)
	forged = train{}
	forged.add(0, 4, 1, []byte("payload")) // looks like a previous phase, which does not exist
	forged.sealAll(t, s2)
	require.Equal(t, 1, o2.Open(forged.slab, forged.open, -1))
	require.Equal(t, tlsprovider.OpenFailed, forged.open[0].Status)
}

// lastNumber checks that a packet with the largest number opens, and that one with the next number does not.
func (k *keys) lastNumber(t *testing.T) {
	const last = uint64(1)<<62 - 1
	s, o := k.pair(t)
	var tr train
	tr.add(last, 4, 0, []byte("payload"))
	tr.sealAll(t, s)
	require.Equal(t, 1, o.Open(tr.slab, tr.open, int64(last)-1))
	tr.requireOpen(t, 0, tlsprovider.OpenOK)
	tr = train{}
	tr.add(last+1, 4, 0, bytes.Repeat([]byte{1}, 20))
	require.Error(t, s.Seal(tr.slab, tr.seal))
	require.Equal(t, 1, o.Open(tr.slab, tr.open, int64(last)))
	require.Equal(t, tlsprovider.OpenFailed, tr.open[0].Status)
}
