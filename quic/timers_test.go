package quic

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// The timers are compared with a model: whatever is set, moved and removed, each item fires once, at the
// first call of expire that is not before its deadline, and the returned time is never too late.
func TestTimersAgainstModel(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		ts := timers{wake: make(waker, 1)}
		items := make([]*timerItem, 20)
		model := make(map[*timerItem]monotime.Time)
		for i := range items {
			items[i] = new(timerItem)
		}
		now := monotime.Time(1)
		for range 300 {
			if r.IntN(4) > 0 {
				it := items[r.IntN(len(items))]
				var want monotime.Time
				if r.IntN(5) > 0 {
					want = now + monotime.Time(r.IntN(100))
				}
				ts.set(it, want)
				model[it] = want
				requireHeap(t, &ts)
				continue
			}
			now += monotime.Time(r.IntN(50))
			due, next := ts.expire(now, nil)
			requireHeap(t, &ts)
			fired := make(map[*timerItem]bool)
			for _, it := range due {
				require.False(t, fired[it], "fired twice")
				fired[it] = true
			}
			for it, want := range model {
				isDue := !want.IsZero() && !want.After(now)
				require.Equal(t, isDue, fired[it])
				if isDue {
					model[it] = 0
				} else if !want.IsZero() {
					require.False(t, next.IsZero() || next.After(want), "the returned time is too late")
				}
			}
		}
	}
}

func requireHeap(t *testing.T, ts *timers) {
	for i, it := range ts.heap {
		require.Equal(t, i+1, it.index)
		require.False(t, it.want.Before(it.at))
		if i > 0 {
			require.False(t, it.at.Before(ts.heap[(i+1)/2-1].at), "heap order")
		}
	}
}

func TestTimersWakeForEarlierDeadlinesOnly(t *testing.T) {
	ts := timers{wake: make(waker, 1)}
	a, b := new(timerItem), new(timerItem)
	woken := func() bool {
		select {
		case <-ts.wake:
			return true
		default:
			return false
		}
	}
	ts.set(a, 100)
	require.True(t, woken())
	_, next := ts.expire(1, nil)
	require.Equal(t, monotime.Time(100), next)
	ts.set(a, 200)
	require.False(t, woken(), "a later deadline waits until the old time")
	ts.set(b, 150)
	require.False(t, woken())
	ts.set(b, 50)
	require.True(t, woken())
}

// A deadline that does not change is not set again, unless it has fired.
func TestTimersUpdate(t *testing.T) {
	ts := timers{wake: make(waker, 1)}
	it := new(timerItem)
	ts.update(it, 5)
	due, _ := ts.expire(5, nil)
	require.Equal(t, []*timerItem{it}, due)
	ts.update(it, 5)
	require.Zero(t, it.index, "the item was set again")
	it.last = 0 // as the owner does when the deadline fires
	ts.update(it, 5)
	require.NotZero(t, it.index)
	ts.update(it, 0)
	require.Zero(t, it.index, "the item was not removed")
}
