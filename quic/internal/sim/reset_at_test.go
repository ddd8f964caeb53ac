package sim

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

// Streams of random priorities end with RESET_STREAM_AT on random networks. Each delivers at least its reliable size,
// and nothing is left of any.
func TestResetAt(t *testing.T) {
	for seed := range seeds(t, atMost(300, 60)) {
		rng := rand.New(rand.NewPCG(seed, 24))
		o := options(seed, fake.New(fake.Options{Seed: seed}))
		o.Config = func(c *core.Config) { c.Streams.ResetStreamAt = true }
		o.Up, o.Down = randomLink(rng), randomLink(rng)
		least := 0
		for range 1 + rng.IntN(10) {
			size := 1 + rng.IntN(1<<(1+rng.IntN(17)))
			at := 1 + rng.IntN(size)
			least += at
			o.Client.Send = append(o.Client.Send, Transfer{Uni: true, Size: size, ResetAt: at,
				Priority: rng.IntN(2) == 0, Ordered: rng.IntN(2) == 0, Urgency: uint8(rng.IntN(8))})
		}
		p, err := NewPair(o)
		require.NoError(t, err)
		c, err := p.Dial()
		require.NoError(t, err)
		require.NoError(t, p.Run(10*time.Minute, func() bool {
			s := p.ServerConn()
			return s != nil && s.App.Resets+s.App.Finished == len(o.Client.Send) && c.Flushed()
		}), "seed %d", seed)
		s := p.ServerConn()
		require.Zero(t, s.App.Finished, "seed %d", seed)
		require.GreaterOrEqual(t, s.App.Received, least, "seed %d", seed)
		require.Zero(t, c.Stats().Streams.OpenStreams, "seed %d", seed)
		require.Zero(t, s.Stats().Streams.OpenStreams, "seed %d", seed)
		require.Zero(t, s.Stats().Streams.BytesUnread, "seed %d", seed)
	}
}

// Over a slow path, streams arrive in the order of their urgency, and those of the same urgency that are not
// incremental in the order of their IDs.
func TestPrioritiesOverSlowPath(t *testing.T) {
	for seed := range seeds(t, atMost(50, 10)) {
		o := options(seed, fake.New(fake.Options{Seed: seed}))
		o.Up, o.Down = Link{Delay: oneWay, Rate: 200_000, Queue: 20_000, Loss: 0.01}, Link{Delay: oneWay}
		for _, urgency := range []uint8{7, 5, 5, 0} {
			o.Client.Send = append(o.Client.Send, Transfer{Uni: true, Size: 200_000, Priority: true, Ordered: true, Urgency: urgency})
		}
		p, _ := run(t, o, 5*time.Minute)
		require.Equal(t, []int64{3, 1, 2, 0}, p.ServerConn().App.order, "seed %d", seed)
	}
}
