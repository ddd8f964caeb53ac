package sim

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

// docs/congestion-control.md has the figures that these tests log.

// download sends size bytes to the client, with the given controller at the server, and returns the server's
// statistics and how long the connection took.
func download(t *testing.T, seed uint64, newController func() recovery.Controller, up, down Link, size int) (core.Stats, time.Duration) {
	t.Helper()
	o := options(seed, fake.New(fake.Options{Seed: seed}))
	o.Up, o.Down = up, down
	o.Config = func(c *core.Config) {
		c.Streams.SendBuffer = 64 << 20
		c.NewController = newController
	}
	o.Server = func() *App { return &App{Send: []Transfer{{Uni: true, Size: size}}} }
	p, _ := run(t, o, 10*time.Minute)
	return p.ServerConn().Stats(), p.Now().Sub(monotime.Time(time.Second))
}

// On a path with random losses, CUBIC is faster than NewReno.
func TestCubicUnderLoss(t *testing.T) {
	const size = 2_000_000
	for _, loss := range []float64{0.001, 0.01, 0.02} {
		var reno, cubic time.Duration
		worlds := time.Duration(0)
		for seed := range seeds(t, 20) {
			up, down := Link{Delay: oneWay}, Link{Delay: oneWay, Rate: 10e6 / 8, Queue: 37_500, Loss: loss}
			_, r := download(t, seed, recovery.NewReno, up, down, size)
			_, c := download(t, seed, recovery.NewCubic, up, down, size)
			reno, cubic, worlds = reno+r, cubic+c, worlds+1
		}
		t.Logf("%.1f %% loss: NewReno %v, CUBIC %v", 100*loss, reno/worlds, cubic/worlds)
		if loss > 0.001 && !replaying() {
			require.Less(t, cubic, reno*85/100)
		}
	}
}

// watched is a controller that records how the window grew just before the first loss, or last if there is
// none, in bytes for each byte acknowledged.
type watched struct {
	recovery.Controller
	window int
	growth float64
	lost   bool
}

func (w *watched) Output(rtt *recovery.RTT) recovery.Output {
	o := w.Controller.Output(rtt)
	w.window = o.Window
	return o
}

func (w *watched) Acked(b *recovery.AckBatch) bool {
	reduced := w.Controller.Acked(b)
	if grown := w.Controller.Output(&recovery.RTT{}).Window - w.window; !w.lost && b.NewBytes > 0 {
		w.growth = float64(grown) / float64(b.NewBytes)
	}
	return reduced
}

func (w *watched) Lost(b *recovery.LossBatch) bool {
	w.lost = true
	return w.Controller.Lost(b)
}

// watch is download with a watched controller.
func watch(t *testing.T, newController func() recovery.Controller, up, down Link, size int) (w *watched, stats core.Stats, took time.Duration) {
	t.Helper()
	stats, took = download(t, 1, func() recovery.Controller {
		w = &watched{Controller: newController()} // the server's is made last
		return w
	}, up, down, size)
	return w, stats, took
}

// HyStart++ slows the growth down before the first loss, and much less is lost. The shallowest queue holds a
// quarter of the path's bandwidth-delay product.
func TestHystartBeforeLoss(t *testing.T) {
	for _, test := range []struct {
		mbit  int64
		rtt   time.Duration
		queue float64 // in bandwidth-delay products
		size  int
	}{
		{1000, 50 * time.Millisecond, 0.25, 48 << 20},
		{1000, 20 * time.Millisecond, 1, 48 << 20},
		{100, 20 * time.Millisecond, 0.5, 16 << 20},
		{100, 50 * time.Millisecond, 1, 16 << 20},
	} {
		rate := test.mbit * 1e6 / 8
		queue := int(test.queue * float64(rate) * test.rtt.Seconds())
		up, down := Link{Delay: test.rtt / 2}, Link{Delay: test.rtt / 2, Rate: rate, Queue: queue}
		reno, renoStats, renoTook := watch(t, recovery.NewReno, up, down, test.size)
		cubic, cubicStats, cubicTook := watch(t, recovery.NewCubic, up, down, test.size)
		t.Logf("%d Mbit/s, %v, queue %v: NewReno loses %d packets and takes %v, CUBIC %d and %v", test.mbit, test.rtt,
			test.queue, renoStats.PacketsLost, renoTook, cubicStats.PacketsLost, cubicTook)
		require.True(t, reno.lost)
		require.InDelta(t, 1, reno.growth, 0.01, "NewReno doubles its window until the first loss")
		require.LessOrEqual(t, cubic.growth, 0.26, "CUBIC has slowed down")
		require.Less(t, cubicStats.PacketsLost, renoStats.PacketsLost*3/4)
		require.LessOrEqual(t, cubicTook, renoTook)
	}
}

