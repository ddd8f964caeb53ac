package sim

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

func dropCount(p *Pair, reason core.DropReason) uint64 {
	return p.Server.Endpoint.Drops()[reason]
}

// randomLink returns a Link with random properties.
func randomLink(rng *rand.Rand) Link {
	l := Link{Delay: time.Duration(rng.Int64N(int64(200 * time.Millisecond)))}
	if rng.IntN(2) == 0 {
		l.Loss = rng.Float64() * 0.2
	}
	if rng.IntN(2) == 0 {
		l.Reorder, l.ReorderBy = rng.Float64()*0.2, time.Duration(rng.Int64N(int64(100*time.Millisecond)))
	}
	if rng.IntN(3) == 0 {
		l.Duplicate = rng.Float64() * 0.2
	}
	if rng.IntN(3) == 0 {
		l.Corrupt = rng.Float64() * 0.1
	}
	if rng.IntN(3) == 0 {
		l.Rate, l.Queue = 50_000+rng.Int64N(10_000_000), 20_000+rng.IntN(200_000)
	}
	return l
}

// randomTransfers returns up to eight transfers of up to 100 KB.
func randomTransfers(rng *rand.Rand) []Transfer {
	ts := make([]Transfer, 1+rng.IntN(8))
	for i := range ts {
		ts[i] = Transfer{Uni: rng.IntN(2) == 0, Size: rng.IntN(1 << (1 + rng.IntN(17)))}
	}
	return ts
}

// randomOptions derives all options from one seed.
func randomOptions(seed uint64, p tlsprovider.Provider) Options {
	rng := rand.New(rand.NewPCG(seed, 0xface))
	o := options(seed, p)
	o.Up, o.Down = randomLink(rng), randomLink(rng)
	if rng.IntN(2) == 0 {
		o.TLSDelay = time.Duration(rng.Int64N(int64(100 * time.Millisecond)))
	}
	o.Client.Send = randomTransfers(rng)
	server := &App{Echo: rng.IntN(2) == 0}
	if rng.IntN(2) == 0 {
		server.Send = randomTransfers(rng)
	}
	o.Client.Echo = rng.IntN(2) == 0
	o.Server = func() *App { return server }
	if rng.IntN(3) == 0 {
		every := uint64(1 + rng.IntN(200))
		o.Config = func(c *core.Config) { c.KeyUpdateAfter = every }
	}
	if rng.IntN(4) == 0 {
		o.Validation = core.ValidateAlways
	}
	if max(o.Up.Loss+o.Up.Corrupt, o.Down.Loss+o.Down.Corrupt) > 0.2 {
		also := o.Config
		o.Config = func(c *core.Config) {
			// In 30 s, there are about six probe timeouts. In one of thousands of worlds, all their answers are lost, as in that
			// of TestRandomWorldsMTU with seed 3007719 at commit 07a7f8e. That is bad luck and no fault.
			c.IdleTimeout = 2 * time.Minute
			if also != nil {
				also(c)
			}
		}
	}
	return o
}

// TestRandomWorlds runs thousands of worlds in which everything goes wrong at random.
func TestRandomWorlds(t *testing.T) {
	for seed := range seeds(t, atMost(3000, 300)) {
		p := fake.New(fake.Options{Seed: seed, HelloRetry: seed%7 == 0, ChainLen: 500 + int(seed%5)*3000})
		runAndClose(t, randomOptions(seed, p), p)
	}
}

func TestRandomWorldsRealProviders(t *testing.T) {
	for name, p := range realProviders(t) {
		t.Run(name, func(t *testing.T) {
			for seed := range seeds(t, atMost(400, 20)) {
				runAndClose(t, randomOptions(seed, p), p)
			}
		})
	}
}

// TestTransferUnderLoss transfers a megabyte in each direction with 10 % loss.
func TestTransferUnderLoss(t *testing.T) {
	for seed := range seeds(t, atMost(30, 10)) {
		o := options(seed, fake.New(fake.Options{Seed: seed}))
		o.CheckAlways = o.CheckAlways || seed < 5
		o.Up, o.Down = Link{Delay: oneWay, Loss: 0.1}, Link{Delay: oneWay, Loss: 0.1}
		o.Client.Send = []Transfer{{Size: 1 << 20}}
		o.Server = func() *App { return &App{Echo: true} }
		run(t, o, 5*time.Minute)
	}
}

