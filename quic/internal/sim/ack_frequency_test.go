package sim

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

// With ACK frequency, a fast transfer needs far fewer acknowledgements and no more time.
func TestAckFrequency(t *testing.T) {
	transfer := func(seed uint64, loss float64, use bool) (took time.Duration, acks uint64) {
		o := options(seed, fake.New(fake.Options{Seed: seed}))
		o.Up, o.Down = Link{Delay: oneWay, Rate: 10 << 20, Queue: 600_000, Loss: loss}, Link{Delay: oneWay}
		o.Client.Send = []Transfer{{Uni: true, Size: 20 << 20}}
		o.Config = func(c *core.Config) { c.AckFrequency, c.SpinBit = use, use }
		p, _ := run(t, o, 5*time.Minute)
		return p.Now().Sub(monotime.Time(time.Second)), p.ServerConn().Stats().PacketsSent
	}
	for _, loss := range []float64{0, 0.001} {
		// The sums over all seeds are compared, because with loss the two transfers lose different packets.
		var plainTime, took time.Duration
		var plainAcks, acks uint64
		for seed := range seeds(t, atMost(10, 3)) {
			d, n := transfer(seed, loss, false)
			plainTime, plainAcks = plainTime+d, plainAcks+n
			d, n = transfer(seed, loss, true)
			took, acks = took+d, acks+n
		}
		require.Less(t, acks, plainAcks/3, "loss %v", loss)
		require.Less(t, took, plainTime*13/10, "loss %v: %v without", loss, plainTime)
	}
}

// Random worlds with ACK frequency and the spin bit on one side or both.
func TestRandomWorldsWithAckFrequency(t *testing.T) {
	for seed := range seeds(t, atMost(500, 60)) {
		p := fake.New(fake.Options{Seed: seed})
		o := randomOptions(seed, p)
		rng := rand.New(rand.NewPCG(seed, 0xaf))
		config := o.Config
		o.Config = func(c *core.Config) {
			if config != nil {
				config(c)
			}
			c.AckFrequency, c.SpinBit = rng.IntN(4) > 0, rng.IntN(2) == 0
		}
		runAndClose(t, o, p)
	}
}
