package sim

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/datagram"
	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// carry sends n datagrams of the given size at once.
func carry(l Link, n, size int) []arrival { return carryMarked(l, n, size, datagram.NotECT) }

// carryMarked is like carry, with a codepoint.
func carryMarked(l Link, n, size int, ecn datagram.ECN) (out []arrival) {
	d := direction{Link: l}
	rng := rand.New(rand.NewPCG(1, 2))
	for range n {
		out = append(out, d.send(monotime.Time(time.Second), bytes.Repeat([]byte{7}, size), ecn, rng)...)
	}
	return out
}

func took(a arrival) time.Duration { return a.at.Sub(monotime.Time(time.Second)) }

// TestLink checks the effect of each field of a Link.
func TestLink(t *testing.T) {
	require.Len(t, carry(Link{}, 1000, 100), 1000)
	require.Equal(t, 15*time.Millisecond, took(carry(Link{Delay: 15 * time.Millisecond}, 1, 100)[0]))
	require.InDelta(t, 900, len(carry(Link{Loss: 0.1}, 1000, 100)), 40)
	require.InDelta(t, 1100, len(carry(Link{Duplicate: 0.1}, 1000, 100)), 40)
	require.Len(t, carry(Link{MTU: 1232}, 10, 1232), 10)
	require.Empty(t, carry(Link{MTU: 1232}, 10, 1233))
	require.Len(t, carry(Link{Drop: func(n int) bool { return n%2 == 0 }}, 10, 100), 5)

	changed := 0
	for _, a := range carry(Link{Corrupt: 0.1}, 1000, 100) {
		require.Len(t, a.data, 100, "corrupted ones are delivered")
		wrong := 100 - bytes.Count(a.data, []byte{7})
		require.Equal(t, wrong == 0, bytes.Equal(a.sent, a.data))
		require.LessOrEqual(t, wrong, 1)
		changed += wrong
	}
	require.InDelta(t, 100, changed, 40)

	late := 0
	for _, a := range carry(Link{Reorder: 0.1, ReorderBy: time.Second}, 1000, 100) {
		if took(a) == time.Second {
			late++
		}
	}
	require.InDelta(t, 100, late, 40)

	paced := carry(Link{Rate: 100_000, Queue: 5000}, 100, 1000)
	require.Equal(t, 10*time.Millisecond, took(paced[0]), "serialised")
	require.Len(t, paced, 6, "one on the wire, five in the queue")
	require.Equal(t, 60*time.Millisecond, took(paced[5]))
}

// The losses of a Link with Burst come in runs of this mean length and are as many as without.
func TestLinkBurst(t *testing.T) {
	d := direction{Link: Link{Loss: 0.1, Burst: 3}}
	rng := rand.New(rand.NewPCG(1, 2))
	lost, runs, before := 0, 0, false
	for range 30_000 {
		now := len(d.send(1, []byte{7}, 0, rng)) == 0
		if now {
			lost++
		}
		if now && !before {
			runs++
		}
		before = now
	}
	require.InDelta(t, 3000, lost, 300)
	require.InDelta(t, 3, float64(lost)/float64(runs), 0.3)
}

func TestLinkJitterAndOutage(t *testing.T) {
	least, most := time.Second, time.Duration(0)
	for _, a := range carry(Link{Delay: 10 * time.Millisecond, Jitter: 5 * time.Millisecond}, 1000, 100) {
		least, most = min(least, took(a)), max(most, took(a))
	}
	require.InDelta(t, 10, least.Seconds()*1000, 0.1)
	require.InDelta(t, 15, most.Seconds()*1000, 0.1)
	require.Empty(t, carry(Link{Outage: func(now monotime.Time) bool { return now == monotime.Time(time.Second) }}, 10, 100))
	require.Len(t, carry(Link{Outage: func(now monotime.Time) bool { return now != monotime.Time(time.Second) }}, 10, 100), 10)
}

// A queue with AQM marks what uses ECN and loses what does not. Either way, nothing waits longer than twice the target
// without that.
func TestLinkAQM(t *testing.T) {
	l := Link{Rate: 1_000_000, AQM: 10 * time.Millisecond} // a datagram a millisecond
	marked, plain := carryMarked(l, 50, 1000, datagram.ECT0), carry(l, 50, 1000)
	require.Len(t, marked, 50)
	for i, a := range marked {
		switch {
		case i <= 10:
			require.Equal(t, datagram.ECT0, a.ecn)
		case i >= 20:
			require.Equal(t, datagram.CE, a.ecn)
		}
	}
	require.Greater(t, len(plain), 10)
	require.LessOrEqual(t, len(plain), 21)
	bleach := Link{ECN: func(int, datagram.ECN) datagram.ECN { return datagram.NotECT }}
	require.Equal(t, datagram.NotECT, carryMarked(bleach, 1, 100, datagram.CE)[0].ecn)
}
