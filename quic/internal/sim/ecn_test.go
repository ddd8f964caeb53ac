package sim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/datagram"
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

func useECN(c *core.Config) { c.ECN = true }

// The case ecn of the interop runner: both sides mark packets and report the marks of the other one.
func TestECN(t *testing.T) {
	for name, prov := range allProviders(t, 1) {
		o := options(1, prov, postQuantum...)
		o.Up, o.Down = usual(), usual()
		o.Config = useECN
		o.Server = func() *App { return &App{Send: []Transfer{{Uni: true, Size: 100 << 10}}} }
		p, c := run(t, o, time.Minute)
		for _, s := range []core.Stats{c.Stats(), p.ServerConn().Stats()} {
			require.True(t, s.ECNCapable, name)
			require.Zero(t, s.PacketsMarked)
			require.Zero(t, s.PacketsLost)
		}
	}
}

// Every congestion controller reacts to a router's marks before anything is lost. Without ECN, the same router loses
// packets.
//
// "[...] QUIC treats a Congestion Experienced (CE) codepoint in the IP header as a signal of congestion."
// https://www.rfc-editor.org/rfc/rfc9002#section-7.1-1
func TestMarksReduceWithoutLoss(t *testing.T) {
	for name, newController := range map[string]func() recovery.Controller{
		"CUBIC": recovery.NewCubic, "NewReno": recovery.NewReno, "BBR": recovery.NewBBR,
	} {
		t.Run(name, func(t *testing.T) {
			transfer := func(ecn bool) (core.Stats, *Pair) {
				o := options(1, fake.New(fake.Options{Seed: 1}))
				o.Up, o.Down = Link{Delay: oneWay}, Link{Delay: oneWay, Rate: 10e6 / 8, AQM: 10 * time.Millisecond}
				o.Config = func(c *core.Config) { c.ECN, c.NewController = ecn, newController }
				o.Server = func() *App { return &App{Send: []Transfer{{Uni: true, Size: 10 << 20}}} }
				p, _ := run(t, o, time.Minute)
				return p.ServerConn().Stats(), p
			}
			marked, p := transfer(true)
			require.True(t, marked.ECNCapable)
			require.Zero(t, marked.PacketsLost)
			require.Positive(t, marked.PacketsMarked)
			require.LessOrEqual(t, marked.PacketsMarked, uint64(p.Server.link.Marked))
			require.Positive(t, marked.CongestionEvents)
			took := p.Now().Sub(monotime.Time(time.Second))
			plain, p := transfer(false)
			require.False(t, plain.ECNCapable)
			require.Positive(t, plain.PacketsLost)
			t.Logf("with ECN: %v, %d marked; without: %v, %d lost", took, marked.PacketsMarked,
				p.Now().Sub(monotime.Time(time.Second)), plain.PacketsLost)
		})
	}
}

