package tlstest

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/pqquic/pqquic/tlsprovider/tlstest/internal/require"

	"github.com/pqquic/pqquic/tlsprovider"
)

// A KeyMaker returns 1-RTT keys for one secret, so that the Opener opens packets of the Sealer. Sessions never return
// secrets, so a provider needs another way to make such keys for tests.
type KeyMaker func(t testing.TB, version uint32, suite tlsprovider.CipherSuite, secret []byte) tlsprovider.Keys

// RunKeys tests packet protection with the cipher suites and QUIC versions in c. The Sealers of seal are tested with the
// Openers of open.
func RunKeys(t *testing.T, c tlsprovider.Capabilities, seal, open KeyMaker) {
	versions := []uint32{version1}
	if c.Version2 {
		versions = append(versions, version2)
	}
	for _, suite := range []tlsprovider.CipherSuite{tlsprovider.AES128GCM, tlsprovider.AES256GCM, tlsprovider.ChaCha20Poly1305} {
		t.Run(suite.String(), func(t *testing.T) {
			if !slices.Contains(c.CipherSuites, suite) {
				t.Skip("Capabilities lack " + suite.String())
			}
			k := &keys{seal: seal, open: open, suite: suite, versions: versions}
			t.Run("sizes", k.sizes)
			t.Run("against a reference", k.againstReference)
			t.Run("tampered", k.tampered)
			t.Run("tampered, of every size", k.tamperedSizes)
			t.Run("dropped phase", k.droppedPhase)
			t.Run("last number", k.lastNumber)
			t.Run("first numbers", k.firstNumbers)
			t.Run("skipped numbers", k.skippedNumbers)
			t.Run("truncated numbers", k.truncatedNumbers)
			t.Run("numbers must increase", k.numbersMustGrow)
			t.Run("key updates", k.keyUpdates)
			t.Run("forged phase", k.forgedPhase)
			t.Run("our own update", k.ownUpdate)
			t.Run("limits", k.limits)
		})
	}
	t.Run("RFC 9001, A.5", func(t *testing.T) {
		if !slices.Contains(c.CipherSuites, tlsprovider.ChaCha20Poly1305) {
			t.Skip("Capabilities lack ChaCha20-Poly1305")
		}
		chachaVector(t, seal, open)
	})
}

// keys is the state of RunKeys for a cipher suite.
type keys struct {
	seal, open KeyMaker
	suite      tlsprovider.CipherSuite
	versions   []uint32
}

func (k *keys) pair(t testing.TB) (tlsprovider.Sealer, tlsprovider.Opener) {
	t.Helper()
	n := 32
	if k.suite == tlsprovider.AES256GCM {
		n = 48
	}
	secret := bytes.Repeat([]byte{0x5a}, n)
	s, o := k.seal(t, 1, k.suite, secret), k.open(t, 1, k.suite, secret)
	t.Cleanup(s.Close)
	t.Cleanup(o.Close)
	return s.Sealer, o.Opener
}

const pnOffset = 1 + 8

// A train is a slab with packets. Their headers have an 8-byte connection ID and a packet number of pnLen bytes.
type train struct {
	slab  []byte
	plain []byte
	seal  []tlsprovider.SealDesc
	open  []tlsprovider.OpenDesc
}

func (tr *train) add(pn uint64, pnLen int, phase uint8, payload []byte) {
	off := len(tr.slab)
	header := append([]byte{0x40 | phase<<2 | byte(pnLen-1)}, "destcid!"...)
	for i := pnLen - 1; i >= 0; i-- {
		header = append(header, byte(pn>>(8*i)))
	}
	tr.slab = append(append(append(tr.slab, header...), payload...), make([]byte, tlsprovider.TagLen)...)
	tr.seal = append(tr.seal, tlsprovider.SealDesc{Offset: uint32(off), HeaderLen: uint32(len(header)),
		PayloadLen: uint32(len(payload)), PacketNumber: pn})
	tr.open = append(tr.open, tlsprovider.OpenDesc{Offset: uint32(off), Len: uint32(len(tr.slab) - off), PNOffset: pnOffset})
}

// sealAll seals the train and keeps a copy of the plaintext.
func (tr *train) sealAll(t testing.TB, s tlsprovider.Sealer) {
	t.Helper()
	tr.plain = bytes.Clone(tr.slab)
	require.NoError(t, s.Seal(tr.slab, tr.seal))
}

// requireOpen checks a packet of an opened train.
func (tr *train) requireOpen(t testing.TB, i int, status tlsprovider.OpenStatus) {
	t.Helper()
	d, s := tr.open[i], tr.seal[i]
	require.Equal(t, status, d.Status, "packet %d", i)
	require.Equal(t, s.PacketNumber, d.PacketNumber)
	require.Equal(t, s.HeaderLen, d.HeaderLen)
	require.Equal(t, s.PayloadLen, d.PayloadLen)
	from, to := d.Offset, d.Offset+d.HeaderLen+d.PayloadLen
	require.Equal(t, tr.plain[from:to], tr.slab[from:to], "packet %d", i)
}

// sizes seals and opens trains of every payload size up to 9000 bytes.
func (k *keys) sizes(t *testing.T) {
	s, o := k.pair(t)
	random := rand.New(rand.NewPCG(1, 2))
	pn, largest := uint64(0), int64(-1)
	for size := 3; size <= 9000; { // a smaller payload and a one-byte number have no sample
		var tr train
		for range 32 {
			payload := make([]byte, size)
			for i := range payload {
				payload[i] = byte(random.Uint32())
			}
			tr.add(pn, 1+int(pn%4), 0, payload)
			pn++
			size++
			if testing.Short() {
				size += size / 16
			}
		}
		tr.sealAll(t, s)
		require.Equal(t, len(tr.open), o.Open(tr.slab, tr.open, largest))
		for i := range tr.open {
			tr.requireOpen(t, i, tlsprovider.OpenOK)
		}
		largest = int64(pn) - 1
	}
}

