package tlstest

import (
	"math/rand/v2"
	"testing"

	"github.com/pqquic/pqquic/tlsprovider/tlstest/internal/require"

	"github.com/pqquic/pqquic/tlsprovider"
)

// keyUpdates updates keys at random packet numbers. Around each update, packets of two phases arrive out of order.
func (k *keys) keyUpdates(t *testing.T) {
	for seed := range uint64(20) {
		s, o := k.pair(t)
		random := rand.New(rand.NewPCG(seed, 5))
		rest := func() {
			if r, ok := o.(tlsprovider.RestingOpener); ok && random.IntN(2) == 0 {
				r.Rest()
			}
			if r, ok := s.(tlsprovider.RestingSealer); ok && random.IntN(2) == 0 {
				r.Rest()
			}
		}
		pn, largest, phase := uint64(random.IntN(300)), int64(-1), uint8(0)
		for range 6 {
			var tr train
			firstNew := 0
			add := func(n int) {
				for range n {
					tr.add(pn, 4, phase, []byte("payload"))
					pn += 1 + uint64(random.IntN(3))
				}
			}
			// A peer updates only after a packet of the phase was acknowledged, so the opener has received one.
			add(2 + random.IntN(5))
			before := len(tr.seal)
			slabBefore := tr
			rest()
			slabBefore.sealAll(t, s)
			rest()
			require.NoError(t, s.Update())
			phase ^= 1
			firstNew = int(pn)
			tr = train{}
			add(1 + random.IntN(5))
			rest()
			tr.sealAll(t, s)

			// The first packet of the new phase arrives before the last packets of the old one.
			late := slabBefore.open[before-1:]
			rest()
			require.Equal(t, before-1, o.Open(slabBefore.slab, slabBefore.open[:before-1], largest))
			rest()
			require.Equal(t, 1, o.Open(tr.slab, tr.open, largest), "the batch ends with the first packet of a phase")
			tr.requireOpen(t, 0, tlsprovider.OpenNextPhase)
			require.Equal(t, phase, tr.open[0].Phase)
			rest()
			require.NoError(t, o.Update(uint64(firstNew)))
			largest = int64(tr.seal[0].PacketNumber)
			require.Equal(t, len(tr.open)-1, o.Open(tr.slab, tr.open[1:], largest))
			for i := 1; i < len(tr.open); i++ {
				tr.requireOpen(t, i, tlsprovider.OpenOK)
			}
			largest = int64(tr.seal[len(tr.seal)-1].PacketNumber)
			rest()
			require.Equal(t, 1, o.Open(slabBefore.slab, late, largest), "the previous phase still opens")
			for i := range slabBefore.open {
				slabBefore.requireOpen(t, i, tlsprovider.OpenOK)
			}
			if random.IntN(2) == 0 {
				o.DropPrevious()
			}
		}
		s.Close()
		o.Close()
	}
}

// forgedPhase changes the key phase bit of sealed packets. None of them must open or cause a key update.
func (k *keys) forgedPhase(t *testing.T) {
	s, o := k.pair(t)
	largest := int64(-1)
	for pn := range uint64(50) {
		var tr train
		tr.add(pn, 4, uint8(1), []byte("payload")) // the bit is authenticated, but the key is phase 0's
		tr.sealAll(t, s)
		require.Equal(t, 1, o.Open(tr.slab, tr.open, largest))
		require.Equal(t, tlsprovider.OpenFailed, tr.open[0].Status)
	}
	var tr train
	tr.add(50, 4, 0, []byte("payload"))
	tr.sealAll(t, s)
	require.Equal(t, 1, o.Open(tr.slab, tr.open, largest))
	tr.requireOpen(t, 0, tlsprovider.OpenOK)
}

// ownUpdate updates our keys while the peer continues to send in the old phase.
func (k *keys) ownUpdate(t *testing.T) {
	s, o := k.pair(t)
	peer, ours := k.pair(t)
	var tr train
	tr.add(0, 4, 0, []byte("payload"))
	tr.sealAll(t, s)
	require.Equal(t, 1, o.Open(tr.slab, tr.open, -1))
	tr.requireOpen(t, 0, tlsprovider.OpenOK)
	require.NoError(t, s.Update())
	tr = train{}
	tr.add(1, 4, 1, []byte("payload"))
	tr.sealAll(t, s)
	require.Equal(t, 1, o.Open(tr.slab, tr.open, 0))
	tr.requireOpen(t, 0, tlsprovider.OpenNextPhase)

	for pn := range uint64(10) {
		var tr train
		tr.add(pn, 4, 0, []byte("payload"))
		tr.sealAll(t, peer)
		require.Equal(t, 1, ours.Open(tr.slab, tr.open, int64(pn)-1))
		tr.requireOpen(t, 0, tlsprovider.OpenOK)
	}
}

// limits checks the limits of RFC 9001, 6.6.
func (k *keys) limits(t *testing.T) {
	s, o := k.pair(t)
	confidentiality, integrity := uint64(1)<<23, uint64(1)<<52
	if k.suite == tlsprovider.ChaCha20Poly1305 {
		confidentiality, integrity = 1<<62, 1<<36
	}
	require.LessOrEqual(t, s.ConfidentialityLimit(), confidentiality)
	require.LessOrEqual(t, o.IntegrityLimit(), integrity)
	require.NotZero(t, s.ConfidentialityLimit())
	require.NotZero(t, o.IntegrityLimit())
	s.Close()
	s.Close()
	o.Close()
	o.Close()
	var tr train
	tr.add(1, 4, 0, []byte("payload"))
	require.Error(t, s.Seal(tr.slab, tr.seal), "after Close")
	o.Open(tr.slab, tr.open, -1)
	require.NotEqual(t, tlsprovider.OpenOK, tr.open[0].Status)
}

// sessionKeys runs these tests with keys from handshakes between the two providers.
func (su *Suite) sessionKeys(t *testing.T) {
	client, server, _ := Configs(t)
	ce, se := su.Endpoints(t, client, server)
	for _, from := range []tlsprovider.Side{tlsprovider.Client, tlsprovider.Server} {
		t.Run("from the "+from.String(), func(t *testing.T) {
			var p *Pair
			take := func(side tlsprovider.Side) tlsprovider.Keys {
				k, err := p.Session(side).TakeKeys(tlsprovider.LevelApp, version1)
				require.NoError(t, err)
				return k
			}
			k := new(keys)
			k.seal = func(t testing.TB, _ uint32, _ tlsprovider.CipherSuite, _ []byte) tlsprovider.Keys {
				p = PairOf(t, ce, se, "server.test")
				cs, _ := p.MustRun(t)
				k.suite = cs.CipherSuite
				return take(from)
			}
			k.open = func(testing.TB, uint32, tlsprovider.CipherSuite, []byte) tlsprovider.Keys { return take(from.Peer()) }
			t.Run("tampered", k.tampered)
			t.Run("skipped numbers", k.skippedNumbers)
			t.Run("numbers must increase", k.numbersMustGrow)
			t.Run("key updates", k.keyUpdates)
			t.Run("forged phase", k.forgedPhase)
		})
	}
}