// Routers that change or lose marks are found out, in whichever direction they do that. Packets are not marked then,
// and the connection works as well as without ECN.
//
// "[...] an endpoint validates the ECN counts for each network path and disables the use of ECN on that path if errors
// are detected."
// https://www.rfc-editor.org/rfc/rfc9000#section-13.4.2-1
func TestPathsThatSpoilMarks(t *testing.T) {
	always := func(e datagram.ECN) func(int, datagram.ECN) datagram.ECN {
		return func(int, datagram.ECN) datagram.ECN { return e }
	}
	for name, spoil := range map[string]func(*Link){
		"clears them": func(l *Link) { l.ECN = always(datagram.NotECT) },
		"clears every other one": func(l *Link) {
			l.ECN = func(n int, e datagram.ECN) datagram.ECN { return e * datagram.ECN(n&1) }
		},
		"changes them to ECT(1)": func(l *Link) { l.ECN = always(datagram.ECT1) },
		"marks everything":       func(l *Link) { l.ECN = always(datagram.CE) },
		"loses marked packets":   func(l *Link) { l.DropECT = true },
		// A receiver that does not report ECN-CE looks the same.
		"hides ECN-CE": func(l *Link) {
			l.ECN = func(_ int, e datagram.ECN) datagram.ECN {
				if e == datagram.CE {
					return datagram.ECT0
				}
				return e
			}
		},
		"clears them later": func(l *Link) {
			l.ECN = func(n int, e datagram.ECN) datagram.ECN {
				if n > 200 {
					return datagram.NotECT
				}
				return e
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, up := range []bool{false, true} {
				o := options(1, fake.New(fake.Options{Seed: 1}), postQuantum...)
				o.Up, o.Down = usual(), usual()
				o.Config = useECN
				transfers := []Transfer{{Uni: true, Size: 1 << 20}}
				if name == "hides ECN-CE" {
					transfers[0].Size = 4 << 20 // thousands of packets, of which one is marked so
				}
				o.Client.Send = transfers
				o.Server = func() *App { return &App{Send: transfers} }
				spoilt := &o.Down
				if up {
					spoilt = &o.Up
				}
				spoil(spoilt)
				p, c := run(t, o, time.Minute)
				require.Equal(t, !up, c.Stats().ECNCapable, "client, up %t", up)
				require.Equal(t, up, p.ServerConn().Stats().ECNCapable, "server, up %t", up)
				require.LessOrEqual(t, c.Stats().HandshakeTime, 3*time.Second)
			}
		})
	}
}

// A path after a change of the client's address is tested anew.
//
// "The new path might not have the same ECN capability. Therefore, the endpoint validates ECN capability as described
// in Section 13.4."
// https://www.rfc-editor.org/rfc/rfc9000#section-9.2-5
func TestECNOnOtherPath(t *testing.T) {
	for _, first := range []datagram.ECN{datagram.ECT0, datagram.NotECT} {
		o := options(1, fake.New(fake.Options{Seed: 1}))
		var p *Pair
		moved := func() bool { return p.Now().After(monotime.Time(3 * time.Second)) }
		link := with(func(l *Link) {
			l.ECN = func(_ int, e datagram.ECN) datagram.ECN {
				if moved() == (first == datagram.ECT0) {
					return datagram.NotECT
				}
				return e
			}
		})
		o.Up, o.Down = usual(), link
		o.Config = useECN
		o.Server = func() *App { return &App{Send: []Transfer{{Uni: true, Size: 5 << 20}}} }
		var err error
		p, err = NewPair(o)
		require.NoError(t, err)
		p.Client.RebindEvery(monotime.Time(3*time.Second), monotime.Time(time.Hour), true)
		before := false
		p.At(monotime.Time(2900*time.Millisecond), func() { before = p.ServerConn().Stats().ECNCapable })
		_, err = p.RunTransfers(time.Minute)
		require.NoError(t, err)
		require.EqualValues(t, 1, p.ServerConn().Stats().PathChanges)
		require.Equal(t, first == datagram.ECT0, before)
		require.Equal(t, first == datagram.NotECT, p.ServerConn().Stats().ECNCapable)
	}
}

// Random worlds with ECN: routers mark and lose at random.
func TestRandomWorldsWithECN(t *testing.T) {
	for seed := range seeds(t, atMost(500, 100)) {
		p := fake.New(fake.Options{Seed: seed})
		o := randomOptions(seed, p)
		before := o.Config
		o.Config = func(c *core.Config) {
			if before != nil {
				before(c)
			}
			c.ECN = seed%5 > 0 || c.Side == tlsprovider.Client
		}
		for i, l := range []*Link{&o.Up, &o.Down} {
			l.AQM = time.Duration(seed%7) * 5 * time.Millisecond
			if seed>>i%4 == 3 {
				l.ECN = func(n int, e datagram.ECN) datagram.ECN { return (e + datagram.ECN(n&1)) & 3 }
			}
		}
		runAndClose(t, o, p)
	}
}
