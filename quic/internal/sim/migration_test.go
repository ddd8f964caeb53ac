package sim

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

// allProviders returns the real providers and a fake one with the given seed.
func allProviders(t *testing.T, seed uint64) map[string]tlsprovider.Provider {
	providers := realProviders(t)
	providers["fake"] = fake.New(fake.Options{Seed: seed})
	return providers
}

// The cases rebind-port and rebind-addr of the interop runner: a NAT changes the address of a client after 1 s and then
// every 5 s, while one side sends 10 MB.
func TestRebinding(t *testing.T) {
	const size = 10 << 20
	for name, p := range allProviders(t, 1) {
		for _, wholeAddr := range []bool{false, true} {
			for _, loss := range []float64{0, 0.02, 0.1} {
				for _, upload := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s address %t loss %v upload %t", name, wholeAddr, loss, upload), func(t *testing.T) {
						if testing.Short() && (name != "fake" || loss == 0.1) {
							t.Skip("a long run")
						}
						rebind(t, p, wholeAddr, loss, upload, size)
					})
				}
			}
		}
	}
}

func rebind(t *testing.T, p tlsprovider.Provider, wholeAddr bool, loss float64, upload bool, size int) {
	o := options(7, p)
	o.Up = Link{Delay: oneWay, Rate: 10e6 / 8, Queue: 37_500, Loss: loss}
	o.Down = o.Up
	bulk := []Transfer{{Uni: true, Size: size}}
	if upload {
		o.Client.Send = bulk
	} else {
		o.Server = func() *App { return &App{Send: bulk} }
	}
	pair, err := NewPair(o)
	require.NoError(t, err)
	start := pair.Now()
	pair.Client.RebindEvery(start.Add(time.Second), monotime.Time(5*time.Second), wholeAddr)
	_, err = pair.RunTransfers(5 * time.Minute)
	require.NoError(t, err)
	took := pair.Now().Sub(start)
	s := pair.ServerConn().Stats()
	t.Logf("%v, %d changes, %d failed, %d lost", took, s.PathChanges, s.FailedPaths, s.PacketsLost)
	require.GreaterOrEqual(t, s.PathChanges, uint64(took/(5*time.Second)))
	for _, addr := range slices.Collect(maps.Keys(pair.Server.nat.peers)) {
		require.Positive(t, pair.Server.nat.peers[addr].in, "nothing came from %v", addr)
	}
}

// In random worlds, the client's address changes at random times, and in some of them an attacker sends copies of the client's
// packets. Everything arrives.
func TestRebindingRandomWorlds(t *testing.T) {
	const worlds = 400
	changes := uint64(0)
	for seed := range seeds(t, worlds) {
		rng := rand.New(rand.NewPCG(seed, 0xadd))
		o := randomOptions(seed, fake.New(fake.Options{Seed: seed}))
		o.Client.Send = append(o.Client.Send, Transfer{Uni: true, Size: 200_000 + rng.IntN(500_000)})
		p, err := NewPair(o)
		require.NoError(t, err)
		start := p.Now()
		rebound := false
		p.Client.Tap = func(now monotime.Time, b []byte) {
			// A connection whose client changes its address before the handshake is confirmed ends.
			if s := p.ServerConn(); !rebound && s != nil && !s.Connected.IsZero() && b[0]&0x80 == 0 {
				rebound = true
				every := monotime.Time(3*time.Second) + monotime.Time(rng.Int64N(int64(10*time.Second)))
				p.Client.RebindEvery(now.Add(time.Duration(rng.Int64N(int64(2*time.Second)))), every, rng.IntN(2) == 0)
			}
		}
		if rng.IntN(3) == 0 {
			p.copyPackets(2+rng.IntN(5), netip.MustParseAddrPort("203.0.113.9:7"))
		}
		_, err = p.RunTransfers(30 * time.Minute)
		require.NoError(t, err, "seed %d, after %v", seed, p.Now().Sub(start))
		changes += p.ServerConn().Stats().PathChanges
	}
	t.Logf("%d changes of the path", changes)
	if os.Getenv(seedVariable) == "" {
		require.Greater(t, changes, uint64(worlds))
	}
}

// copyPackets has an attacker send a copy of one in every of the client's 1-RTT packets from another address. It arrives
// before the original if the client's link is not faster.
func (p *Pair) copyPackets(every int, attacker netip.AddrPort) {
	p.Server.watch(attacker)
	n, tap, delay := 0, p.Client.Tap, p.Client.link.Delay/2
	p.Client.Tap = func(now monotime.Time, b []byte) {
		if tap != nil {
			tap(now, b)
		}
		if n++; n%every == 0 && b[0]&0x80 == 0 {
			p.At(now.Add(delay), func() { p.Server.receive(bytes.Clone(b), attacker) })
		}
	}
}

