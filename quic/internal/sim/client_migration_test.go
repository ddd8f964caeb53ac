package sim

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

// A client moves to other addresses during transfers in both directions, sometimes before they are validated, and loses
// the old ones afterwards.
func TestClientMigration(t *testing.T) {
	for name, p := range allProviders(t, 1) {
		for _, loss := range []float64{0, 0.02, 0.1} {
			for _, wait := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s loss %v validated first %t", name, loss, wait), func(t *testing.T) {
					if testing.Short() && name != "fake" {
						t.Skip("a long run")
					}
					migrate(t, p, loss, wait)
				})
			}
		}
	}
}

func migrate(t *testing.T, prov tlsprovider.Provider, loss float64, wait bool) {
	o := options(5, prov)
	o.Up = Link{Delay: oneWay, Rate: 10e6 / 8, Queue: 37_500, Loss: loss}
	o.Down = o.Up
	o.Client.Send = []Transfer{{Uni: true, Size: 1 << 20}}
	o.Server = func() *App { return &App{Send: []Transfer{{Uni: true, Size: 4 << 20}}} }
	p, err := NewPair(o)
	require.NoError(t, err)
	start := p.Now()
	m := &mover{t: t, pair: p, wait: wait}
	for i := range 3 {
		p.At(start.Add(time.Duration(i+1)*600*time.Millisecond), m.move)
	}
	c, err := p.RunTransfers(3 * time.Minute)
	require.NoError(t, err)
	require.Equal(t, 3, m.moves)
	require.Equal(t, c.Path().Local, p.ServerConn().Path().Remote)
	require.GreaterOrEqual(t, p.ServerConn().Stats().PathChanges, uint64(3))
	t.Logf("%v, %d lost", p.Now().Sub(start), p.ServerConn().Stats().PacketsLost)
}

// A mover moves a client to new addresses.
type mover struct {
	t     *testing.T
	pair  *Pair
	wait  bool
	moves int
}

func (m *mover) move() {
	var c *Conn
	for _, c = range m.pair.Client.Conns {
	}
	if c == nil || c.Err() != nil {
		return
	}
	local := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 1, byte(1 + m.moves)}), 5000)
	now := m.pair.Now()
	id, err := c.AddPath(now, local)
	if err == core.ErrNotConfirmed || err == core.ErrNoUnusedConnID || err == core.ErrTooManyPaths {
		m.pair.At(now.Add(100*time.Millisecond), m.move)
		return
	}
	require.NoError(m.t, err)
	m.pair.Client.AddAddr(local)
	m.moves++
	var switchPath func()
	old := c.Path().Local
	switchPath = func() {
		if m.wait && c.LastPathEvent != (PathEvent{core.EventPathValidated, id}) {
			m.pair.At(m.pair.Now().Add(20*time.Millisecond), switchPath)
			return
		}
		require.NoError(m.t, c.SwitchPath(m.pair.Now(), id))
		c.drive()
		m.pair.At(m.pair.Now().Add(time.Second), func() { m.pair.Client.RemoveAddr(old) })
	}
	c.drive()
	m.pair.At(now.Add(5*time.Millisecond), switchPath)
}

// A path that does not work is given up, and the connection stays where it is, or returns.
func TestClientMigrationFails(t *testing.T) {
	for _, switchFirst := range []bool{false, true} {
		o := options(5, fake.New(fake.Options{Seed: 5}))
		o.Up, o.Down = Link{Delay: oneWay}, Link{Delay: oneWay}
		p, err := NewPair(o)
		require.NoError(t, err)
		c, err := p.Dial()
		require.NoError(t, err)
		require.NoError(t, p.RunFor(time.Second))
		id, err := c.AddPath(p.Now(), netip.MustParseAddrPort("10.0.1.1:5000")) // nothing arrives there
		require.NoError(t, err)
		if switchFirst {
			require.NoError(t, c.SwitchPath(p.Now(), id))
		}
		c.drive()
		require.NoError(t, p.RunFor(10*time.Second))
		require.Equal(t, PathEvent{core.EventPathGone, id}, c.LastPathEvent)
		require.Equal(t, p.Client.Addr, c.Path().Local)
		require.ErrorIs(t, c.SwitchPath(p.Now(), id), core.ErrPathGone)
		require.EqualValues(t, 1, c.Stats().FailedPaths)
		c.App.Send = []Transfer{{Size: 100_000}}
		c.drive()
		require.NoError(t, p.RunFor(10*time.Second))
		require.Equal(t, 1, c.App.Finished)
		require.Equal(t, p.Client.Addr, p.ServerConn().Path().Remote)
	}
}

