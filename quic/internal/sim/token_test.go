package sim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

// The server's token arrives, and takes the place of a Retry in the next connection, whatever is lost.
func TestTokenUnderLoss(t *testing.T) {
	for seed := range seeds(t, 100) {
		prov := fake.New(fake.Options{Seed: seed})
		key, err := prov.NewTokenKey(secret)
		require.NoError(t, err)
		o := options(seed, prov)
		o.Up, o.Down = Link{Delay: oneWay, Loss: 0.2}, Link{Delay: oneWay, Loss: 0.2}
		o.Validation = core.ValidateAlways
		o.Config = func(c *core.Config) {
			if c.Side == tlsprovider.Server {
				c.TokenKey = key
			}
		}
		used := make(map[core.TokenID]bool)
		o.Endpoint = func(c *core.EndpointConfig) {
			c.TokenLifetime = time.Hour
			c.UseToken = func(id core.TokenID, _ int64) bool {
				defer func() { used[id] = true }()
				return !used[id]
			}
		}
		o.Client.Send = []Transfer{{Size: 1000}}
		p, err := NewPair(o)
		require.NoError(t, err)
		first, err := p.RunTransfers(120 * time.Second)
		require.NoError(t, err)
		require.True(t, first.Retried())
		var token []byte
		require.NoError(t, p.Run(time.Minute, func() bool { token = first.TakeToken(); return token != nil }))

		again := *p.ClientConfig
		again.Token = token
		second, err := p.Client.dial(&again, &App{})
		require.NoError(t, err)
		require.NoError(t, p.Run(time.Minute, func() bool { return !second.Connected.IsZero() }))
		require.False(t, second.Retried(), "seed %d", seed)
		require.EqualValues(t, 1, p.Server.Endpoint.ValidatedByToken())
	}
}
