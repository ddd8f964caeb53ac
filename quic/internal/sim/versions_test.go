package sim

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

var versionLists = [][]wire.Version{nil, {wire.Version1}, {wire.Version1, wire.Version2}, {wire.Version2, wire.Version1}}

// withVersions sets the versions of both sides.
func withVersions(o *Options, client, server []wire.Version) {
	config, endpoint := o.Config, o.Endpoint
	o.Config = func(c *core.Config) {
		if config != nil {
			config(c)
		}
		if c.Versions = server; c.Side == tlsprovider.Client {
			c.Versions = client
		}
	}
	o.Endpoint = func(c *core.EndpointConfig) {
		if endpoint != nil {
			endpoint(c)
		}
		if len(server) > 0 {
			c.Versions = server
		}
	}
}

// wantVersion returns the version that the two sides should agree on.
func wantVersion(client, server []wire.Version) wire.Version {
	if len(client) == 2 && len(server) == 2 {
		return server[0]
	}
	return wire.Version1
}

// Version negotiation in random networks: both sides agree on the version that the server prefers.
func TestRandomWorldsWithVersions(t *testing.T) {
	for seed := range seeds(t, atMost(1000, 150)) {
		p := fake.New(fake.Options{Seed: seed, HelloRetry: seed%5 == 0, ChainLen: 500 + int(seed%5)*3000})
		o := randomOptions(seed, p)
		rng := rand.New(rand.NewPCG(seed, 9368))
		client, server := versionLists[rng.IntN(4)], versionLists[rng.IntN(4)]
		withVersions(&o, client, server)
		pair, c := run(t, o, 20*time.Minute)
		require.Equal(t, wantVersion(client, server), c.Version(), "seed %d", seed)
		require.Equal(t, c.Version(), pair.ServerConn().Version(), "seed %d", seed)
	}
}

// Every loss pattern of the first ten datagrams with an upgrade to version 2.
func TestEveryLossPatternWithVersion2(t *testing.T) {
	for _, retry := range []bool{false, true} {
		for pattern := range seeds(t, patterns) {
			if testing.Short() && pattern%11 != 0 {
				continue
			}
			o := options(pattern, fake.New(fake.Options{Seed: pattern, HelloRetry: pattern%3 == 0}), postQuantum...)
			if retry {
				o.Validation = core.ValidateAlways
			}
			withVersions(&o, versionLists[3], versionLists[3])
			lossPattern(&o, pattern, pattern%2 == 1)
			c := runPattern(t, o, pattern)
			require.Equal(t, wire.Version2, c.Version(), "pattern %b", pattern)
		}
	}
}

// Real providers negotiate version 2, with the keys of RFC 9369, in a lossy network.
func TestVersion2RealProviders(t *testing.T) {
	for name, p := range realProviders(t) {
		for seed := range seeds(t, atMost(40, 8)) {
			o := options(seed, p, postQuantum...)
			o.Up, o.Down = Link{Delay: oneWay, Loss: 0.1}, Link{Delay: oneWay, Loss: 0.1}
			o.Client.Send = []Transfer{{Size: 20_000}}
			o.Server = func() *App { return &App{Echo: true} }
			o.Config = func(c *core.Config) { c.KeyUpdateAfter = 10 }
			withVersions(&o, versionLists[3], versionLists[3])
			_, c := run(t, o, 5*time.Minute)
			require.Equal(t, wire.Version2, c.Version(), "%s, seed %d", name, seed)
			require.Equal(t, postQuantum[0], c.State().Group, "the key exchange stays post-quantum")
		}
	}
}
