package sim

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

// In random networks, connections whose sides accept any value of the fixed bit, or not, transfer what they should. Packets
// with a fixed bit of 0 are sent if both accept them, and are then as common as others.
func TestRandomWorldsWithFixedBit(t *testing.T) {
	var zero, one int
	for seed := range seeds(t, atMost(1000, 100)) {
		p := fake.New(fake.Options{Seed: seed, HelloRetry: seed%7 == 0, ChainLen: 500 + int(seed%5)*3000})
		o := randomOptions(seed, p)
		rng := rand.New(rand.NewPCG(seed, 9287))
		accepts := map[tlsprovider.Side]bool{tlsprovider.Client: rng.IntN(4) > 0, tlsprovider.Server: rng.IntN(4) > 0}
		config, endpoint := o.Config, o.Endpoint
		o.Config = func(c *core.Config) {
			if c.GreaseFixedBit = accepts[c.Side]; config != nil {
				config(c)
			}
		}
		o.Endpoint = func(c *core.EndpointConfig) {
			if c.GreaseFixedBit = accepts[tlsprovider.Server]; endpoint != nil {
				endpoint(c)
			}
		}
		pair, err := NewPair(o)
		require.NoError(t, err)
		both := accepts[tlsprovider.Client] && accepts[tlsprovider.Server]
		for _, n := range []*Node{pair.Client, pair.Server} {
			n.Tap = func(_ monotime.Time, b []byte) {
				switch {
				case b[0]&0x40 == 0:
					zero++
					require.True(t, both, "seed %d", seed)
				case both && b[0]&0x80 == 0:
					one++
				}
			}
		}
		_, err = pair.RunTransfers(20 * time.Minute)
		require.NoError(t, err, "seed %d", seed)
	}
	require.Greater(t, 3*min(zero, one), max(zero, one), "%d packets with a bit of 0, and %d with one of 1", zero, one)
}
