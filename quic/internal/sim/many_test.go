package sim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

// Hundreds of connections run between two hosts at the same time under 30 % loss, with duplicates and
// reordering. Each receives its own bytes, none starves, and nothing is left of them. With so many
// connections, one may lose six probes in a row and wait 20 seconds for the seventh: in three worlds of a
// hundred, some connection takes longer than that.
func TestManyConnectionsAtOnce(t *testing.T) {
	for seed := range seeds(t, 3) {
		const n = 300
		prov := fake.New(fake.Options{Seed: seed, HelloRetry: seed == 1})
		o := options(seed, prov)
		l := Link{Delay: oneWay, Loss: 0.3, Duplicate: 0.1, Reorder: 0.1, ReorderBy: 2 * oneWay}
		o.Up, o.Down = l, l
		o.TLSDelay = 5 * time.Millisecond
		o.Server = func() *App { return &App{Echo: true} }
		o.Config = func(c *core.Config) { c.IdleTimeout = 2 * time.Minute }
		p, err := NewPair(o)
		require.NoError(t, err)
		var conns []*Conn
		for i := range n {
			p.At(p.Now().Add(time.Duration(i)*time.Millisecond), func() {
				c, err := p.Client.dial(p.ClientConfig, &App{Send: []Transfer{{Size: 1000 + i}}})
				if err != nil {
					p.Fail("dial: %w", err)
				}
				conns = append(conns, c)
			})
		}
		require.NoError(t, p.Run(2*time.Minute, func() bool {
			if len(conns) < n {
				return false
			}
			for _, c := range conns {
				if err := c.Err(); err != nil {
					p.Fail("connection: %w", err)
				}
				if c.App.Finished < 1 {
					return false
				}
			}
			return true
		}))
		for i, c := range conns {
			require.Equal(t, 1000+i, c.App.Received)
			c.Close(p.Now(), true, 0, "")
			c.drive()
		}
		require.NoError(t, p.RunFor(5*time.Minute))
		require.Empty(t, p.Client.Conns)
		require.Empty(t, p.Server.Conns)
		handles, _ := prov.Live()
		require.Zero(t, handles)
	}
}
