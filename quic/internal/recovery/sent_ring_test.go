package recovery

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/stretchr/testify/require"
)

func TestSentRing(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	var r sentRing
	var model []wire.PacketNumber
	next := wire.PacketNumber(0)
	for range 5000 {
		switch n := rnd.IntN(10); {
		case n < 6:
			if rnd.IntN(5) == 0 {
				next += wire.PacketNumber(rnd.IntN(4)) // a hole
			}
			r.push(&SentPacket{Num: next})
			model = append(model, next)
			next++
		case len(model) > 0:
			r.pop()
			model = model[1:]
		}
		require.Equal(t, len(model), r.len())
		for i, pn := range model {
			require.Equal(t, pn, r.at(r.head+i).num)
		}
		pn := wire.PacketNumber(rnd.IntN(int(next) + 2))
		want := 0
		for want < len(model) && model[want] < pn {
			want++
		}
		require.Equal(t, r.head+want, r.search(pn), "first entry from %d on", pn)
	}
}

// While the oldest packet is outstanding, each ACK frame repeats the ranges of the previous ones. They are
// skipped, because processing them again would make the work per round trip quadratic.
func TestRepeatedRangesAreSkipped(t *testing.T) {
	lt := newSampledTest(t, 40*ms)
	lt.l.setWindow(lt.now, maxWindow, math.MaxInt)
	lt.l.active.reo.packets = maxPacketThreshold
	lt.send(SpaceApp, 1002) // 1 to 1002
	for pn := wire.PacketNumber(3); pn <= 1001; pn += 2 {
		lt.ack(SpaceApp, 0, 2, -pn)
		sp := lt.l.spaces[SpaceApp]
		first := sp.sent.search(2)
		require.Equal(t, first+int(pn)-1, first+sp.sent.at(first).run, "the next frame begins behind packet %d", pn)
	}
	require.Equal(t, 2*1200, lt.l.Path().BytesInFlight())
	lt.ack(SpaceApp, 0, 0, -1002)
	require.Zero(t, lt.l.spaces[SpaceApp].sent.len())
}

// steps returns the number of entries that ackRange looks at in a range of packets that are all acknowledged.
func (r *sentRing) steps(rg wire.PNRange) (n int) {
	for i := r.search(rg.Start); i < r.tail && r.at(i).num < rg.End; i += max(1, r.at(i).run) {
		n++
	}
	return n
}

// A peer that holds one packet back can acknowledge the others again and again, in ranges that begin at
// another packet each time. A packet has room for hundreds of ACK frames, so each must be cheap.
func TestScatteredAckedRangesAreSkipped(t *testing.T) {
	const packets = 4000
	for name, start := range map[string]func(i int) int{
		"ascending":  func(i int) int { return 2 + i },
		"descending": func(i int) int { return packets - i },
		"scattered":  func(i int) int { return 2 + i*1009%(packets-1) },
	} {
		for _, chunk := range []int{1, 2, packets} { // how many packets each of the first frames acknowledges
			lt := newSampledTest(t, 40*ms)
			lt.l.setWindow(lt.now, maxWindow, math.MaxInt)
			lt.l.active.reo.packets = maxPacketThreshold
			for range packets {
				p := lt.l.NewSent()
				p.Num, p.Time, p.Size, p.AckEliciting, p.InFlight = lt.l.NextNumber(SpaceApp), lt.now, 1200, true, true
				lt.l.PacketSent(lt.now, SpaceApp, p)
			}
			ack := func(start, end int) {
				f := lt.frame(0, nil, wire.PacketNumber(start), -wire.PacketNumber(end))
				require.NoError(t, lt.l.HandleAck(lt.now, SpaceApp, f, func(Space, *SentPacket, Fate) {}))
			}
			for at := 2; at <= packets; at += chunk {
				ack(at, min(at+chunk-1, packets))
			}
			sp, total := lt.l.spaces[SpaceApp], 0
			for i := range packets - 1 {
				total += sp.sent.steps(wire.PNRange{Start: wire.PacketNumber(start(i)), End: packets + 1})
				ack(start(i), packets)
			}
			require.Less(t, total, 20*packets, "%s, after frames for %d packets", name, chunk)
		}
	}
}