// An attacker who sees the client's packets sends copies of them from its own address, which arrive first. Transfers
// in both directions go on, and the attacker's address gets at most three times what came from there: nat.sentTo checks it,
// because nothing ever arrives there.
//
// "An on-path attacker could cause a spurious connection migration by copying and forwarding a packet with a spoofed
// address such that it arrives before the original packet."
// https://www.rfc-editor.org/rfc/rfc9000#section-9.3.2-1
func TestSpoofedAddress(t *testing.T) {
	for name, every := range map[string]int{"each": 1, "every third": 3, "every tenth": 10} {
		for _, port := range []bool{true, false} {
			t.Run(fmt.Sprint(name, " port ", port), func(t *testing.T) {
				o := options(3, fake.New(fake.Options{Seed: 3}))
				o.Up = Link{Delay: oneWay, Rate: 10e6 / 8, Queue: 37_500}
				o.Down = o.Up
				o.Client.Send = []Transfer{{Uni: true, Size: 200_000}}
				o.Server = func() *App { return &App{Send: []Transfer{{Uni: true, Size: 200_000}}} }
				p, err := NewPair(o)
				require.NoError(t, err)
				attacker := netip.MustParseAddrPort("203.0.113.9:7")
				if port {
					attacker = netip.AddrPortFrom(p.Client.Addr.Addr(), 7)
				}
				p.Server.watch(attacker)
				n := 0
				p.Client.Tap = func(now monotime.Time, b []byte) {
					if n++; n%every == 0 && b[0]&0x80 == 0 {
						p.At(now.Add(oneWay/2), func() { p.Server.receive(bytes.Clone(b), attacker) })
					}
				}
				_, err = p.RunTransfers(5 * time.Minute)
				require.NoError(t, err)
				require.Positive(t, p.Server.nat.peers[attacker].out)
				t.Logf("%v, %+v", p.Now(), p.ServerConn().Stats().Counts)
			})
		}
	}
}

// An attacker also passes on what the server sends to its address, so that the client answers the challenges. Its copies of the
// client's packets are the faster ones all the time. The connection stays on the direct path, because that works.
//
// "If the attacker is able to continue forwarding packets, it might be able to cause migration to a path via the attacker."
// https://www.rfc-editor.org/rfc/rfc9000#section-9.3.3-1
func TestForwardedPackets(t *testing.T) {
	for _, loss := range []float64{0, 0.02} {
		o := options(3, fake.New(fake.Options{Seed: 3}))
		o.Up = Link{Delay: oneWay, Rate: 10e6 / 8, Queue: 37_500, Loss: loss}
		o.Down = o.Up
		o.Client.Send = []Transfer{{Uni: true, Size: 2 << 20}}
		o.Server = func() *App { return &App{Send: []Transfer{{Uni: true, Size: 2 << 20}}} }
		p, err := NewPair(o)
		require.NoError(t, err)
		attacker := netip.MustParseAddrPort("203.0.113.9:7")
		p.Server.watch(attacker)
		p.Client.nat.relay = attacker
		p.Client.Tap = func(now monotime.Time, b []byte) {
			if b[0]&0x80 == 0 {
				p.At(now.Add(oneWay/2), func() { p.Server.receive(bytes.Clone(b), attacker) })
			}
		}
		_, err = p.RunTransfers(5 * time.Minute)
		require.NoError(t, err)
		s := p.ServerConn().Stats()
		require.True(t, p.Server.nat.peers[attacker].answered, "the attacker's address is validated")
		require.Equal(t, p.Client.Addr, p.ServerConn().Path().Remote)
		require.EqualValues(t, 2, s.PathChanges, "there and back")
	}
}

// The same attacker goes away. The server returns to the client, although the client is silent and waits for data.
func TestSpoofedAddressOfSilentClient(t *testing.T) {
	o := options(3, fake.New(fake.Options{Seed: 3}))
	o.Up, o.Down = Link{Delay: oneWay}, Link{Delay: oneWay}
	ready := false
	server := &App{}
	o.Server = func() *App { return server }
	p, err := NewPair(o)
	require.NoError(t, err)
	c, err := p.Dial()
	require.NoError(t, err)
	require.NoError(t, p.RunFor(2*time.Second))
	require.False(t, c.Connected.IsZero())
	attacker := netip.MustParseAddrPort("203.0.113.9:7")
	p.Server.watch(attacker)
	p.Client.Tap = func(now monotime.Time, b []byte) {
		if !ready {
			ready = true
			p.At(now, func() { p.Server.receive(bytes.Clone(b), attacker) })
		}
	}
	c.App.Send = []Transfer{{Size: 1}}
	c.drive()
	require.NoError(t, p.RunFor(5*time.Second))
	require.True(t, ready)
	require.Equal(t, p.Client.Addr, p.ServerConn().Path().Remote)
	require.Equal(t, 1, c.App.Finished, "the answer")
}
