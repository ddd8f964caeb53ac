package sim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// A NAT that gives a client another address during the handshake does not end it. If the client has received the server's
// part of the handshake by then, its own part counts wherever it comes from, and the connection moves when the handshake is
// confirmed. If not, the ClientHello is repeated from the new address, and begins a new connection of the server.
//
// "The design of QUIC relies on endpoints retaining a stable address for the duration of the handshake."
// https://www.rfc-editor.org/rfc/rfc9000#section-9-2
func TestRebindingDuringHandshake(t *testing.T) {
	const tlsStep = 10 * time.Millisecond // of the client
	for name, p := range allProviders(t, 1) {
		for _, app := range []struct {
			name           string
			client, server []Transfer
		}{
			{"the client speaks first", []Transfer{{Size: 20_000}}, nil},
			{"the server speaks first", nil, []Transfer{{Uni: true, Size: 200_000}}},
		} {
			t.Run(name+", "+app.name, func(t *testing.T) {
				// The ClientHello takes a step, and the server's flight arrives after a round trip.
				const flight = tlsStep + 2*oneWay
				late := 0
				for at := time.Duration(0); at < 200*time.Millisecond; at += time.Millisecond {
					o := options(uint64(at), p)
					o.Up.Delay, o.Down.Delay = oneWay, oneWay
					o.Client.Send = app.client
					o.Server = func() *App { return &App{Send: app.server, Echo: true} }
					pair, err := NewPair(o)
					require.NoError(t, err)
					pair.Client.TLSDelay = func() time.Duration { return tlsStep }
					begun := pair.Now()
					pair.Client.RebindEvery(begun.Add(at), monotime.Time(time.Hour), at/time.Millisecond%2 == 0)
					c, err := pair.RunTransfers(time.Minute)
					require.NoError(t, err, "after %v", at)
					switch connected := c.Connected.Sub(begun); {
					case at <= tlsStep || at >= connected:
					case connected > time.Second:
						require.LessOrEqual(t, at, flight, "the first probe timeout is that of the ClientHello")
					default:
						require.NotZero(t, pair.ServerConn().Stats().PathChanges)
						late++
					}
				}
				require.Greater(t, late, 5, "the address changed between the server's flight and the client's")
			})
		}
	}
}
