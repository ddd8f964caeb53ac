package sim

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

func acceptDatagrams(c *core.Config) { c.MaxDatagramFrame = 65535 }

// requireDatagrams verifies what one side received of the datagrams of the other. Each arrived at most once, and all
// that were neither dropped by a queue nor declared lost.
func requireDatagrams(t *testing.T, seed uint64, from, to *Conn) {
	t.Helper()
	sent, got := from.Stats().Datagrams, to.Stats().Datagrams
	require.EqualValues(t, from.App.Datagrams, sent.Sent+sent.SendTooLarge, "seed %d", seed)
	require.GreaterOrEqual(t, got.Received, sent.Sent-sent.Lost, "seed %d", seed)
	require.LessOrEqual(t, got.Received, sent.Sent, "seed %d", seed)
	require.EqualValues(t, got.Received-got.ReceiveOverflows-got.ReceiveNoMemory, len(to.App.Got), "seed %d", seed)
	seen := make(map[uint32]bool)
	for _, n := range to.App.Got {
		require.False(t, seen[n], "seed %d: datagram %d arrived twice", seed, n)
		require.Less(t, int(n), from.App.Datagrams)
		seen[n] = true
	}
}

// Datagrams of any size, in both directions, beside transfers, through random networks.
func TestAppDatagrams(t *testing.T) {
	for seed := range seeds(t, atMost(300, 60)) {
		rng := rand.New(rand.NewPCG(seed, 9221))
		o := randomOptions(seed, fake.New(fake.Options{Seed: seed}))
		config := o.Config
		o.Config = func(c *core.Config) {
			if config != nil {
				config(c)
			}
			acceptDatagrams(c)
		}
		server := o.Server()
		for _, a := range []*App{o.Client, server} {
			a.Datagrams, a.DatagramSize = rng.IntN(300), rng.IntN(3)*(4+rng.IntN(1100))
			if a.DatagramSize > 0 {
				a.DatagramSize = min(4+a.DatagramSize, 1170)
			}
		}
		p, c := run(t, o, 10*time.Minute)
		s := p.ServerConn()
		require.NotNil(t, s, "seed %d", seed)
		require.NoError(t, p.Run(10*time.Minute, func() bool {
			return c.App.thrown == c.App.Datagrams && s.App.thrown == s.App.Datagrams && c.Flushed() && s.Flushed() &&
				c.Stats().BytesInFlight == 0 && s.Stats().BytesInFlight == 0
		}))
		require.NoError(t, p.RunFor(time.Second))
		requireDatagrams(t, seed, c, s)
		requireDatagrams(t, seed, s, c)
	}
}

// The path becomes narrower while an application sends the largest datagrams that it may. Those that no longer fit
// are counted, and the next ones are smaller and arrive.
func TestAppDatagramsOnNarrowerPath(t *testing.T) {
	for seed := range seeds(t, atMost(20, 5)) {
		o := options(seed, fake.New(fake.Options{Seed: seed}))
		o.Config = func(c *core.Config) {
			acceptDatagrams(c)
			c.MaxProbeSize = core.MaxDatagramSize
		}
		o.Up, o.Down = Link{Delay: oneWay, Rate: 1 << 20, Queue: 1 << 16}, Link{Delay: oneWay}
		o.Client.Datagrams = 2000
		p, err := NewPair(o)
		require.NoError(t, err)
		c, err := p.Dial()
		require.NoError(t, err)
		require.NoError(t, p.Run(time.Minute, func() bool { return c.MaxDatagram() > 8000 && c.App.thrown > 200 }))
		p.Client.link.MTU = 1400
		before := 0
		require.NoError(t, p.Run(time.Minute, func() bool {
			before = len(p.ServerConn().App.Got)
			return c.MaxDatagram() < 1400
		}))
		require.NoError(t, p.Run(time.Minute, func() bool {
			return c.App.thrown == c.App.Datagrams && c.Flushed() && c.Stats().BytesInFlight == 0
		}))
		require.Positive(t, c.Stats().Datagrams.SendTooLarge, "seed %d", seed)
		require.Greater(t, len(p.ServerConn().App.Got), before+500, "seed %d", seed)
		requireDatagrams(t, seed, c, p.ServerConn())
	}
}