// tampered changes each byte of a packet in the middle of a train. Only this packet must fail.
func (k *keys) tampered(t *testing.T) {
	s, o := k.pair(t)
	pn := uint64(0)
	largest := int64(-1)
	size := pnOffset + 4 + 40 + tlsprovider.TagLen
	for at := 0; at <= size; at++ {
		var tr train
		for range 7 {
			tr.add(pn, 4, 0, bytes.Repeat([]byte{byte(at)}, 40))
			pn++
		}
		tr.sealAll(t, s)
		bad := at % 7
		if at < size {
			tr.slab[bad*size+at] ^= 0x01
		} else {
			tr.open[bad].Len = pnOffset + 4 + 15 // too short for a sample
		}
		require.Equal(t, 7, o.Open(tr.slab, tr.open, largest))
		for i := range tr.open {
			switch {
			case i != bad:
				tr.requireOpen(t, i, tlsprovider.OpenOK)
			case at == size:
				require.Equal(t, tlsprovider.OpenTooShort, tr.open[i].Status)
			default:
				require.Equal(t, tlsprovider.OpenFailed, tr.open[i].Status, "byte %d", at)
			}
		}
		largest = int64(pn) - 1
	}
	// "An endpoint MUST discard packets that are not long enough to contain a complete sample."
	// https://www.rfc-editor.org/rfc/rfc9001#section-5.4.2-3
	for n := range pnOffset + 4 + tlsprovider.SampleLen {
		d := []tlsprovider.OpenDesc{{Len: uint32(n), PNOffset: pnOffset}}
		require.Equal(t, 1, o.Open(make([]byte, n), d, largest))
		require.Equal(t, tlsprovider.OpenTooShort, d[0].Status, "%d bytes", n)
	}
}

// firstNumbers begins with every number up to 4096. An AEAD that takes the first number as 0 would fail.
func (k *keys) firstNumbers(t *testing.T) {
	step := uint64(1)
	if testing.Short() || raceEnabled {
		step = 61
	}
	for first := uint64(0); first <= 4096; first += step {
		s, o := k.pair(t)
		var tr train
		for i := range uint64(8) {
			tr.add(first+i*i, 4, 0, []byte("payload"))
		}
		tr.sealAll(t, s)
		require.Equal(t, 8, o.Open(tr.slab, tr.open, -1))
		for i := range tr.open {
			tr.requireOpen(t, i, tlsprovider.OpenOK)
		}
		s.Close()
		o.Close()
	}
}

// skippedNumbers skips random numbers of packets up to the largest ones.
func (k *keys) skippedNumbers(t *testing.T) {
	s, o := k.pair(t)
	random := rand.New(rand.NewPCG(3, 4))
	pn, largest := uint64(random.IntN(1000)), int64(-1)
	for range 300 {
		var tr train
		for range 1 + random.IntN(10) {
			tr.add(pn, 4, 0, []byte("payload"))
			pn += 1 + uint64(random.Int64N(1<<random.IntN(30)))
		}
		tr.sealAll(t, s)
		require.Equal(t, len(tr.open), o.Open(tr.slab, tr.open, largest))
		for i := range tr.open {
			tr.requireOpen(t, i, tlsprovider.OpenOK)
		}
		largest = int64(tr.seal[len(tr.seal)-1].PacketNumber)
	}
}

// truncatedNumbers decodes the first and last numbers of windows (RFC 9000, A.3).
func (k *keys) truncatedNumbers(t *testing.T) {
	for _, tt := range []struct {
		pn      uint64
		pnLen   int
		largest int64
	}{
		{0, 1, -1}, {127, 1, -1}, {127, 1, 126}, {128, 1, 0}, {255, 1, 254}, {256, 1, 254}, {300, 1, 200},
		{1000, 1, 1126}, {0xffff, 2, 0x8000}, {0x10000, 2, 0xfffe}, {0x10000, 2, 0x17ffe},
		{0xa82f9b32, 2, 0xa82f30ea}, {0xabcdef, 3, 0xab0000}, {1 << 40, 4, 1<<40 - 1}, {1<<62 - 1, 4, 1<<62 - 2},
	} {
		s, o := k.pair(t)
		var tr train
		tr.add(tt.pn, tt.pnLen, 0, []byte("payload"))
		tr.sealAll(t, s)
		require.Equal(t, 1, o.Open(tr.slab, tr.open, tt.largest))
		tr.requireOpen(t, 0, tlsprovider.OpenOK)
	}
}

func (k *keys) numbersMustGrow(t *testing.T) {
	s, _ := k.pair(t)
	seal := func(pns ...uint64) error {
		var tr train
		for _, pn := range pns {
			tr.add(pn, 4, 0, []byte("payload"))
		}
		return s.Seal(tr.slab, tr.seal)
	}
	require.NoError(t, seal(5, 6))
	require.Error(t, seal(6), "the same number would use the same nonce")
	require.Error(t, seal(4))
	require.Error(t, seal(9, 9))
	require.NoError(t, s.Update())
	require.Error(t, seal(5), "also across phases")
	require.NoError(t, seal(20))
	require.Error(t, s.Seal(make([]byte, 20), []tlsprovider.SealDesc{{HeaderLen: 13, PayloadLen: 7, PacketNumber: 30}}),
		"a descriptor that leaves the slab")
}
