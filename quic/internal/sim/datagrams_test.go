package sim

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

// exchange records the datagrams of a connection with one byte and FIN in each direction.
type exchange struct {
	datagrams int
	lines     []string // one for each datagram
}

// note records the datagrams of a node.
func (x *exchange) note(n *Node) {
	n.Tap = func(now monotime.Time, b []byte) {
		x.datagrams++
		line := fmt.Sprintf("%v %s:", now.Sub(monotime.Time(time.Second)), n.Name)
		for len(b) > 0 {
			h, k := wire.ParseLongHeader(b)
			if k < 0 {
				line += fmt.Sprintf(" 1-RTT (%d)", len(b))
				break
			}
			line += fmt.Sprintf(" %v (%d)", h.Type, h.Len)
			b = b[h.Len:]
		}
		x.lines = append(x.lines, line)
	}
}

// TestDatagramsOfAConnection counts the datagrams of a handshake, one byte and FIN in each direction, and
// the close, for various durations of TLS jobs and for datagrams that arrive together or apart.
func TestDatagramsOfAConnection(t *testing.T) {
	providers := realProviders(t)
	providers["fake"] = fake.New(fake.Options{})
	for name, p := range providers {
		for _, groups := range [][]tlsprovider.Group{postQuantum, classical} {
			for _, job := range []time.Duration{0, 500 * time.Microsecond, 4 * time.Millisecond} {
				for _, rate := range []int64{0, 10 << 20} {
					what := fmt.Sprintf("%s, %v, TLS jobs of %v, %d bytes/s", name, groups[0], job, rate)
					for seed := range seeds(t, 5) {
						o := options(seed, p, groups...)
						o.Up, o.Down = Link{Delay: oneWay, Rate: rate}, Link{Delay: oneWay, Rate: rate}
						o.TLSDelay = job
						o.Client.Send = []Transfer{{Size: 1}}
						o.Server = func() *App { return &App{Echo: true} }
						pair, err := NewPair(o)
						require.NoError(t, err)
						var x exchange
						x.note(pair.Client)
						x.note(pair.Server)
						c, err := pair.RunTransfers(time.Minute)
						require.NoError(t, err)
						c.Close(pair.Now(), true, 0, "")
						c.drive()
						require.NoError(t, pair.RunFor(time.Second))
						require.LessOrEqual(t, x.datagrams, 8, "%s: %q", what, x.lines)
					}
				}
			}
		}
	}
}
