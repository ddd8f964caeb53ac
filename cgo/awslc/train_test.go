package awslc

import (
	"bytes"
	"fmt"
	"math/rand/v2"
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

// A packet is what a test seals: an 8-byte connection ID and a 4-byte packet number.
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

func TestTrainSizes(t *testing.T) {
	requireLinked(t)
	for _, suite := range suites {
		t.Run(suite.name, func(t *testing.T) {
			s, o := keyPair(t, suite.id, suite.secretLen)
			pn, largest := uint64(0), int64(-1)
			random := rand.New(rand.NewPCG(1, 2))
			for size := 0; size <= 9000; size += 1 + size/16 {
				payload := make([]byte, size)
				for i := range payload {
					payload[i] = byte(random.Uint32())
				}
				for _, n := range []uint64{1, 3, 70} {
					pns := pnRange(pn, n)
					slab, seal, open := buildTrain(pns, 0, payload)
					plain := bytes.Clone(slab)
					require.NoError(t, s.Seal(slab, seal))
					require.Equal(t, len(open), o.Open(slab, open, largest))
					for i, d := range open {
						require.Equal(t, OpenOK, d.Status)
						require.Equal(t, pns[i], d.PacketNumber)
						require.EqualValues(t, testHeader, d.HeaderLen)
						require.EqualValues(t, size, d.PayloadLen)
						end := d.Offset + d.HeaderLen + d.PayloadLen
						require.Equal(t, plain[d.Offset:end], slab[d.Offset:end])
					}
					pn += n
					largest = int64(pn) - 1
				}
			}
		})
	}
}

func TestTamperedMidTrain(t *testing.T) {
	requireLinked(t)
	for _, suite := range suites {
		t.Run(suite.name, func(t *testing.T) {
			s, o := keyPair(t, suite.id, suite.secretLen)
			pns := pnRange(0, 8)
			payload := bytes.Repeat([]byte{7}, 100)
			slab, seal, open := buildTrain(pns, 0, payload)
			require.NoError(t, s.Seal(slab, seal))
			size := len(slab) / 8
			slab[3*size+50] ^= 1     // a byte of ciphertext
			slab[4*size+2] ^= 1      // the connection ID, which is authenticated too
			slab[6*size-1] ^= 0x80   // the tag of packet 5
			open[6].Len = testHeader // no room for a sample
			require.Equal(t, 8, o.Open(slab, open, -1))
			for i, d := range open {
				want := OpenOK
				switch i {
				case 3, 4, 5:
					want = OpenFailed
				case 6:
					want = OpenTooShort
				}
				require.Equal(t, want, d.Status, "packet %d", i)
				if want == OpenOK {
					require.Equal(t, payload, slab[d.Offset+d.HeaderLen:][:d.PayloadLen])
				}
			}
		})
	}
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
	slab[0] = 0x40 // one byte of packet number: two bytes of payload leave no sample
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

// The AEAD of the FIPS module takes the first number it sees for 0 and insists on growing ones.
func TestFirstAndSkippedNumbers(t *testing.T) {
	requireLinked(t)
	for _, suite := range suites {
		t.Run(suite.name, func(t *testing.T) {
			for first := uint64(0); first <= 4096; first += 1 + first/7 {
				s, o := keyPair(t, suite.id, suite.secretLen)
				pns := []uint64{first, first + 1, first + 5, first + 64, first + 4096, first + 4097}
				slab, seal, open := buildTrain(pns, 0, []byte("skipped numbers"))
				require.NoError(t, s.Seal(slab, seal), "first %d", first)
				require.Equal(t, len(pns), o.Open(slab, open, int64(first)-1))
				for i, d := range open {
					require.Equal(t, OpenOK, d.Status)
					require.Equal(t, pns[i], d.PacketNumber)
				}
			}
		})
	}
}

func TestNumbersMustGrow(t *testing.T) {
	requireLinked(t)
	s, _ := keyPair(t, 0x1301, 32)
	slab, seal, _ := buildTrain([]uint64{5, 5}, 0, []byte("payload"))
	require.Error(t, s.Seal(slab, seal))
	slab, seal, _ = buildTrain([]uint64{4}, 0, []byte("payload"))
	require.Error(t, s.Seal(slab, seal))
	require.NoError(t, s.Update())
	slab, seal, _ = buildTrain([]uint64{5}, 1, []byte("payload"))
	require.Error(t, s.Seal(slab, seal), "a number is sealed once, over all phases")
	slab, seal, _ = buildTrain([]uint64{6}, 1, []byte("payload"))
	require.NoError(t, s.Seal(slab, seal))
}

func TestKeyPhases(t *testing.T) {
	requireLinked(t)
	for _, suite := range suites {
		t.Run(suite.name, func(t *testing.T) {
			s, o := keyPair(t, suite.id, suite.secretLen)
			sealOne := func(pn uint64, phase uint8) ([]byte, []OpenDesc) {
				slab, seal, open := buildTrain([]uint64{pn}, phase, []byte("phase"))
				require.NoError(t, s.Seal(slab, seal))
				return slab, open
			}
			openOne := func(slab []byte, open []OpenDesc, largest int64) OpenDesc {
				require.Equal(t, 1, o.Open(slab, open, largest))
				return open[0]
			}
			pn := uint64(0)
			for phase := range uint8(20) {
				slab, open := sealOne(pn, phase&1)
				late, lateOpen := sealOne(pn+1, phase&1)
				require.Equal(t, OpenOK, openOne(slab, open, int64(pn)-1).Status)

				require.NoError(t, s.Update())
				slab, open = sealOne(pn+2, phase&1^1)
				d := openOne(slab, open, int64(pn))
				require.Equal(t, OpenNextPhase, d.Status)
				require.Equal(t, phase&1^1, d.Phase)
				require.Equal(t, "phase", string(slab[d.HeaderLen:][:d.PayloadLen]))
				require.NoError(t, o.Update(pn+2))

				// A packet of the previous phase that was delayed.
				require.Equal(t, OpenOK, openOne(late, lateOpen, int64(pn)+2).Status)
				if phase%3 == 0 {
					o.DropPrevious()
				}
				pn += 3
			}
		})
	}
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

// An update of our own, before the peer has heard of it: whatever number its packets have, they are
// of the previous phase.
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

func TestLimits(t *testing.T) {
	requireLinked(t)
	for _, suite := range suites {
		s, o := keyPair(t, suite.id, suite.secretLen)
		if suite.id == 0x1303 {
			require.EqualValues(t, 1<<62, s.Limit())
			require.EqualValues(t, 1<<36, o.Limit())
		} else {
			require.EqualValues(t, 1<<23, s.Limit())
			require.EqualValues(t, uint64(1)<<52, o.Limit())
		}
	}
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
