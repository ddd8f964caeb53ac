package native

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

func keyMaker(t testing.TB, version uint32, id tlsprovider.CipherSuite, secret []byte) tlsprovider.Keys {
	t.Helper()
	v, err := findVersion(version)
	require.NoError(t, err)
	params := keyParams{id: id, version: v, secret: secret, app: true, approved: true}
	live := new(counters)
	s, err := newSealer(live, params)
	require.NoError(t, err)
	o, err := newOpener(live, params)
	require.NoError(t, err)
	return tlsprovider.Keys{Sealer: s, Opener: o}
}

func TestKeys(t *testing.T) { tlstest.RunKeys(t, New().Capabilities(), keyMaker, keyMaker) }

// trainOf returns a slab of n packets of 1200 bytes, and the descriptors for sealing and opening them.
func trainOf(n int) (slab []byte, seal []tlsprovider.SealDesc, open []tlsprovider.OpenDesc) {
	const size, headerLen, pnOffset = 1200, 13, 9
	slab = make([]byte, n*size)
	for i := range n {
		at := uint32(i * size)
		seal = append(seal, tlsprovider.SealDesc{Offset: at, HeaderLen: headerLen, PayloadLen: size - headerLen - tlsprovider.TagLen})
		open = append(open, tlsprovider.OpenDesc{Offset: at, Len: size, PNOffset: pnOffset})
	}
	return slab, seal, open
}

// number writes the headers of a train whose first packet number is pn.
func number(slab []byte, seal []tlsprovider.SealDesc, pn uint64) {
	for i := range seal {
		seal[i].PacketNumber = pn + uint64(i)
		h := slab[seal[i].Offset:]
		h[0] = 0x43
		binary.BigEndian.PutUint32(h[9:], uint32(seal[i].PacketNumber))
	}
}

// TestKeysDoNotAllocate checks that sealing and opening trains allocate no memory.
func TestKeysDoNotAllocate(t *testing.T) {
	for id, su := range suites {
		k := keyMaker(t, version1, id, make([]byte, su.hashLen))
		slab, seal, open := trainOf(16)
		pn, largest := uint64(0), int64(-1)
		require.Zero(t, testing.AllocsPerRun(100, func() {
			number(slab, seal, pn)
			require.NoError(t, k.Sealer.Seal(slab, seal))
			require.Equal(t, 16, k.Opener.Open(slab, open, largest))
			pn += 16
			largest = int64(pn) - 1
		}), "%v", id)
		require.Equal(t, tlsprovider.OpenOK, open[15].Status)
		k.Close()
	}
}

// The keys of a connection take 41 derivations of HKDF. Each allocates an HMAC, its pads and the result, but no hash
// states: with those, the keys of both directions took 9,700 bytes.

func BenchmarkKeys(b *testing.B) {
	secret := make([]byte, 32)
	b.ReportAllocs()
	for b.Loop() {
		keyMaker(b, version1, tlsprovider.AES128GCM, secret).Close()
	}
}

func BenchmarkInitialKeys(b *testing.B) {
	p := New()
	b.ReportAllocs()
	for b.Loop() {
		k, err := p.InitialKeys(version1, []byte("12345678"), tlsprovider.Server)
		if err != nil {
			b.Fatal(err)
		}
		k.Close()
	}
}

func BenchmarkSeal(b *testing.B) {
	k := keyMaker(b, version1, tlsprovider.AES128GCM, make([]byte, 32))
	slab, seal, _ := trainOf(16)
	pn := uint64(0)
	b.SetBytes(int64(len(slab)))
	b.ReportAllocs()
	for b.Loop() {
		number(slab, seal, pn)
		if err := k.Sealer.Seal(slab, seal); err != nil {
			b.Fatal(err)
		}
		pn += 16
	}
}

func BenchmarkOpen(b *testing.B) {
	k := keyMaker(b, version1, tlsprovider.AES128GCM, make([]byte, 32))
	sealed, seal, open := trainOf(16)
	number(sealed, seal, 0)
	require.NoError(b, k.Sealer.Seal(sealed, seal))
	slab := make([]byte, len(sealed))
	b.SetBytes(int64(len(slab)))
	b.ReportAllocs()
	for b.Loop() {
		copy(slab, sealed)
		if k.Opener.Open(slab, open, -1) != 16 || open[15].Status != tlsprovider.OpenOK {
			b.Fatal("not opened")
		}
	}
}

func BenchmarkOpenInitialJunk(b *testing.B) {
	p := New()
	junk := bytes.Repeat([]byte{0xc3}, 1200)
	b.ReportAllocs()
	for b.Loop() {
		p.OpenInitial(version1, []byte("12345678"), junk, 18)
	}
}