// TestNoStarvation runs many connections with 30 % loss in both directions, as in the interop runner's
// handshakeloss test. No connection may starve because its probe timeout has backed off: each gets its
// answer within half of the idle timeout of 30 seconds.
func TestNoStarvation(t *testing.T) {
	var sum, longest time.Duration
	count := 0
	for seed := range seeds(t, atMost(4000, 1000)) {
		groups := postQuantum
		if seed%2 == 1 {
			groups = classical
		}
		o := options(seed, fake.New(fake.Options{Seed: seed}), groups...)
		o.Up, o.Down = Link{Delay: oneWay, Loss: 0.3}, Link{Delay: oneWay, Loss: 0.3}
		o.Client.Send = []Transfer{{Size: 1000}}
		o.Server = func() *App { return &App{Echo: true} }
		p, _ := run(t, o, 15*time.Second)
		took := p.Now().Sub(monotime.Time(time.Second))
		sum, longest, count = sum+took, max(longest, took), count+1
	}
	mean := sum / time.Duration(count)
	t.Logf("mean %v, longest %v", mean, longest)
	if !replaying() {
		require.Less(t, mean, 1500*time.Millisecond)
	}
}

// TestReorderingCostsLittle delays a tenth of the datagrams by one round trip.
func TestReorderingCostsLittle(t *testing.T) {
	took := func(seed uint64, reorder float64) time.Duration {
		o := options(seed, fake.New(fake.Options{Seed: seed}))
		l := Link{Delay: oneWay, Rate: 10e6 / 8, Queue: 37_500}
		o.Up = l
		l.Reorder, l.ReorderBy = reorder, 2*oneWay
		o.Down = l
		o.Server = func() *App { return &App{Send: []Transfer{{Uni: true, Size: 2 << 20}}} }
		p, _ := run(t, o, 5*time.Minute)
		return p.Now().Sub(monotime.Time(time.Second))
	}
	for seed := range seeds(t, atMost(20, 5)) {
		plain, reordered := took(seed, 0), took(seed, 0.1)
		require.Less(t, reordered, plain*5/4, "in order %v", plain)
	}
}

// reorderedTransfer sends a megabyte to the client over a path that delays a share of the packets by a round
// trip and loses none.
func reorderedTransfer(t *testing.T, reorder float64) (sender, receiver core.Stats) {
	o := options(1, fake.New(fake.Options{}))
	o.Up = Link{Delay: oneWay}
	o.Down = Link{Delay: oneWay, Reorder: reorder, ReorderBy: 2 * oneWay}
	o.Server = func() *App { return &App{Send: []Transfer{{Uni: true, Size: 1 << 20}}} }
	p, client := run(t, o, time.Minute)
	require.NoError(t, p.RunFor(time.Second))
	return p.ServerConn().Stats(), client.Stats()
}

// The receiver recovers the number of a packet that is late by a round trip, even if the rate has grown
// meanwhile.
func TestLatePacketNumbers(t *testing.T) {
	_, receiver := reorderedTransfer(t, 0.1)
	require.Zero(t, receiver.Drops[core.DropUndecryptable])
}

// On a path that delays packets and loses none, every loss is spurious. The sender learns this from an
// acknowledgement, unless the receiver drops the late packet, because a receiver does not remember packets
// below an acknowledgement of its own that was acknowledged.
func TestSpuriousLossesAreCounted(t *testing.T) {
	sender, receiver := reorderedTransfer(t, 0.1)
	require.Positive(t, sender.SpuriousLosses)
	require.Equal(t, sender.PacketsLost, sender.SpuriousLosses+receiver.Drops[core.DropDuplicate])
	sender, _ = reorderedTransfer(t, 0)
	require.Zero(t, sender.SpuriousLosses)
	require.Zero(t, sender.PacketsLost)
}

// From the default windows, a transfer reaches 90 % of 1 Gbit/s over 100 ms within ten round trips of data.
func TestWindowsTuneThemselves(t *testing.T) {
	o := options(1, fake.New(fake.Options{}))
	const rate, rtt = 1e9 / 8, 100 * time.Millisecond
	o.Up = Link{Delay: rtt / 2}
	o.Down = Link{Delay: rtt / 2, Rate: rate, Queue: 32 << 20}
	o.Config = func(c *core.Config) { c.Streams.SendBuffer = 64 << 20 }
	o.Server = func() *App { return &App{Send: []Transfer{{Uni: true, Size: 400 << 20}}} }
	p, err := NewPair(o)
	require.NoError(t, err)
	c, err := p.Dial()
	require.NoError(t, err)
	require.NoError(t, p.Run(time.Minute, func() bool { return c.App.Received > 0 }))
	require.NoError(t, p.RunFor(10*rtt))
	before := c.App.Received
	require.NoError(t, p.RunFor(5*rtt))
	got := float64(c.App.Received-before) / (5 * rtt.Seconds())
	t.Logf("%.0f %% of the link", 100*got/rate)
	require.Greater(t, got, 0.9*rate)
}

