package sim

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

// mtuPrecision is how far the datagram size may be from the path's MTU.
const mtuPrecision = 16

// mtuOptions returns a client that uploads size bytes in datagrams that may grow to 8972 bytes.
func mtuOptions(seed uint64, link Link, size int) Options {
	o := options(seed, fake.New(fake.Options{Seed: seed}))
	o.Up, o.Down = link, Link{Delay: link.Delay}
	o.Config = func(c *core.Config) { c.MaxProbeSize = core.MaxDatagramSize }
	o.Client.Send = []Transfer{{Uni: true, Size: size}}
	return o
}

// A bulk sender finds what the path carries. The lost probes cost nothing else.
func TestPathMTU(t *testing.T) {
	for _, mtu := range []int{1200, 1280, 1400, 1472, 4000, 8972, 9000} {
		t.Run(fmt.Sprint(mtu), func(t *testing.T) {
			o := mtuOptions(1, Link{Delay: 10 * time.Millisecond, Rate: 10e6, MTU: mtu}, 24<<20)
			o.Down.MTU = mtu
			p, c := run(t, o, time.Minute)
			took := p.Now()
			s := c.Stats()
			require.LessOrEqual(t, s.DatagramSize, mtu)
			require.Greater(t, s.DatagramSize, min(mtu, core.MaxDatagramSize)-mtuPrecision)
			require.Zero(t, s.PacketsLost)
			require.Equal(t, core.MinInitialSize, p.ServerConn().Stats().DatagramSize, "it has nothing to send")

			o.Config = nil
			o.Client = &App{Send: o.Client.Send}
			p, c = run(t, o, time.Minute)
			require.Equal(t, core.MinInitialSize, c.Stats().DatagramSize, "the search is off")
			require.Less(t, took.Sub(p.Now()), 50*time.Millisecond, "the search delays the transfer")
		})
	}
}

// The search ends at MaxProbeSize or at the peer's max_udp_payload_size, core.MaxDatagramSize, whichever is smaller.
func TestPathMTULimit(t *testing.T) {
	for limit, want := range map[int]int{0: 1200, 1199: 1200, 1200: 1200, 1300: 1300, 1472: 1472, 5000: 5000, 60000: 8972} {
		o := mtuOptions(1, Link{Delay: 10 * time.Millisecond, Rate: 10e6}, 4<<20)
		o.Config = func(c *core.Config) { c.MaxProbeSize = limit }
		_, c := run(t, o, time.Minute)
		require.Equal(t, want, c.Stats().DatagramSize, "limit %d", limit)
	}
}

// The header of IPv6 is 20 bytes longer.
func TestPathMTUOverIPv6(t *testing.T) {
	for mtu, want := range map[int]int{1452: 1452, 0: 8952} {
		o := mtuOptions(1, Link{Delay: 10 * time.Millisecond, Rate: 10e6, MTU: mtu}, 16<<20)
		o.IPv6 = true
		p, err := NewPair(o)
		require.NoError(t, err)
		probe := 0
		p.Client.Tap = func(_ monotime.Time, b []byte) {
			if probe == 0 && len(b) > core.MinInitialSize {
				probe = len(b)
			}
		}
		c, err := p.RunTransfers(time.Minute)
		require.NoError(t, err)
		require.Equal(t, want, c.Stats().DatagramSize)
		require.Equal(t, 1452, probe, "the first probe")
	}
}

// A connection without bulk data sends no probes.
func TestNoMTUProbesWithoutBulkData(t *testing.T) {
	o := mtuOptions(1, Link{Delay: 10 * time.Millisecond}, 20_000)
	p, err := NewPair(o)
	require.NoError(t, err)
	largest := 0
	p.Client.Tap = func(_ monotime.Time, b []byte) { largest = max(largest, len(b)) }
	_, err = p.RunTransfers(time.Minute)
	require.NoError(t, err)
	require.NoError(t, p.RunFor(time.Second))
	require.Equal(t, core.MinInitialSize, largest)
}

