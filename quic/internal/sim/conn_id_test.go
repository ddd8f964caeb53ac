package sim

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

// Both sides have connection IDs of any length, with each provider, with Retry and with loss.
func TestConnIDLengths(t *testing.T) {
	for name, prov := range allProviders(t, 1) {
		for _, client := range []int{0, 1, 4, 8, 20} {
			for _, server := range []int{1, 4, 8, 20} {
				for _, v := range []core.Validation{core.ValidateUnderLoad, core.ValidateAlways} {
					t.Run(fmt.Sprintf("%s client %d server %d policy %d", name, client, server, v), func(t *testing.T) {
						if testing.Short() && name != "fake" && client != server {
							t.Skip("a long run")
						}
						o := options(9, prov)
						o.Up, o.Down = Link{Delay: oneWay, Loss: 0.05}, Link{Delay: oneWay, Loss: 0.05}
						o.ClientIDs, o.ServerIDs = &ConnIDs{Len: client}, &ConnIDs{Len: server}
						o.Validation = v
						o.Client.Send = []Transfer{{Size: 50_000}}
						o.Server = func() *App { return &App{Echo: true, Send: []Transfer{{Uni: true, Size: 50_000}}} }
						p, c := run(t, o, 2*time.Minute)
						require.Equal(t, v == core.ValidateAlways, c.Retried())
						require.Zero(t, p.ServerConn().Stats().Drops[core.DropUnknownConnID])
					})
				}
			}
		}
	}
}

// Connections replace their connection IDs every few seconds, while packets are lost and reordered, and transfer data.
func TestRotationUnderLoss(t *testing.T) {
	const lifetime = time.Second
	for name, prov := range allProviders(t, 2) {
		for _, loss := range []float64{0, 0.02, 0.1} {
			for _, ids := range [][2]int{{8, 8}, {0, 4}, {20, 1}} {
				t.Run(fmt.Sprintf("%s loss %v lengths %v", name, loss, ids), func(t *testing.T) {
					if testing.Short() && name != "fake" && ids[0] != 8 {
						t.Skip("a long run")
					}
					o := options(3, prov)
					o.Up = Link{Delay: oneWay, Jitter: oneWay, Rate: 1e6 / 8, Queue: 20_000, Loss: loss}
					o.Down = o.Up
					o.ClientIDs, o.ServerIDs = &ConnIDs{Len: ids[0]}, &ConnIDs{Len: ids[1]}
					o.Config = func(c *core.Config) { c.ConnIDLifetime = lifetime }
					o.Client.Send = []Transfer{{Uni: true, Size: 1 << 20}}
					o.Server = func() *App { return &App{Send: []Transfer{{Uni: true, Size: 1 << 20}}} }
					p, err := NewPair(o)
					require.NoError(t, err)
					sent := idsOnTheWire(p)
					start := p.Now()
					_, err = p.RunTransfers(5 * time.Minute)
					require.NoError(t, err)
					least := int(p.Now().Sub(start)/lifetime) / 2
					require.Greater(t, least, 1)
					require.GreaterOrEqual(t, len(sent[tlsprovider.Client]), least, "the client has sent to")
					if ids[0] > 0 {
						require.GreaterOrEqual(t, len(sent[tlsprovider.Server]), least, "the server has sent to")
					}
				})
			}
		}
	}
}

// idsOnTheWire collects the connection IDs of packets with a short header, by their sender.
func idsOnTheWire(p *Pair) map[tlsprovider.Side]map[string]bool {
	sent := map[tlsprovider.Side]map[string]bool{tlsprovider.Client: {}, tlsprovider.Server: {}}
	tap := func(side tlsprovider.Side, receiver *Node) func([]byte) {
		return func(b []byte) {
			if b[0]&0x80 == 0 {
				sent[side][string(b[1:1+receiver.ids.Len])] = true
			}
		}
	}
	fromClient, fromServer := tap(tlsprovider.Client, p.Server), tap(tlsprovider.Server, p.Client)
	p.Client.Tap = func(_ monotime.Time, b []byte) { fromClient(b) }
	p.Server.Tap = func(_ monotime.Time, b []byte) { fromServer(b) }
	return sent
}

