package sim

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// carry sends n datagrams of the given size at once.
func carry(l Link, n, size int) (out []arrival) {
	d := direction{Link: l}
	rng := rand.New(rand.NewPCG(1, 2))
	for range n {
		out = append(out, d.send(monotime.Time(time.Second), bytes.Repeat([]byte{7}, size), rng)...)
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