// With a queue of three bandwidth-delay products, HyStart++ ends slow start without any loss.
func TestHystartDeepQueue(t *testing.T) {
	const rate, rtt = 100e6 / 8, 20 * time.Millisecond
	up, down := Link{Delay: rtt / 2}, Link{Delay: rtt / 2, Rate: rate, Queue: 3 * rate / 50}
	reno, _, _ := watch(t, recovery.NewReno, up, down, 8<<20)
	cubic, _, _ := watch(t, recovery.NewCubic, up, down, 8<<20)
	require.True(t, reno.lost)
	require.False(t, cubic.lost)
	require.Less(t, cubic.growth, 0.1, "slow start has ended")
}

// A path that delays acknowledgements at random, and has no bottleneck, does not end slow start.
func TestHystartJitter(t *testing.T) {
	for _, share := range []float64{0.1, 0.5, 0.9} {
		var reno, cubic time.Duration
		for seed := range seeds(t, 5) {
			up := Link{Delay: 25 * time.Millisecond, Reorder: share, ReorderBy: 20 * time.Millisecond}
			down := Link{Delay: 25 * time.Millisecond}
			_, r := download(t, seed, recovery.NewReno, up, down, 4<<20)
			_, c := download(t, seed, recovery.NewCubic, up, down, 4<<20)
			reno, cubic = reno+r, cubic+c
		}
		t.Logf("%.0f %% late: NewReno %v, CUBIC %v", 100*share, reno/5, cubic/5)
		require.LessOrEqual(t, cubic, reno*115/100)
	}
}

// flows runs two downloads of the given controllers through one bottleneck, the second of which begins 5 s later,
// and returns the shares of the bytes that arrive from the 15th to the 45th second.
func flows(t *testing.T, first, second func() recovery.Controller, queue float64) (a, b float64) {
	t.Helper()
	const rate, rtt = 10e6 / 8, 40 * time.Millisecond
	o := options(1, fake.New(fake.Options{}))
	o.Up = Link{Delay: rtt / 2}
	o.Down = Link{Delay: rtt / 2, Rate: rate, Queue: int(queue * rate * rtt.Seconds())}
	made := 0
	o.Config = func(c *core.Config) {
		c.Streams.SendBuffer = 4 << 20
		c.NewController = func() recovery.Controller {
			made++ // of both sides of each connection, in turns
			if made <= 2 {
				return first()
			}
			return second()
		}
	}
	o.Server = func() *App { return &App{Send: []Transfer{{Uni: true, Size: 1 << 30}}} }
	p, err := NewPair(o)
	require.NoError(t, err)
	dial := func() *Conn {
		c, err := p.Client.dial(p.ClientConfig, &App{})
		require.NoError(t, err)
		return c
	}
	c1 := dial()
	require.NoError(t, p.RunFor(5*time.Second))
	c2 := dial()
	require.NoError(t, p.RunFor(10*time.Second))
	r1, r2 := c1.App.Received, c2.App.Received
	require.NoError(t, p.RunFor(30*time.Second))
	n1, n2 := float64(c1.App.Received-r1), float64(c2.App.Received-r2)
	t.Logf("queue of %.1f bandwidth-delay products: %.0f %% and %.0f %% of the link", queue, 100*n1/(rate*30), 100*n2/(rate*30))
	require.Greater(t, n1+n2, 0.9*rate*30, "the link is full")
	return n1 / (n1 + n2), n2 / (n1 + n2)
}

// Two CUBIC flows share a link evenly, and so do CUBIC and NewReno where the path is short and slow enough for
// NewReno.
func TestFairness(t *testing.T) {
	for _, queue := range []float64{0.5, 2} {
		a, b := flows(t, recovery.NewCubic, recovery.NewCubic, queue)
		require.Less(t, math.Max(a, b), 0.6, "two CUBIC flows")
		a, b = flows(t, recovery.NewReno, recovery.NewCubic, queue)
		require.Greater(t, math.Min(a, b), 0.25, "NewReno and CUBIC")
	}
}
