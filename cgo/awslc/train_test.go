package awslc

import (
	"bytes"
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

var suites = []struct {
	name      string
	id        uint16
	secretLen int
}{
	{"AES-128-GCM", 0x1301, 32},
	{"AES-256-GCM", 0x1302, 48},
	{"ChaCha20-Poly1305", 0x1303, 32},
}

func keyPair(t testing.TB, suite uint16, secretLen int) (*Sealer, *Opener) {
	t.Helper()
	secret := bytes.Repeat([]byte{0x5a}, secretLen)
	s, err := NewSealer(1, suite, secret, true)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	o, err := NewOpener(1, suite, secret, true)
	require.NoError(t, err)
	t.Cleanup(o.Close)
	return s, o
}

// testHeader is the length of the header of test packets: an 8-byte connection ID and a 4-byte packet number.
const testHeader = 1 + 8 + 4

func putPacket(b []byte, pn uint64, phase uint8, payload []byte) {
	b[0] = 0x40 | phase<<2 | 3
	copy(b[1:9], "destcid!")
	b[9], b[10], b[11], b[12] = byte(pn>>24), byte(pn>>16), byte(pn>>8), byte(pn)
	copy(b[13:], payload)
}

func buildTrain(pns []uint64, phase uint8, payload []byte) ([]byte, []SealDesc, []OpenDesc) {
	size := testHeader + len(payload) + 16
	slab := make([]byte, size*len(pns))
	var seal []SealDesc
	var open []OpenDesc
	for i, pn := range pns {
		off := uint32(i * size)
		putPacket(slab[off:], pn, phase, payload)
		seal = append(seal, SealDesc{Offset: off, HeaderLen: testHeader, PayloadLen: uint32(len(payload)), PacketNumber: pn})
		open = append(open, OpenDesc{Offset: off, Len: uint32(size), PNOffset: 9})
	}
	return slab, seal, open
}

func pnRange(from, n uint64) (out []uint64) {
	for i := range n {
		out = append(out, from+i)
	}
	return out
}

func TestDescriptorsOutsideSlab(t *testing.T) {
	requireLinked(t)
	s, o := keyPair(t, 0x1301, 32)
	slab := make([]byte, 100)
	slab[0] = 0x43
	for _, d := range []SealDesc{
		{Offset: 0, HeaderLen: testHeader, PayloadLen: 100 - testHeader - 15},
		{Offset: 100, HeaderLen: testHeader, PayloadLen: 10},
		{Offset: 1<<32 - 1, HeaderLen: testHeader, PayloadLen: 10},
		{Offset: 0, HeaderLen: 1<<32 - 1, PayloadLen: 1<<32 - 1},
		{Offset: 0, HeaderLen: 0, PayloadLen: 20},
		{Offset: 0, HeaderLen: 4, PayloadLen: 20},
		{Offset: 0, HeaderLen: testHeader, PayloadLen: 20, PacketNumber: 1 << 62},
	} {
		require.Error(t, s.Seal(slab, []SealDesc{d}), "%+v", d)
	}
	slab[0] = 0x40 // a packet number of one byte: with two bytes of payload there is no sample
	require.Error(t, s.Seal(slab, []SealDesc{{HeaderLen: 10, PayloadLen: 2}}))
	for _, d := range []OpenDesc{
		{Offset: 0, Len: 101, PNOffset: 9},
		{Offset: 50, Len: 51, PNOffset: 9},
		{Offset: 1<<32 - 1, Len: 1<<32 - 1, PNOffset: 9},
		{Offset: 0, Len: 100, PNOffset: 1<<32 - 1},
		{Offset: 0, Len: 100, PNOffset: 0},
		{Offset: 0, Len: 28, PNOffset: 9},
	} {
		train := []OpenDesc{d}
		require.Equal(t, 1, o.Open(slab, train, -1))
		require.Equal(t, OpenTooShort, train[0].Status, "%+v", d)
	}
	require.NoError(t, s.Seal(slab, nil))
	require.Zero(t, o.Open(slab, nil, -1))
}

func TestDroppedPhaseFails(t *testing.T) {
	requireLinked(t)
	s, o := keyPair(t, 0x1301, 32)
	slab, seal, open := buildTrain(pnRange(0, 4), 0, []byte("old phase"))
	require.NoError(t, s.Seal(slab, seal))
	require.Equal(t, 2, o.Open(slab, open[:2], -1))
	require.NoError(t, s.Update())
	next, nextSeal, nextOpen := buildTrain([]uint64{10, 11}, 1, []byte("new phase"))
	require.NoError(t, s.Seal(next, nextSeal))
	require.Equal(t, 1, o.Open(next, nextOpen, 1), "the batch ends after the first packet of a new phase")
	require.Equal(t, OpenPending, nextOpen[1].Status)
	require.NoError(t, o.Update(10))
	require.Equal(t, 1, o.Open(next, nextOpen[1:], 10))
	require.Equal(t, OpenOK, nextOpen[1].Status)
	o.DropPrevious()
	require.Equal(t, 2, o.Open(slab, open[2:], 11))
	require.Equal(t, OpenFailed, open[2].Status)
	require.Equal(t, OpenFailed, open[3].Status)
}

// TestOwnUpdateKeepsPreviousPhase checks that, after a key update by this side, packets that the peer sent before
// it received the update open in the previous phase, whatever their packet numbers.
func TestOwnUpdateKeepsPreviousPhase(t *testing.T) {
	requireLinked(t)
	s, o := keyPair(t, 0x1301, 32)
	slab, seal, open := buildTrain(pnRange(0, 10), 0, []byte("still old"))
	require.NoError(t, s.Seal(slab, seal))
	require.Equal(t, 2, o.Open(slab, open[:2], -1))
	require.NoError(t, o.Update(2))
	require.Equal(t, 8, o.Open(slab, open[2:], 1))
	for _, d := range open {
		require.Equal(t, OpenOK, d.Status)
	}
}

func TestUpdateNeedsAppKeys(t *testing.T) {
	requireLinked(t)
	s, o, err := InitialKeys(1, rfcDCID, false)
	require.NoError(t, err)
	defer s.Close()
	defer o.Close()
	require.Error(t, s.Update())
	require.Error(t, o.Update(0))
}

func TestKeysRefused(t *testing.T) {
	requireLinked(t)
	for _, bad := range []struct {
		version uint32
		suite   uint16
		secret  int
	}{{0, 0x1301, 32}, {1, 0x1304, 32}, {1, 0x1301, 48}, {1, 0x1302, 32}, {1, 0x1301, 0}} {
		_, err := NewSealer(bad.version, bad.suite, make([]byte, bad.secret), true)
		require.Error(t, err, fmt.Sprintf("%+v", bad))
		_, err = NewOpener(bad.version, bad.suite, make([]byte, bad.secret), true)
		require.Error(t, err, fmt.Sprintf("%+v", bad))
	}
	_, _, err := InitialKeys(1, make([]byte, 21), false)
	require.Error(t, err)
	_, _, err = InitialKeys(7, rfcDCID, false)
	require.Error(t, err)
}

func TestClosedKeys(t *testing.T) {
	requireLinked(t)
	s, o := keyPair(t, 0x1301, 32)
	s.Close()
	s.Close()
	o.Close()
	o.Close()
	slab, seal, open := buildTrain(pnRange(0, 1), 0, []byte("closed"))
	require.Error(t, s.Seal(slab, seal))
	require.Error(t, s.Update())
	require.Zero(t, s.Limit())
	require.Zero(t, o.Open(slab, open, -1))
	require.Error(t, o.Update(0))
	require.Zero(t, o.Limit())
	o.DropPrevious()
}

// Keys that rest hold little more than their secrets, and work as before.
func TestRestingKeysAreSmall(t *testing.T) {
	requireLinked(t)
	runtime.LockOSThread() // AWS-LC keeps some memory for each thread
	defer runtime.UnlockOSThread()
	for _, su := range suites {
		t.Run(su.name, func(t *testing.T) {
			const n = 50
			before := Live()
			var sealers [n]*Sealer
			var openers [n]*Opener
			for i := range n {
				sealers[i], openers[i] = keyPair(t, su.id, su.secretLen)
				sealers[i].Rest()
				openers[i].Rest()
			}
			after := Live()
			held := (after.TLSBytes + after.CryptoBytes - before.TLSBytes - before.CryptoBytes) / n
			if Variant != "fips" && Variant != "fips4" { // the AEADs of FIPS modules count, and do not rest in sealers
				require.Less(t, held, int64(450), "without a rest it is 2,500")
			}
			slab, seal, open := buildTrain(pnRange(0, 3), 0, []byte("payload"))
			require.NoError(t, sealers[0].Seal(slab, seal))
			require.Equal(t, 3, openers[0].Open(slab, open, -1))
			for i := range open {
				require.Equal(t, OpenOK, open[i].Status)
			}
		})
	}
}
