package sim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

// TestLateHandshakeIsAnswered: everything that the server sends after its first flight is lost for a
// while. A client that has not heard HANDSHAKE_DONE probes with Handshake packets, whose keys the server
// no longer has. It answers at once all the same, or both wait for a timeout that has backed off.
func TestLateHandshakeIsAnswered(t *testing.T) {
	asked := 0
	for seed := range seeds(t, 20) {
		o := options(seed, fake.New(fake.Options{Seed: seed}))
		o.Up, o.Down = Link{Delay: oneWay}, Link{Delay: oneWay}
		p, err := NewPair(o)
		require.NoError(t, err)
		deaf := true
		p.Server.link.Drop = func(int) bool { return deaf && p.Server.validated }
		c, err := p.Dial()
		require.NoError(t, err)
		require.NoError(t, p.Run(time.Minute, func() bool {
			return !c.Connected.IsZero() && p.ServerConn() != nil && !p.ServerConn().Connected.IsZero()
		}))
		require.NoError(t, p.RunFor(time.Duration(seed+1)*300*time.Millisecond))
		deaf = false

		// The first Handshake packet that the server hears, and the last that the client sends.
		var first, last monotime.Time
		p.Client.Tap = func(now monotime.Time, b []byte) {
			if h, n := wire.ParseLongHeader(b); n > 0 && h.Type == wire.PacketHandshake {
				if last = now; first.IsZero() {
					first = now
				}
			}
		}
		require.NoError(t, p.RunFor(20*time.Second))
		if first.IsZero() {
			continue // the server's own probe came first
		}
		asked++
		require.LessOrEqual(t, last.Sub(first), 2*oneWay, "the client had to ask again")
	}
	require.True(t, asked > 3 || replaying(), "%d clients had to ask", asked)
}