// The path's MTU shrinks during a transfer, to less than the datagrams have. The connection notices it and
// continues with smaller ones.
func TestBlackHole(t *testing.T) {
	for _, to := range []int{1200, 1300, 1472} {
		t.Run(fmt.Sprint(to), func(t *testing.T) {
			link := Link{Delay: 10 * time.Millisecond, Rate: 1e6}
			p, err := NewPair(mtuOptions(1, link, 10<<20))
			require.NoError(t, err)
			c, err := p.Dial()
			require.NoError(t, err)
			require.NoError(t, p.RunFor(2*time.Second))
			require.Equal(t, core.MaxDatagramSize, c.Stats().DatagramSize)
			shrunk := p.Now()
			p.Client.link.MTU = to
			require.NoError(t, p.Run(time.Minute, func() bool { return c.Stats().DatagramSize == core.MinInitialSize }))
			t.Logf("detected after %v", p.Now().Sub(shrunk))
			require.Less(t, p.Now().Sub(shrunk), time.Second, "to the detection of the black hole")
			done := func() bool { return p.ServerConn().App.Finished == 1 }
			require.NoError(t, p.Run(time.Minute, done))
			t.Logf("done after %v", p.Now().Sub(shrunk))
			require.Less(t, p.Now().Sub(shrunk), 13*time.Second, "to the end of the transfer, which takes 9 s on a whole path")
		})
	}
	t.Run("and grows again", func(t *testing.T) {
		p, err := NewPair(mtuOptions(1, Link{Delay: 10 * time.Millisecond, Rate: 300_000}, 100<<20))
		require.NoError(t, err)
		c, err := p.Dial()
		require.NoError(t, err)
		size := func(n int) func() bool { return func() bool { return c.Stats().DatagramSize >= n } }
		require.NoError(t, p.Run(10*time.Second, size(core.MaxDatagramSize)))
		p.Client.link.MTU = 1472
		require.NoError(t, p.Run(5*time.Second, func() bool { return c.Stats().DatagramSize == core.MinInitialSize }))
		require.NoError(t, p.Run(70*time.Second, size(1472)), "the search is repeated after a pause")
		p.Client.link.MTU = 4000
		require.NoError(t, p.Run(610*time.Second, size(4000-mtuPrecision+1)), "it is repeated at long intervals")
	})
}

// An interruption of the path, or the loss of packets of every size, is no black hole.
func TestLossIsNoBlackHole(t *testing.T) {
	t.Run("interruption", func(t *testing.T) {
		p, err := NewPair(mtuOptions(1, Link{Delay: 10 * time.Millisecond, Rate: 2e6}, 8<<20))
		require.NoError(t, err)
		c, err := p.Dial()
		require.NoError(t, err)
		require.NoError(t, p.RunFor(time.Second))
		require.Equal(t, core.MaxDatagramSize, c.Stats().DatagramSize)
		p.Client.link.MTU = 1
		require.NoError(t, p.RunFor(2*time.Second))
		p.Client.link.MTU = 0
		require.NoError(t, p.Run(time.Minute, func() bool {
			require.Equal(t, core.MaxDatagramSize, c.Stats().DatagramSize)
			return p.ServerConn().App.Finished == 1
		}))
	})
	t.Run("random loss", func(t *testing.T) {
		for seed := range seeds(t, atMost(20, 5)) {
			_, c := run(t, mtuOptions(seed, Link{Delay: 10 * time.Millisecond, Rate: 2e6, Loss: 0.02}, 4<<20), time.Minute)
			require.Equal(t, core.MaxDatagramSize, c.Stats().DatagramSize)
		}
	})
}

// A path that loses a part of the large datagrams only is used all the same, with datagrams of either size.
func TestLossOfLargeDatagrams(t *testing.T) {
	for _, loss := range []float64{0.05, 0.3, 0.7, 0.95} {
		t.Run(fmt.Sprint(loss), func(t *testing.T) {
			for seed := range seeds(t, atMost(10, 3)) {
				rng := rand.New(rand.NewPCG(seed, 1))
				link := Link{Delay: 10 * time.Millisecond, Rate: 2e6, Mangle: func(_ int, b []byte) [][]byte {
					if len(b) > 1300 && rng.Float64() < loss {
						return nil
					}
					return [][]byte{b}
				}}
				run(t, mtuOptions(seed, link, 2<<20), 20*time.Second)
			}
		})
	}
}

// forger sends a connection ICMP messages.
type forger struct {
	p    *Pair
	c    *Conn
	seen []byte // the beginning of a datagram of the connection
}

// every makes forge run every d, as long as the world runs.
func (f *forger) every(d time.Duration, until monotime.Time, forge func()) {
	if f.p.Now().Before(until) {
		forge()
		f.p.At(f.p.Now().Add(d), func() { f.every(d, until, forge) })
	}
}