// A client moves to the server's preferred address after the handshake, with loss too. Before the server has validated the
// path, it sends nothing but probes from there.
func TestPreferredAddress(t *testing.T) {
	preferred := netip.MustParseAddrPort("10.0.2.1:443")
	for name, prov := range allProviders(t, 1) {
		for _, loss := range []float64{0, 0.1} {
			t.Run(fmt.Sprintf("%s loss %v", name, loss), func(t *testing.T) {
				o := options(9, prov)
				o.Up = Link{Delay: oneWay, Rate: 10e6 / 8, Queue: 37_500, Loss: loss}
				o.Down = o.Up
				o.Client.Send = []Transfer{{Uni: true, Size: 1 << 20}}
				o.Server = func() *App { return &App{Send: []Transfer{{Uni: true, Size: 1 << 20}}} }
				o.Config = func(c *core.Config) {
					if c.Side == tlsprovider.Server {
						c.PreferredIPv4 = preferred
						c.DisableActiveMigration = true // it does not concern the preferred address
					}
				}
				p, err := NewPair(o)
				require.NoError(t, err)
				p.Server.AddAddr(preferred)
				c, err := p.RunTransfers(3 * time.Minute)
				require.NoError(t, err)
				require.Equal(t, preferred, c.Path().Remote)
				require.Equal(t, preferred, p.ServerConn().Path().Local)
				require.EqualValues(t, 1, c.Stats().PathChanges)

				// The client may also change its own address now.
				local := netip.MustParseAddrPort("10.0.3.1:1")
				p.Client.AddAddr(local)
				require.NoError(t, p.RunFor(5*time.Second))
				id, err := c.AddPath(p.Now(), local)
				require.NoError(t, err)
				c.drive()
				require.NoError(t, p.RunFor(2*time.Second))
				require.NoError(t, c.SwitchPath(p.Now(), id))
				c.drive()
				require.NoError(t, p.RunFor(5*time.Second))
				require.Equal(t, local, p.ServerConn().Path().Remote)
				require.Equal(t, preferred, p.ServerConn().Path().Local)
			})
		}
	}
}

// A preferred address that does not answer is given up.
//
// "If path validation fails, the client MUST continue sending all future packets to the server's original IP address."
// https://www.rfc-editor.org/rfc/rfc9000#section-9.6.1-4
func TestPreferredAddressFails(t *testing.T) {
	o := options(9, fake.New(fake.Options{Seed: 9}))
	o.Up, o.Down = Link{Delay: oneWay}, Link{Delay: oneWay}
	o.Config = func(c *core.Config) {
		if c.Side == tlsprovider.Server {
			c.PreferredIPv4 = netip.MustParseAddrPort("10.0.2.1:443")
		}
	}
	p, err := NewPair(o)
	require.NoError(t, err)
	c, err := p.Dial()
	require.NoError(t, err)
	require.NoError(t, p.RunFor(10*time.Second))
	require.Equal(t, p.Server.Addr, c.Path().Remote)
	require.EqualValues(t, 1, c.Stats().FailedPaths)
	c.App.Send = []Transfer{{Size: 100_000}}
	c.drive()
	require.NoError(t, p.RunFor(10*time.Second))
	require.Equal(t, 1, c.App.Finished)
}
