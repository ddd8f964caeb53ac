package sim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/tlsprovider"
)

// usual is a direction of the interop runner's usual path: 15 ms, 10 Mbit/s and a queue of 25 packets.
func usual() Link { return Link{Delay: oneWay, Rate: 10_000_000 / 8, Queue: 25 * 1252} }

// A scenario is a test case of the QUIC interop runner. Its files are downloads, as there.
type scenario struct {
	name  string
	files []int // sizes in bytes
	link  Link  // zero means usual
	conns int   // connections one after the other, each with all files; 0 means 1
	edit  func(*Options)
	check func(t *testing.T, p *Pair, c *Conn)
}

const megabyte = 1 << 20

func with(edit func(*Link)) Link {
	l := usual()
	edit(&l)
	return l
}

// scenarios are the runner's test cases, by its names. TestRebinding, TestClientMigration and
// TestEarlyDataSavesARoundTrip are further ones.
func scenarios() []scenario {
	return []scenario{
		{name: "handshake", files: []int{1 << 10}},
		{name: "transfer", files: []int{2 * megabyte, 3 * megabyte, 5 * megabyte}},
		{name: "longrtt", files: []int{1 << 10}, link: with(func(l *Link) { l.Delay = 750 * time.Millisecond }),
			check: func(t *testing.T, _ *Pair, c *Conn) {
				require.Equal(t, 1500, int(c.Stats().HandshakeTime.Milliseconds())/10*10)
			}},
		{name: "multiplexing", edit: func(o *Options) {
			o.Client.Send = make([]Transfer, 1999)
			for i := range o.Client.Send {
				o.Client.Send[i].Size = 32
			}
			o.Server = func() *App { return &App{Echo: true} }
		}},
		{name: "retry", files: []int{10 << 10}, edit: func(o *Options) { o.Validation = core.ValidateAlways },
			check: func(t *testing.T, p *Pair, c *Conn) {
				require.True(t, c.Retried())
				require.Positive(t, dropCount(p, core.DropRetried))
			}},
		{name: "blackhole", files: []int{10 * megabyte}, link: with(func(l *Link) {
			l.Outage = func(now monotime.Time) bool { return now%monotime.Time(7*time.Second) >= monotime.Time(5*time.Second) }
		})},
		{name: "keyupdate", files: []int{3 * megabyte}, edit: func(o *Options) {
			o.Config = func(c *core.Config) {
				if c.Side == tlsprovider.Client {
					c.KeyUpdateAfter = 100
				}
			}
		}, check: func(t *testing.T, p *Pair, c *Conn) {
			require.Positive(t, c.Stats().KeyUpdates)
			require.Positive(t, p.ServerConn().Stats().KeyUpdates)
		}},
		{name: "amplificationlimit", files: []int{5 << 10}, edit: func(o *Options) {
			o.Up.Drop = func(n int) bool { return n >= 1 && n <= 6 } // the runner counts from 1
		}},
		{name: "handshakeloss", files: []int{1 << 10}, conns: 50, link: with(func(l *Link) { l.Loss, l.Burst = 0.3, 2 })},
		{name: "transferloss", files: []int{2 * megabyte}, link: with(func(l *Link) { l.Loss, l.Burst = 0.02, 2 })},
		{name: "handshakecorruption", files: []int{1 << 10}, conns: 50, link: with(func(l *Link) { l.Corrupt = 0.3 })},
		{name: "transfercorruption", files: []int{2 * megabyte}, link: with(func(l *Link) { l.Corrupt = 0.02 })},
		{name: "ipv6", files: []int{5 << 10, 10 << 10}, edit: func(o *Options) { o.IPv6 = true }},
		{name: "goodput", files: []int{10 * megabyte}, check: func(t *testing.T, p *Pair, _ *Conn) {
			took := p.Now().Sub(monotime.Time(time.Second)).Seconds()
			require.Greater(t, 10*megabyte*8/took, 0.85*10_000_000, "bits per second")
		}},
		{name: "jitter and duplicates", files: []int{2 * megabyte}, link: with(func(l *Link) {
			l.Jitter, l.Duplicate = 5*time.Millisecond, 0.05
		})},
	}
}

// TestInteropScenarios runs the interop runner's scenarios with every provider and a post-quantum key exchange. Each
// connection ends within the runner's limit of 60 seconds of virtual time.
func TestInteropScenarios(t *testing.T) {
	for _, s := range scenarios() {
		for name, p := range allProviders(t, 1) {
			t.Run(s.name+" "+name, func(t *testing.T) { s.run(t, p) })
		}
	}
}

func (s *scenario) run(t *testing.T, p tlsprovider.Provider) {
	conns := max(1, s.conns)
	for seed := range uint64(conns) {
		o := options(seed, p, postQuantum...)
		if s.link.Delay == 0 {
			s.link = usual()
		}
		o.Up, o.Down = s.link, s.link
		app := &App{}
		for _, size := range s.files {
			app.Send = append(app.Send, Transfer{Uni: true, Size: size})
		}
		o.Server = func() *App { return app }
		if s.edit != nil {
			s.edit(&o)
		}
		pair, err := NewPair(o)
		require.NoError(t, err)
		c, err := pair.RunTransfers(60 * time.Second)
		require.NoError(t, err)
		require.Equal(t, tlsprovider.X25519MLKEM768, c.State().Group)
		if s.check != nil {
			s.check(t, pair, c)
		}
		if testing.Short() && seed == 4 {
			break
		}
	}
}