// Someone who does not see the connection's packets cannot forge an ICMP message that has an effect. Someone
// who does can lower the size to the base, not further, and only for as long as the messages keep coming.
func TestForgedPacketTooBig(t *testing.T) {
	start := func(t *testing.T) *forger {
		p, err := NewPair(mtuOptions(1, Link{Delay: 10 * time.Millisecond, Rate: 300_000}, 100<<20))
		require.NoError(t, err)
		f := &forger{p: p}
		p.Client.Tap = func(_ monotime.Time, b []byte) {
			if b[0]&0x80 == 0 {
				f.seen = append(f.seen[:0], b[:min(len(b), 64)]...)
			}
		}
		f.c, err = p.Dial()
		require.NoError(t, err)
		require.NoError(t, p.Run(10*time.Second, func() bool { return f.c.Stats().DatagramSize == core.MaxDatagramSize }))
		return f
	}
	t.Run("blind", func(t *testing.T) {
		f := start(t)
		n := 0
		f.every(10*time.Millisecond, f.p.Now().Add(2*time.Second), func() {
			quoted := bytes.Clone(f.seen)
			switch n++; n % 4 {
			case 0:
				f.p.fill(quoted)
			case 1:
				quoted[1+f.p.Rand.IntN(core.ConnIDLen)] ^= 1
			case 2:
				quoted[0] |= 0x80
			case 3:
				quoted = quoted[:f.p.Rand.IntN(core.ConnIDLen+1)]
			}
			f.c.HandlePacketTooBig(f.p.Now(), 1100+f.p.Rand.IntN(9000), quoted)
			require.Equal(t, core.MaxDatagramSize, f.c.Stats().DatagramSize)
		})
		require.NoError(t, f.p.RunFor(3*time.Second))
		require.Greater(t, n, 100)
	})
	t.Run("on the path", func(t *testing.T) {
		f := start(t)
		received := f.p.ServerConn().App.Received
		f.every(10*time.Millisecond, f.p.Now().Add(20*time.Second), func() {
			f.c.HandlePacketTooBig(f.p.Now(), f.p.Rand.IntN(9000), f.seen)
			require.GreaterOrEqual(t, f.c.Stats().DatagramSize, core.MinInitialSize)
		})
		require.NoError(t, f.p.RunFor(20*time.Second))
		received = f.p.ServerConn().App.Received - received
		require.Greater(t, received, 20*300_000*8/10, "bytes received while the messages come")
		require.NoError(t, f.p.Run(70*time.Second, func() bool { return f.c.Stats().DatagramSize == core.MaxDatagramSize }))
	})
	t.Run("genuine", func(t *testing.T) {
		f := start(t)
		f.p.Client.link.MTU = 1400
		f.c.HandlePacketTooBig(f.p.Now(), 1400, f.seen)
		require.NoError(t, f.p.Run(time.Second, func() bool { return f.c.Stats().DatagramSize == 1400 }))
	})
}

// TestRandomWorldsMTU runs random worlds in which the path's MTU changes, ICMP messages are forged, and the
// system refuses datagrams.
func TestRandomWorldsMTU(t *testing.T) {
	for seed := range seeds(t, atMost(1000, 100)) {
		p := fake.New(fake.Options{Seed: seed})
		o := randomOptions(seed, p)
		also := o.Config
		o.Config = func(c *core.Config) {
			if c.MaxProbeSize = core.MaxDatagramSize; also != nil {
				also(c)
			}
		}
		o.Client.Send = append(o.Client.Send, Transfer{Size: 300_000})
		pair, err := NewPair(o)
		require.NoError(t, err)
		rng := rand.New(rand.NewPCG(seed, 2))
		seen := make(map[*Node][]byte)
		for _, n := range []*Node{pair.Client, pair.Server} {
			n.Tap = func(_ monotime.Time, b []byte) { seen[n] = append(seen[n][:0], b[:min(len(b), 64)]...) }
		}
		var disturb func()
		disturb = func() {
			for _, n := range []*Node{pair.Client, pair.Server} {
				for _, c := range n.Conns {
					switch rng.IntN(6) {
					case 0:
						n.link.MTU = core.MinInitialSize + rng.IntN(8000)
					case 1:
						n.link.MTU = 0
					case 2:
						c.HandlePacketTooBig(pair.Now(), rng.IntN(9000), seen[n])
					case 3:
						c.HandleTooLarge(pair.Now(), c.Stats().DatagramSize)
					}
					c.drive()
				}
			}
			pair.At(pair.Now().Add(time.Duration(rng.Int64N(int64(200*time.Millisecond)))), disturb)
		}
		disturb()
		_, err = pair.RunTransfers(20 * time.Minute)
		require.NoError(t, err)
	}
}
