package sim

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

// A server that may send before the handshake is complete does so in its first flight, with each provider, and the client
// has the data after one round trip.
func TestHalfRTT(t *testing.T) {
	for name, p := range allProviders(t, 1) {
		t.Run(name, func(t *testing.T) {
			o := options(1, p)
			o.Up.Delay, o.Down.Delay = oneWay, oneWay
			o.Config = func(c *core.Config) { c.HalfRTT = true }
			o.Server = func() *App { return &App{Send: []Transfer{{Uni: true, Size: 100}, {Size: 100}}} }
			o.Client.Send = []Transfer{{Size: 100}}
			pair, err := NewPair(o)
			require.NoError(t, err)
			begun, arrived := pair.Now(), monotime.Time(0)
			pair.Client.Tap = func(now monotime.Time, _ []byte) {
				for _, c := range pair.Client.Conns {
					if arrived.IsZero() && c.App.Received > 0 {
						arrived = now
					}
				}
			}
			c, err := pair.RunTransfers(time.Minute)
			require.NoError(t, err)
			server := pair.ServerConn()
			require.Equal(t, oneWay, server.Early.Sub(begun))
			require.Equal(t, 3*oneWay, server.Connected.Sub(begun))
			require.Zero(t, c.Early, "the setting is a server's")
			require.Equal(t, 2*oneWay, arrived.Sub(begun))
			// "A server MUST NOT process incoming 1-RTT protected packets before the TLS handshake is complete."
			// https://www.rfc-editor.org/rfc/rfc9001#section-5.7-4
			require.Zero(t, c.Stats().PacketsLost)
		})
	}
}

// Whatever is lost of the first ten datagrams, with and without a Retry and a HelloRetryRequest: everything arrives once.
func TestHalfRTTUnderLoss(t *testing.T) {
	for variant := range 4 {
		retry, hello := variant&1 == 1, variant&2 == 2
		t.Run(fmt.Sprintf("Retry %t, HelloRetryRequest %t", retry, hello), func(t *testing.T) {
			for pattern := range seeds(t, patterns) {
				if testing.Short() && pattern%61 != 0 || pattern%3 != 0 {
					continue
				}
				o := options(pattern, fake.New(fake.Options{Seed: pattern, HelloRetry: hello}))
				o.Up.Delay, o.Down.Delay = oneWay, oneWay
				o.Config = func(c *core.Config) { c.HalfRTT = true }
				o.Server = func() *App {
					return &App{Echo: true, Send: []Transfer{{Uni: true, Size: 40_000}, {Size: 1}, {Uni: true}}}
				}
				o.Client.Send = []Transfer{{Size: 3000}, {Uni: true, Size: 1}}
				if retry {
					o.Validation = core.ValidateAlways
				}
				pair, err := NewPair(o)
				require.NoError(t, err)
				n := 0
				drop := func(int) bool { n++; return n <= 10 && pattern>>(n-1)&1 == 1 }
				pair.Client.link.Drop, pair.Server.link.Drop = drop, drop
				c, err := pair.RunTransfers(2 * time.Minute)
				require.NoError(t, err, "pattern %010b", pattern)
				require.Equal(t, retry, c.Retried())
				require.False(t, pair.ServerConn().Early.IsZero())
			}
		})
	}
}
