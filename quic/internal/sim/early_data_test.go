package sim

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
)

// An earlyWorld is a pair whose client has a session that permits early data.
type earlyWorld struct {
	*Pair
	t       *testing.T
	accept  bool
	started monotime.Time
	server  *Conn // of the last connection
}

// newEarlyWorld connects once, over a path without loss. edit changes the server's configuration afterwards.
func newEarlyWorld(t *testing.T, seed uint64, edit func(*core.Config)) *earlyWorld {
	t.Helper()
	w := &earlyWorld{t: t, accept: true}
	o := options(seed, native.New())
	o.ClientTLS.EarlyData, o.ServerTLS.EarlyData = true, true
	o.Up.Delay, o.Down.Delay = oneWay, oneWay
	o.Config = func(c *core.Config) {
		if c.Side == tlsprovider.Server {
			c.AcceptEarlyData = func(_ *tlsprovider.EarlyDataOffer, own bool) bool {
				require.True(t, own)
				return w.accept
			}
		}
	}
	o.Endpoint = func(c *core.EndpointConfig) { c.EarlyData = true }
	o.Client.Send = []Transfer{{Size: 10}}
	o.Server = func() *App { return &App{Echo: true} }
	p, err := NewPair(o)
	require.NoError(t, err)
	w.Pair = p
	first, err := p.RunTransfers(time.Minute)
	require.NoError(t, err)
	require.Equal(t, tlsprovider.EarlyDataNone, first.State().EarlyData)
	require.NoError(t, p.RunFor(time.Second)) // the ticket arrives
	first.Close(p.Now(), true, 0, "")
	first.drive()
	require.NoError(t, p.RunFor(10*time.Second))
	require.Empty(t, p.Server.Conns)
	if edit != nil {
		changed := *p.Server.accept
		edit(&changed)
		p.Server.accept = &changed
	}
	return w
}

// connect connects again and waits until both applications have received everything.
func (w *earlyWorld) connect(app *App) *Conn {
	w.t.Helper()
	w.started = w.Now()
	c, err := w.Client.dial(w.ClientConfig, app)
	require.NoError(w.t, err)
	w.server = nil
	require.NoError(w.t, w.Run(120*time.Second, func() bool {
		if c.Err() != nil {
			w.Fail("client: %w", c.Err())
		}
		if s := w.ServerConn(); s != nil {
			w.server = s
		}
		return w.server != nil && !w.server.Connected.IsZero() && !c.Connected.IsZero() && w.arrived(c, w.server)
	}))
	return c
}

// Early data arrive with the ClientHello, and the answer with the server's first flight.
func TestEarlyDataSavesARoundTrip(t *testing.T) {
	w := newEarlyWorld(t, 1, nil)
	answered := monotime.Time(0)
	w.Server.Tap = func(now monotime.Time, _ []byte) {
		if answered.IsZero() && w.ServerConn().App.Received > 0 {
			answered = now
		}
	}
	c := w.connect(&App{Send: []Transfer{{Size: 100}, {Uni: true, Size: 100}}})
	require.Equal(t, tlsprovider.EarlyDataAccepted, c.State().EarlyData)
	require.Equal(t, tlsprovider.EarlyDataAccepted, w.server.State().EarlyData)
	require.Equal(t, w.started, c.Early)
	require.Equal(t, oneWay, w.server.Early.Sub(w.started))
	require.Equal(t, oneWay, answered.Sub(w.started), "in the same flight as the ServerHello")
	require.Equal(t, 3*oneWay, w.server.Connected.Sub(w.started))
	require.True(t, w.server.HasEarlyData(0) && w.server.HasEarlyData(2))
	require.False(t, w.server.HasEarlyData(4))
	// "A server MUST NOT process incoming 1-RTT protected packets before the TLS handshake is complete."
	// https://www.rfc-editor.org/rfc/rfc9001#section-5.7-4
	require.Zero(t, c.Stats().PacketsLost)
}

// Whatever is lost of the first ten datagrams, and whether the server accepts early data or rejects them, with limits that
// are lower than before, or after a Retry: everything that was written arrives, once.
func TestEarlyDataUnderLoss(t *testing.T) {
	for variant := range 6 {
		accept, lower, retry := variant&1 == 0, variant>>1 == 1, variant>>1 == 2
		t.Run(fmt.Sprintf("accepted %t, lower limits %t, Retry %t", accept, lower, retry), func(t *testing.T) {
			for pattern := range seeds(t, patterns) {
				if testing.Short() && pattern%61 != 0 || pattern%5 != 0 {
					continue
				}
				w := newEarlyWorld(t, pattern, func(c *core.Config) {
					if lower {
						c.Streams.MaxBidi, c.Streams.MaxUni, c.Streams.RecvWindow, c.Streams.ConnWindow = 1, 1, 1000, 1500
					}
				})
				w.accept = accept
				if retry {
					w.Server.validation = core.ValidateAlways
				}
				n := 0
				drop := func(int) bool { n++; return n <= 10 && pattern>>(n-1)&1 == 1 }
				w.Client.link.Drop, w.Server.link.Drop = drop, drop
				c := w.connect(&App{Send: []Transfer{{Size: 3000}, {Uni: true, Size: 5000}, {Size: 2000}, {Size: 1}, {Uni: true}}})
				want := tlsprovider.EarlyDataRejected
				if accept && !lower {
					want = tlsprovider.EarlyDataAccepted
				}
				require.Equal(t, want, c.State().EarlyData, "pattern %010b", pattern)
				require.Equal(t, retry, c.Retried())
				require.Equal(t, 5, w.server.App.Finished)
			}
		})
	}
}

// A HelloRetryRequest rejects early data before the client knows the server's new limits.
//
// "A server will always reject 0-RTT if it sends a TLS HelloRetryRequest."
// https://www.rfc-editor.org/rfc/rfc9001#section-4.6.2-2
func TestEarlyDataAndHelloRetryRequest(t *testing.T) {
	for pattern := range seeds(t, patterns) {
		if pattern%21 != 0 {
			continue
		}
		w := newEarlyWorld(t, pattern, func(c *core.Config) {
			_, server := tlsConfigs(tlsprovider.P384)
			server.EarlyData = true
			e, err := native.New().NewServer(server)
			require.NoError(t, err)
			c.TLS = e
			c.Streams.MaxBidi = 1
		})
		n := 0
		drop := func(int) bool { n++; return n <= 10 && pattern>>(n-1)&1 == 1 }
		w.Client.link.Drop, w.Server.link.Drop = drop, drop
		c := w.connect(&App{Send: []Transfer{{Size: 3000}, {Uni: true, Size: 1000}, {Size: 10}}})
		require.True(t, c.State().HelloRetried)
		require.Equal(t, tlsprovider.EarlyDataRejected, c.State().EarlyData)
		require.Equal(t, 3, w.server.App.Finished)
	}
}

// Early data that reach the server before a part of the ClientHello are kept, within limits.
func TestEarlyDataOvertakeTheClientHello(t *testing.T) {
	w := newEarlyWorld(t, 3, nil)
	n := 0
	w.Client.link.Drop = func(int) bool { n++; return n == 2 } // the second half of the ClientHello
	c := w.connect(&App{Send: []Transfer{{Size: 6000}}})
	require.Equal(t, tlsprovider.EarlyDataAccepted, c.State().EarlyData)
	require.True(t, w.server.HasEarlyData(0))
	require.Less(t, c.Stats().PacketsLost, uint64(3), "the 0-RTT packets were kept")
}
