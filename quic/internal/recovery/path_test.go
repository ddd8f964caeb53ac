package recovery

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/pqquic/pqquic/quic/internal/datagram"
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/stretchr/testify/require"
)

// pathConfig is a path of 10 Mbit/s with a delay of 15 ms each way and a queue of 37,500 bytes at its
// bottleneck.
type pathConfig struct {
	loss    float64       // of data packets
	reorder float64       // share of data packets that are late
	late    time.Duration // delay of these packets
}

// transfer sends the data of n packets over a path, and again if it is lost, until all of it has arrived.
// It returns how long that takes.
func transfer(t *testing.T, cfg pathConfig, n int) (time.Duration, Counters) {
	const (
		oneWay = 15 * ms
		size   = 1200
		perPkt = time.Duration(size * 8 * 100) // 10 Mbit/s: 100 ns a bit
		queue  = 37_500 / size * perPkt
	)
	type arrival struct {
		at    monotime.Time
		pn    wire.PacketNumber // number of a data packet
		frame []byte            // an acknowledgement
	}
	var (
		l       Loss
		a       AckState
		rnd     = rand.New(rand.NewPCG(7, 7))
		now     = testStart
		free    = now // when the bottleneck is free
		flying  []arrival
		pending = n // number of packets whose data must be sent, for the first time or again
		missing = n // number of packets whose data is not acknowledged
	)
	l.Init(now, Config{MaxDatagramSize: size})
	l.ConfirmHandshake(now)
	a.Init(SpaceApp)
	lostData := map[wire.PacketNumber]bool{}
	fate := func(_ Space, p *SentPacket, fate Fate) {
		switch {
		case fate == Lost:
			lostData[p.Num] = true
			pending++
		case lostData[p.Num]:
			// The packet was only late. Its data is not sent again if that has not happened yet.
			delete(lostData, p.Num)
			if pending > 0 {
				pending--
				missing--
			}
		default:
			missing--
		}
	}
	for steps := 0; missing > 0; steps++ {
		require.Less(t, steps, 1_000_000)
		for pending > 0 && l.SendLimit(now) == SendAll || l.ProbesPending() > 0 {
			p := l.NewSent()
			p.Num, p.Time, p.Size = l.NextNumber(SpaceApp), now, size
			p.AckEliciting, p.InFlight = true, true
			if pending == 0 { // a probe repeats something
				missing++
			} else {
				pending--
			}
			free = max(free, now)
			if free.Sub(now) <= queue && rnd.Float64() >= cfg.loss {
				free = free.Add(perPkt)
				at := free.Add(oneWay)
				if rnd.Float64() < cfg.reorder {
					at = at.Add(cfg.late)
				}
				flying = append(flying, arrival{at: at, pn: p.Num})
			}
			l.PacketSent(now, SpaceApp, p)
			l.ProbeSent()
		}
		next := monotime.Min(l.NextTimeout(), a.AckDeadline())
		if pending > 0 {
			next = monotime.Min(next, l.PacedUntil(now))
		}
		for _, f := range flying {
			next = monotime.Min(next, f.at)
		}
		require.NotZero(t, next, "a timer is armed or a packet is on its way")
		now = max(now, next)
		flying = slices.DeleteFunc(flying, func(f arrival) bool {
			if f.at > now {
				return false
			}
			if f.frame == nil {
				a.Receive(now, f.pn, true, datagram.NotECT)
				return true
			}
			ack, _ := wire.ConsumeAck(f.frame)
			require.NoError(t, l.HandleAck(now, SpaceApp, &ack, fate))
			a.HandleAckOfAck(ack.Largest - 50)
			return true
		})
		if a.ShouldSendAck(now) {
			flying = append(flying, arrival{at: now.Add(oneWay), frame: a.AppendAck(nil, now, 1200)})
			a.SentAck()
		}
		if t := l.NextTimeout(); !t.IsZero() && t <= now {
			l.HandleTimeout(now, fate)
		}
		require.NoError(t, l.CheckInvariants())
	}
	return now.Sub(testStart), l.Counters()
}

// TestTransfer bounds the time for transferring 2 MB, of which the link alone needs 1.6 s. Without adaptive
// thresholds and undone reductions, the paths that reorder take 17, 18 and 4 seconds. On paths with real
// losses, NewReno's reductions take the time.
func TestTransfer(t *testing.T) {
	const packets = 2_000_000 / 1200
	for _, test := range []struct {
		name string
		cfg  pathConfig
		most time.Duration
	}{
		{"clean", pathConfig{}, 1900 * ms},
		{"one packet in ten late by half a round trip", pathConfig{reorder: 0.1, late: 15 * ms}, 2200 * ms},
		{"one packet in ten late by a round trip", pathConfig{reorder: 0.1, late: 30 * ms}, 2500 * ms},
		{"one packet in a hundred late by two", pathConfig{reorder: 0.01, late: 60 * ms}, 2500 * ms},
		{"one packet in fifty lost", pathConfig{loss: 0.02}, 10 * time.Second},
		{"three packets in ten lost", pathConfig{loss: 0.3}, 60 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			took, counters := transfer(t, test.cfg, packets)
			require.LessOrEqual(t, took, test.most, "%+v", counters)
			require.Greater(t, took, 1600*ms, "the link's own time")
			if test.cfg.reorder > 0 {
				require.Positive(t, counters.SpuriousLosses)
			}
		})
	}
}