// TestWindowsDoNotGrowWithTheQueue checks that windows follow the bandwidth-delay product of the path and not the length
// of its queue. 10 MB/s over 10 ms need 100 KB in flight. A window grows to at most eight times as much, which fills the
// queue with 80 ms of data. Others that share the queue wait that long.
func TestWindowsDoNotGrowWithTheQueue(t *testing.T) {
	o := options(1, fake.New(fake.Options{}))
	o.Up = Link{Delay: 5 * time.Millisecond}
	o.Down = Link{Delay: 5 * time.Millisecond, Rate: 10e6}
	o.Config = func(c *core.Config) { c.Streams.SendBuffer = 64 << 20 }
	o.Server = func() *App { return &App{Send: []Transfer{{Uni: true, Size: 100 << 20}}} }
	p, err := NewPair(o)
	require.NoError(t, err)
	c, err := p.Dial()
	require.NoError(t, err)
	require.NoError(t, p.RunFor(time.Second))
	before := c.App.Received
	require.NoError(t, p.RunFor(time.Second))
	require.Greater(t, int(c.App.Received-before), 9_000_000, "the link is not full")
	require.Less(t, p.ServerConn().Stats().SmoothedRTT, 100*time.Millisecond)
}

// TestSlowStartOvershoots ends slow start with the loss of every other packet of a window, on fast, long
// paths with a short queue. The receiver accepts the thousands of gaps that result. NewReno, which has no
// HyStart++, overshoots most.
func TestSlowStartOvershoots(t *testing.T) {
	for _, mbit := range []int64{100, 500, 1000} {
		for _, queue := range []int{200_000, 1 << 20} {
			if testing.Short() && queue > 200_000 {
				continue
			}
			o := options(1, fake.New(fake.Options{}))
			o.CheckAlways = mbit == 100 && !testing.Short()
			o.Up = Link{Delay: 50 * time.Millisecond}
			o.Down = Link{Delay: 50 * time.Millisecond, Rate: mbit * 1e6 / 8, Queue: queue}
			o.Config = func(c *core.Config) {
				c.Streams.SendBuffer = 32 << 20
				c.NewController = recovery.NewReno
			}
			o.Server = func() *App { return &App{Send: []Transfer{{Uni: true, Size: 32 << 20}}} }
			p, _ := run(t, o, time.Minute)
			require.Greater(t, p.ServerConn().Stats().PacketsLost, uint64(500), "slow start did not overshoot")
		}
	}
}

// Windows do not grow if the application does not read.
func TestSlowReaderGrowsNothing(t *testing.T) {
	o := options(1, fake.New(fake.Options{}))
	o.Up, o.Down = Link{Delay: oneWay}, Link{Delay: oneWay}
	allowed := 0
	o.Client.Pause = func() int { return allowed }
	o.Server = func() *App { return &App{Send: []Transfer{{Uni: true, Size: 4 << 20}}} }
	p, err := NewPair(o)
	require.NoError(t, err)
	c, err := p.Dial()
	require.NoError(t, err)
	require.NoError(t, p.RunFor(5*time.Second))
	require.LessOrEqual(t, p.Server.BytesOut, 700<<10, "more than the first stream window was sent")
	allowed = 8 << 20
	p.At(p.Now(), c.drive)
	require.NoError(t, p.Run(time.Minute, func() bool { return c.App.Finished == 1 }))
}

// Both sides update their keys every few packets, with loss and reordering by a round trip around the
// updates. The phase of a packet follows from its number and not only from its bit.
func TestKeyUpdates(t *testing.T) {
	for seed := range seeds(t, atMost(200, 50)) {
		keyUpdates(t, seed, fake.New(fake.Options{Seed: seed}))
	}
}

func TestKeyUpdatesRealProviders(t *testing.T) {
	for name, p := range realProviders(t) {
		t.Run(name, func(t *testing.T) {
			for seed := range seeds(t, atMost(50, 10)) {
				keyUpdates(t, seed, p)
			}
		})
	}
}

func keyUpdates(t *testing.T, seed uint64, p tlsprovider.Provider) {
	t.Helper()
	o := options(seed, p)
	l := Link{Delay: oneWay, Loss: 0.05, Reorder: 0.2, ReorderBy: 2 * oneWay}
	o.Up, o.Down = l, l
	o.Config = func(c *core.Config) { c.KeyUpdateAfter = 1 + seed%50 }
	o.Client.Send = []Transfer{{Size: 300_000}}
	o.Server = func() *App { return &App{Echo: true} }
	_, c := run(t, o, 5*time.Minute)
	require.Greater(t, c.Stats().KeyUpdates, uint64(2))
}
