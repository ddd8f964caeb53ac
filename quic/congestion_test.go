//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"log/slog"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/congestion"
)

// Each algorithm transfers data, and is named in the statistics.
func TestCongestionControl(t *testing.T) {
	for _, c := range []struct {
		algorithm congestion.Algorithm
		states    []string
	}{
		{congestion.Algorithm{}, []string{"slow_start", "congestion_avoidance"}},
		{congestion.NewReno(), []string{"slow_start", "congestion_avoidance"}},
		{congestion.BBR(), []string{"startup", "drain", "probe_bw_down", "probe_bw_cruise", "probe_bw_refill", "probe_bw_up"}},
		{congestion.Custom("mine", func() congestion.Controller { return new(panicky) }), []string{"mine"}},
	} {
		t.Run(c.algorithm.String(), func(t *testing.T) {
			server, client := serverConfig(), clientConfig()
			server.CongestionControl, client.CongestionControl = c.algorithm, c.algorithm
			inBubble(t, server, client, func(t *testing.T, w *world) {
				client, server := w.connect()
				cs, ss := w.stream(client, server)
				requireTransfer(t, ss, cs, 1<<20)
				require.Contains(t, c.states, server.Stats().CongestionState)
				requireTransfer(t, cs, ss, 1<<20)
				require.Contains(t, c.states, client.Stats().CongestionState)
			})
		})
	}
}

// panicky is a controller that panics after some events, if after is set.
type panicky struct{ after, events int }

func (p *panicky) event() {
	if p.events++; p.events == p.after {
		panic("tripwire")
	}
}

func (p *panicky) PacketSent(*congestion.Path, int)        { p.event() }
func (p *panicky) Acked(*congestion.Path, *congestion.Ack) { p.event() }
func (p *panicky) Lost(*congestion.Path, *congestion.Loss) { p.event() }
func (p *panicky) Decide(*congestion.Path) congestion.Decision {
	return congestion.Decision{Window: 1 << 20}
}

// A controller that panics is logged and replaced, and the connection goes on.
func TestCongestionControllerPanics(t *testing.T) {
	for _, after := range []int{1, 10, 100} {
		book := new(logBook)
		server := serverConfig()
		server.Logger = slog.New(book)
		server.CongestionControl = congestion.Custom("mine", func() congestion.Controller { return &panicky{after: after} })
		inBubble(t, server, nil, func(t *testing.T, w *world) {
			client, server := w.connect()
			cs, ss := w.stream(client, server)
			requireTransfer(t, ss, cs, 1<<20)
			require.Contains(t, []string{"slow_start", "congestion_avoidance"}, server.Stats().CongestionState)
			synctest.Wait()
			require.EqualValues(t, 1, w.server.Stats().Panics)
			require.Len(t, book.at(slog.LevelError), 1)
			require.Contains(t, book.at(slog.LevelError)[0], "panic in a congestion controller")
		})
	}
}
