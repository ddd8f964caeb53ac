package sim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

// dialMany has n clients dial at the same time and runs until each has connected or closed, for at most
// limit. It returns the connections.
func dialMany(t *testing.T, p *Pair, n int, limit time.Duration) (conns []*Conn) {
	t.Helper()
	began := p.Now()
	for i := range n {
		p.At(began.Add(time.Duration(i)*100*time.Microsecond), func() {
			c, err := p.Client.dial(p.ClientConfig, &App{Send: []Transfer{{Size: 10}}})
			if err != nil {
				p.Fail("dial: %w", err)
			}
			conns = append(conns, c)
		})
	}
	require.NoError(t, p.Run(limit, func() bool {
		if len(conns) < n {
			return false
		}
		for _, c := range conns {
			if c.Connected.IsZero() && c.Err() == nil {
				return false
			}
		}
		return true
	}))
	return conns
}

// outcome returns the number of clients that connected. It requires that the server refused the others.
func outcome(t *testing.T, conns []*Conn) (connected int) {
	t.Helper()
	for _, c := range conns {
		if !c.Connected.IsZero() {
			connected++
			continue
		}
		require.True(t, c.Err().Remote, "%v", c.Err())
		require.EqualValues(t, wire.ConnectionRefused, c.Err().Code)
	}
	return connected
}

// A hundred clients connect while TLS jobs are queued on the server. Clients do not send the acknowledged
// parts of their ClientHellos again, so the server must keep them. Every client succeeds, or gets an error
// long before its handshake times out, whatever is lost.
func TestFullTLSPool(t *testing.T) {
	for _, tt := range []struct {
		name string
		loss float64
		job  time.Duration // how long a TLS job takes at most
		all  bool          // every client must succeed
	}{
		{"a burst", 0, 5 * time.Millisecond, true},
		{"a burst, with loss", 0.2, 5 * time.Millisecond, true},
		{"too much work", 0, 200 * time.Millisecond, false},
		{"too much work, with loss", 0.2, 200 * time.Millisecond, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for seed := range seeds(t, 10) {
				prov := fake.New(fake.Options{Seed: seed})
				o := options(seed, prov, postQuantum...)
				o.Up, o.Down = Link{Delay: oneWay, Loss: tt.loss}, Link{Delay: oneWay, Loss: tt.loss}
				p, err := NewPair(o)
				require.NoError(t, err)
				p.Server.TLSQueue = 5
				p.Server.TLSDelay = func() time.Duration { return time.Duration(p.Rand.Int64N(int64(tt.job) + 1)) }
				conns := dialMany(t, p, 100, 15*time.Second)
				connected := outcome(t, conns)
				require.Positive(t, connected)
				if tt.all {
					require.Equal(t, len(conns), connected, "refused: %d", p.Server.Refused)
				} else {
					require.Less(t, connected, len(conns))
				}
				for _, c := range conns {
					c.Close(p.Now(), true, 0, "")
					c.drive()
				}
				require.NoError(t, p.RunFor(5*time.Minute))
				require.Empty(t, p.Server.Conns)
				handles, _ := prov.Live()
				require.Zero(t, handles)
			}
		})
	}
}

// The CONNECTION_CLOSE that refuses a client is lost, in addition to random losses. When the client repeats
// its ClientHello, the stored refusal answers it without another decision.
func TestRefusalIsRepeated(t *testing.T) {
	for seed := range seeds(t, 100) {
		for _, groups := range [][]tlsprovider.Group{postQuantum, classical} {
			prov := fake.New(fake.Options{Seed: seed})
			o := options(seed, prov, groups...)
			o.Up, o.Down = Link{Delay: oneWay, Loss: 0.2}, Link{Delay: oneWay, Loss: 0.2}
			p, err := NewPair(o)
			require.NoError(t, err)
			p.Server.Refuse = func() bool { return true }
			refused := false
			p.Server.link.Drop = func(int) bool {
				first := p.Server.Refused > 0 && !refused
				refused = refused || first
				return first
			}
			conns := dialMany(t, p, 1, 10*time.Second)
			require.Zero(t, outcome(t, conns))
			require.True(t, refused, "the first refusal was lost")
			require.Equal(t, 1, p.Server.Refused)
			require.NoError(t, p.RunFor(time.Minute))
			handles, _ := prov.Live()
			require.Zero(t, handles)
		}
	}
}

// The server closes a connection of which the client has received nothing. When the client repeats its
// ClientHello, no second handshake begins.
func TestRepeatedHelloMeetsRemnant(t *testing.T) {
	for seed := range seeds(t, 20) {
		prov := fake.New(fake.Options{Seed: seed})
		o := options(seed, prov, postQuantum...)
		o.Up, o.Down = Link{Delay: oneWay}, Link{Delay: oneWay}
		p, err := NewPair(o)
		require.NoError(t, err)
		silent := true
		p.Server.link.Drop = func(int) bool { return silent }
		c, err := p.Dial()
		require.NoError(t, err)
		require.NoError(t, p.Run(time.Second, func() bool { return p.ServerConn() != nil }))
		s := p.ServerConn()
		s.Close(p.Now(), false, uint64(wire.InternalError), "")
		s.drive()
		silent = false
		require.NoError(t, p.Run(5*time.Second, func() bool {
			again := p.ServerConn()
			return c.Err() != nil || again != nil && again != s
		}))
		require.NotNil(t, c.Err(), "another handshake began")
		require.True(t, c.Err().Remote)
		require.EqualValues(t, wire.InternalError, c.Err().Code)
	}
}

// Copies of the ClientHello that arrive some time after the handshake do not begin another one. The
// connection ID that the client chose is forgotten.
func TestLateHelloAfterHandshake(t *testing.T) {
	o := options(1, fake.New(fake.Options{}), postQuantum...)
	o.Up, o.Down = Link{Delay: oneWay}, Link{Delay: oneWay}
	p, err := NewPair(o)
	require.NoError(t, err)
	var hello [][]byte
	p.Client.Tap = func(_ monotime.Time, b []byte) {
		if h, n := wire.ParseLongHeader(b); n > 0 && h.Type == wire.PacketInitial && len(hello) < 2 {
			hello = append(hello, append([]byte(nil), b...))
		}
	}
	c, err := p.Dial()
	require.NoError(t, err)
	require.NoError(t, p.Run(time.Second, func() bool { return !c.Connected.IsZero() }))
	require.NoError(t, p.RunFor(2*time.Second))
	for _, b := range hello {
		p.Server.receive(append([]byte(nil), b...), p.Client.Addr)
	}
	require.NoError(t, p.RunFor(time.Second))
	require.Len(t, p.Server.Conns, 1)
	require.EqualValues(t, 1, dropCount(p, core.DropIncompleteHello), "only the handshake's own")
	require.Nil(t, c.Err())
}