// A connection that exchanges a little every minute replaces its IDs each hour, and its peer never sees an old one again.
func TestConnIDLifetime(t *testing.T) {
	o := options(4, fake.New(fake.Options{Seed: 4}))
	o.Up, o.Down = Link{Delay: oneWay}, Link{Delay: oneWay}
	o.Config = func(c *core.Config) {
		c.IdleTimeout, c.KeepAlive = 10*time.Minute, time.Minute
		if c.Side == tlsprovider.Server {
			c.ConnIDLifetime = time.Hour
		}
	}
	p, err := NewPair(o)
	require.NoError(t, err)
	sent := idsOnTheWire(p)[tlsprovider.Client]
	_, err = p.Dial()
	require.NoError(t, err)
	seen := 0
	for hour := range 24 {
		require.NoError(t, p.RunFor(time.Hour))
		require.LessOrEqual(t, len(sent), 2, "in hour %d", hour)
		seen += len(sent)
		clear(sent)
	}
	require.NotNil(t, p.ServerConn())
	require.NoError(t, p.Client.Endpoint.CheckInvariants())
	require.InDelta(t, 24+23, seen, 2, "each hour has one ID of its own, and that of the hour before")
}

// A connection survives when its generator of IDs fails or repeats itself now and then, and replaces IDs when it works.
func TestGeneratorFailsNowAndThen(t *testing.T) {
	for seed := range uint64(20) {
		o := options(seed, fake.New(fake.Options{Seed: seed}))
		o.Up, o.Down = Link{Delay: oneWay, Loss: 0.02}, Link{Delay: oneWay, Loss: 0.02}
		var p *Pair
		calls := 0
		var last wire.ConnID
		o.ServerIDs = &ConnIDs{Len: 8, Generate: func() (wire.ConnID, error) {
			calls++
			switch {
			case calls > 4 && p.Rand.IntN(3) == 0:
				return wire.ConnID{}, errors.New("no ID")
			case calls > 4 && p.Rand.IntN(3) == 0:
				return last, nil
			}
			last, _ = p.randomIDs(8)()
			return last, nil
		}}
		o.Config = func(c *core.Config) { c.ConnIDLifetime = time.Second }
		o.Client.Send = []Transfer{{Uni: true, Size: 1 << 20}}
		o.Server = func() *App { return &App{Send: []Transfer{{Uni: true, Size: 1 << 20}}} }
		o.Up.Rate, o.Down.Rate = 1e6/8, 1e6/8
		o.Up.Queue, o.Down.Queue = 20_000, 20_000
		var err error
		p, err = NewPair(o)
		require.NoError(t, err)
		sent := idsOnTheWire(p)
		_, err = p.RunTransfers(5 * time.Minute)
		require.NoError(t, err)
		require.Greater(t, len(sent[tlsprovider.Client]), 3)
	}
}

// Clients with connection IDs of one byte connect to one server one after the other: IDs come back, and no connection
// suffers. A client whose Endpoint has empty IDs has one connection to the server at a time.
func TestManyConnectionsWithShortIDs(t *testing.T) {
	for _, client := range []int{0, 1} {
		o := options(6, fake.New(fake.Options{Seed: 6}))
		o.Up, o.Down = Link{Delay: oneWay}, Link{Delay: oneWay}
		o.ClientIDs, o.ServerIDs = &ConnIDs{Len: client}, &ConnIDs{Len: 1}
		p, err := NewPair(o)
		require.NoError(t, err)
		done := 0
		for range 400 {
			c, err := p.Dial()
			require.NoError(t, err)
			if client == 0 {
				second, err := p.Dial()
				require.NoError(t, err)
				require.ErrorIs(t, second.Err(), core.ErrRemoteInUse)
			}
			require.NoError(t, p.RunFor(500*time.Millisecond))
			if c.Err() == nil && !c.Connected.IsZero() {
				done++
			}
			c.Close(p.Now(), true, 0, "")
			c.drive()
			require.NoError(t, p.RunFor(100*time.Millisecond))
		}
		require.Greater(t, done, 380, "a few random IDs were those of connections that have just ended")
	}
}
