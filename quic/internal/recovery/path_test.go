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

const (
	pathOneWay    = 15 * ms
	pathPacket    = 1200
	pathPerPacket = time.Duration(pathPacket * 8 * 100) // 10 Mbit/s: 100 ns a bit
	pathQueue     = 37_500 / pathPacket * pathPerPacket
)

// A pathArrival is a data packet or an ACK frame on its way.
type pathArrival struct {
	at    monotime.Time
	pn    wire.PacketNumber // number of a data packet
	frame []byte            // an acknowledgement
}

// A pathTransfer is a transfer of data over a path.
type pathTransfer struct {
	cfg     pathConfig
	l       Loss
	a       AckState
	rnd     *rand.Rand
	now     monotime.Time
	free    monotime.Time // when the bottleneck is free
	flying  []pathArrival
	pending int                        // number of packets whose data must be sent, for the first time or again
	missing int                        // number of packets whose data is not acknowledged
	lost    map[wire.PacketNumber]bool // packets that were declared lost
}

// transfer sends the data of n packets over a path, and again if it is lost, until all of it has arrived.
// It returns how long that takes.
func transfer(t *testing.T, newController func() Controller, cfg pathConfig, n int) (time.Duration, Counters) {
	x := &pathTransfer{
		cfg: cfg, rnd: rand.New(rand.NewPCG(7, 7)), now: testStart, free: testStart,
		pending: n, missing: n, lost: map[wire.PacketNumber]bool{},
	}
	x.l.Init(x.now, Config{MaxDatagramSize: pathPacket, NewController: newController})
	x.l.ConfirmHandshake(x.now)
	x.a.Init(SpaceApp)
	for steps := 0; x.missing > 0; steps++ {
		require.Less(t, steps, 1_000_000)
		for x.pending > 0 && x.l.SendLimit(x.now) == SendAll || x.l.ProbesPending() > 0 {
			x.send()
		}
		next := x.next()
		require.NotZero(t, next, "no timer is armed and no packet is on its way")
		x.now = max(x.now, next)
		x.deliver(t)
		if t := x.l.NextTimeout(); !t.IsZero() && t <= x.now {
			x.l.HandleTimeout(x.now, x.fate)
		}
		require.NoError(t, x.l.CheckInvariants())
	}
	return x.now.Sub(testStart), x.l.Counters()
}

func (x *pathTransfer) fate(_ Space, p *SentPacket, fate Fate) {
	switch {
	case fate == Lost:
		x.lost[p.Num] = true
		x.pending++
	case x.lost[p.Num]:
		// The packet was only late. Its data is not sent again if that has not happened yet.
		delete(x.lost, p.Num)
		if x.pending > 0 {
			x.pending--
			x.missing--
		}
	default:
		x.missing--
	}
}

// send sends a packet, which the path may lose.
func (x *pathTransfer) send() {
	p := x.l.NewSent()
	p.Num, p.Time, p.Size = x.l.NextNumber(SpaceApp), x.now, pathPacket
	p.AckEliciting, p.InFlight = true, true
	if x.pending == 0 { // a probe repeats something
		x.missing++
	} else {
		x.pending--
	}
	x.free = max(x.free, x.now)
	if x.free.Sub(x.now) <= pathQueue && x.rnd.Float64() >= x.cfg.loss {
		x.free = x.free.Add(pathPerPacket)
		at := x.free.Add(pathOneWay)
		if x.rnd.Float64() < x.cfg.reorder {
			at = at.Add(x.cfg.late)
		}
		x.flying = append(x.flying, pathArrival{at: at, pn: p.Num})
	}
	x.l.PacketSent(x.now, SpaceApp, p)
	x.l.ProbeSent()
}

// next returns the time of the next event.
func (x *pathTransfer) next() monotime.Time {
	next := monotime.Min(x.l.NextTimeout(), x.a.AckDeadline())
	if x.pending > 0 {
		next = monotime.Min(next, x.l.PacedUntil(x.now))
	}
	for _, f := range x.flying {
		next = monotime.Min(next, f.at)
	}
	return next
}

// deliver delivers everything that is due and sends an ACK frame if one is due.
func (x *pathTransfer) deliver(t *testing.T) {
	x.flying = slices.DeleteFunc(x.flying, func(f pathArrival) bool {
		if f.at > x.now {
			return false
		}
		if f.frame == nil {
			x.a.Receive(x.now, f.pn, true, datagram.NotECT)
			return true
		}
		ack, _ := wire.ConsumeAck(f.frame)
		require.NoError(t, x.l.HandleAck(x.now, SpaceApp, &ack, x.fate))
		x.a.HandleAckOfAck(ack.Largest - 50)
		return true
	})
	if x.a.ShouldSendAck(x.now) {
		x.flying = append(x.flying, pathArrival{at: x.now.Add(pathOneWay), frame: x.a.AppendAck(nil, x.now, 1200)})
		x.a.SentAck()
	}
}

// TestTransfer bounds the time for transferring 2 MB, of which the link alone needs 1.6 s. Without adaptive
// thresholds and undone reductions, the paths that reorder take 17, 18 and 4 seconds. On paths with real
// losses, the reductions of the window take the time.
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
		for name, newController := range controllers {
			t.Run(name+" "+test.name, func(t *testing.T) {
				took, counters := transfer(t, newController, test.cfg, packets)
				t.Log(took)
				require.LessOrEqual(t, took, test.most, "%+v", counters)
				require.Greater(t, took, 1600*ms, "the link's own time")
				if test.cfg.reorder > 0 {
					require.Positive(t, counters.SpuriousLosses)
				}
			})
		}
	}
}
