package sim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

// Everything that the server sends after its first flight is lost for a while. A client that has not
// received HANDSHAKE_DONE probes with Handshake packets, whose keys the server has discarded. The server
// still answers at once, so that neither side waits for a timeout that has backed off.
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

		// first is when the server receives its first Handshake packet, and last when the client sends its
		// last one.
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
			continue // the server's own probe arrived first
		}
		asked++
		require.LessOrEqual(t, last.Sub(first), 2*oneWay, "the client had to probe again")
	}
	require.True(t, asked > 3 || replaying(), "%d clients had to probe", asked)
}

// TestIgnoreTickets checks that IgnoreTickets is called once on each TLS session: on a server when the
// handshake is complete, on a client some seconds later, because it waits for tickets.
func TestIgnoreTickets(t *testing.T) {
	for seed := range seeds(t, 10) {
		for _, tickets := range []int{-1, 1, 3} {
			prov := fake.New(fake.Options{Seed: seed, Tickets: tickets})
			o := options(seed, prov)
			o.Up, o.Down = Link{Delay: oneWay}, Link{Delay: oneWay}
			o.TLSDelay = 5 * time.Millisecond
			o.Config = func(c *core.Config) { c.KeepAlive = 10 * time.Second }
			p, err := NewPair(o)
			require.NoError(t, err)
			c, err := p.Dial()
			require.NoError(t, err)
			require.NoError(t, p.Run(time.Minute, func() bool { return !c.Connected.IsZero() }))
			require.NoError(t, p.RunFor(4*time.Second))
			require.Equal(t, 1, prov.TicketsIgnored(), "the server's")
			require.NoError(t, p.RunFor(2*time.Second))
			require.Equal(t, 2, prov.TicketsIgnored(), "the client's, too")
			require.NoError(t, p.RunFor(time.Minute))
			require.Equal(t, 2, prov.TicketsIgnored(), "once for each")
			require.Nil(t, c.Err())
			_, err = c.Export("label", nil, 32)
			require.NoError(t, err)
		}
	}
}

// The server has acknowledged the first half of a ClientHello, which the client will not send again, and
// receives nothing more for a while. It waits. Finally it gives up and sends CONNECTION_CLOSE.
func TestHalfHello(t *testing.T) {
	for seed := range seeds(t, 20) {
		for _, silence := range []time.Duration{10 * time.Second, 15 * time.Second, 20 * time.Second} {
			o := options(seed, fake.New(fake.Options{Seed: seed}))
			o.Up, o.Down = Link{Delay: oneWay}, Link{Delay: oneWay}
			p, err := NewPair(o)
			require.NoError(t, err)
			deaf := true
			p.Client.link.Drop = func(n int) bool { return deaf && n > 0 }
			// After 15 seconds the first CONNECTION_CLOSE has arrived. After 20 seconds it was lost, and
			// the client probes.
			p.Server.link.Drop = func(n int) bool { return deaf && n > 0 && silence > 15*time.Second }
			c, err := p.Dial()
			require.NoError(t, err)
			require.NoError(t, p.RunFor(silence))
			require.Equal(t, silence == 15*time.Second, c.Err() != nil)
			require.Positive(t, c.Stats().DatagramsReceived, "the acknowledgement")
			deaf = false
			require.NoError(t, p.RunFor(3*time.Second))
			if silence < 12*time.Second {
				require.False(t, c.Connected.IsZero())
				require.Nil(t, c.Err())
			} else {
				require.NotNil(t, c.Err(), "the client was notified")
				require.True(t, c.Err().Remote)
				require.EqualValues(t, wire.ConnectionRefused, c.Err().Code)
			}
		}
	}
}
