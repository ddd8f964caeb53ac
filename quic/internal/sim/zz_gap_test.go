package sim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/tlsprovider/tlstest/fake"
)

func TestZZOvershoot(t *testing.T) {
	for _, q := range []int{50_000, 200_000, 1 << 20, 4 << 20} {
		for _, rate := range []int64{100e6 / 8, 500e6 / 8, 1e9 / 8} {
			o := options(1, fake.New(fake.Options{}))
			o.Up = Link{Delay: 50 * time.Millisecond}
			o.Down = Link{Delay: 50 * time.Millisecond, Rate: rate, Queue: q}
			o.Config = func(c *core.Config) { c.Streams.SendBuffer = 64 << 20 }
			o.Server = func() *App { return &App{Send: []Transfer{{Uni: true, Size: 60 << 20}}} }
			p, err := NewPair(o)
			require.NoError(t, err)
			c, err := p.Dial()
			require.NoError(t, err)
			err = p.Run(5*time.Minute, func() bool { return c.App.Finished > 0 || c.Err() != nil })
			t.Log(q, rate, err, c.Err(), c.App.Received, p.Now())
			if s := p.ServerConn(); s != nil {
				t.Logf("%+v", s.Stats())
			}
		}
	}
}
