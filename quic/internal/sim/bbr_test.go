package sim

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/congestion"
	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

// docs/congestion-control.md has the figures that these tests log.

// A flow is a long download.
type flow struct {
	*Pair
	t      *testing.T
	client *Conn
}

// newFlow starts a download of size bytes with a controller at both ends.
func newFlow(t *testing.T, newController func() recovery.Controller, up, down Link, size int) *flow {
	t.Helper()
	f := &flow{t: t}
	o := options(1, fake.New(fake.Options{}))
	o.Up, o.Down = up, down
	o.Config = func(c *core.Config) {
		c.Streams.SendBuffer = 64 << 20
		c.NewController = newController
	}
	o.Server = func() *App { return &App{Send: []Transfer{{Uni: true, Size: size}}} }
	p, err := NewPair(o)
	require.NoError(t, err)
	f.Pair = p
	f.client, err = p.Dial()
	require.NoError(t, err)
	return f
}

// run runs for a time.
func (f *flow) run(d time.Duration) {
	f.t.Helper()
	require.NoError(f.t, f.RunFor(d))
}

// each runs for a time and calls step after each millisecond.
func (f *flow) each(d time.Duration, step func()) {
	f.t.Helper()
	for end := f.Now().Add(d); f.Now().Before(end); {
		require.NoError(f.t, f.RunFor(time.Millisecond))
		step()
	}
}

// rate returns the bytes per second that arrive during d.
func (f *flow) rate(d time.Duration) float64 {
	f.t.Helper()
	before := f.client.App.Received
	f.run(d)
	return float64(f.client.App.Received-before) / d.Seconds()
}

// queued returns how long what waits at the bottleneck takes to leave.
func (f *flow) queued() time.Duration { return max(0, f.Server.link.free.Sub(f.Now())) }

const megabit = 1e6 / 8

// BBR uses at least 90 % of 50 Mbit/s over 100 ms with 1 % of random loss. CUBIC gets a small part.
func TestBBRUnderLoss(t *testing.T) {
	const rate, rtt = 50 * megabit, 100 * time.Millisecond
	up, down := Link{Delay: rtt / 2}, Link{Delay: rtt / 2, Rate: rate, Queue: rate / 10, Loss: 0.01}
	use := func(newController func() recovery.Controller) (link, data float64) {
		f := newFlow(t, newController, up, down, 1<<30)
		f.run(2 * time.Second)
		before := f.client.Stats().BytesReceived
		data = f.rate(10 * time.Second)
		return float64(f.client.Stats().BytesReceived-before) / 10 / rate, data / rate
	}
	bbr, data := use(recovery.NewBBR)
	cubic, _ := use(recovery.NewCubic)
	t.Logf("BBR %.1f %% of the link (%.1f %% without headers and losses), CUBIC %.1f %%", 100*bbr, 100*data, 100*cubic)
	require.Greater(t, bbr, 0.9)
	require.Less(t, cubic, 0.3)
}

// The queue that a flow keeps at the bottleneck stays below 1.5 bandwidth-delay products, however long it may be.
func TestBBRStandingQueue(t *testing.T) {
	const rate, rtt = 50 * megabit, 40 * time.Millisecond
	f := newFlow(t, recovery.NewBBR, Link{Delay: rtt / 2}, Link{Delay: rtt / 2, Rate: rate}, 1<<30)
	f.run(3 * time.Second)
	var most, sum time.Duration
	n := time.Duration(0)
	f.each(20*time.Second, func() {
		most, sum, n = max(most, f.queued()), sum+f.queued(), n+1
	})
	t.Logf("queue: %v at most, %v on average", most, sum/n)
	require.LessOrEqual(t, most, rtt*3/2)
	require.LessOrEqual(t, sum/n, rtt/2)
}

// Two BBR flows share a link evenly.
func TestBBRFairness(t *testing.T) {
	for _, queue := range []float64{1, 2, 4} {
		if testing.Short() && queue != 2 {
			continue
		}
		a, b := flows(t, recovery.NewBBR, recovery.NewBBR, queue)
		require.InDelta(t, 0.5, a, 0.1)
		require.InDelta(t, 0.5, b, 0.1)
		require.Less(t, math.Max(a, b), 0.6)
	}
}

// A chaotic controller decides at random, and panics now and then.
type chaotic struct{ rng *rand.Rand }

func (c chaotic) event() {
	if c.rng.IntN(500) == 0 {
		panic("chaos")
	}
}

func (c chaotic) PacketSent(*congestion.Path, int)        { c.event() }
func (c chaotic) Acked(*congestion.Path, *congestion.Ack) { c.event() }
func (c chaotic) Lost(*congestion.Path, *congestion.Loss) { c.event() }

func (c chaotic) Decide(*congestion.Path) congestion.Decision {
	number := func() int64 { return int64(c.rng.Uint64()) >> c.rng.IntN(64) }
	return congestion.Decision{Window: int(number()), Rate: number()}
}

// On a bad path, every transfer is completed, whatever the controller decides. The invariants hold at each step.
func TestTransfersWithAnyController(t *testing.T) {
	for seed := range seeds(t, atMost(100, 20)) {
		for name, algorithm := range map[string]congestion.Algorithm{"bbr": congestion.BBR(),
			"chaotic": congestion.Custom("chaotic", func() congestion.Controller { return chaotic{rand.New(rand.NewPCG(seed, 1))} })} {
			o := options(seed, fake.New(fake.Options{Seed: seed}))
			l := Link{Delay: oneWay, Loss: 0.05, Reorder: 0.1, ReorderBy: 2 * oneWay, Duplicate: 0.02, Rate: 5 * megabit, Queue: 40_000}
			o.Up, o.Down, o.CheckAlways = l, l, true
			o.Config = func(c *core.Config) { c.NewController = recovery.ForAlgorithm(algorithm, nil) }
			o.Client.Send = []Transfer{{Size: 200_000}, {Size: 50_000}}
			o.Server = func() *App { return &App{Echo: true} }
			_, c := run(t, o, 10*time.Minute)
			require.EqualValues(t, 250_000, c.App.Received, name)
		}
	}
}
