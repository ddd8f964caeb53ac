package quic

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// advance advances the fake clock of a bubble, and waits until its other goroutines have done what is due then.
func advance(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var d deadline
		var ready waker
		set := func(at time.Time) {
			mu.Lock()
			defer mu.Unlock()
			d.set(at, &mu, &ready)
		}
		passed := func() bool {
			mu.Lock()
			defer mu.Unlock()
			return d.isPassed
		}
		set(time.Now().Add(time.Second))
		advance(time.Second)
		require.True(t, passed(), "without a goroutine that waits")

		ready = make(waker, 1)
		set(time.Now().Add(time.Second))
		require.False(t, passed())
		advance(999 * time.Millisecond)
		set(time.Now().Add(time.Second)) // later
		advance(999 * time.Millisecond)
		require.False(t, passed())
		require.Empty(t, ready)
		advance(time.Millisecond)
		require.True(t, passed())
		require.Len(t, ready, 1)
		<-ready

		set(time.Time{})
		require.False(t, passed())
		require.Empty(t, ready)
		set(time.Now().Add(-time.Second))
		require.True(t, passed(), "a deadline in the past passes at once")
		require.Len(t, ready, 1)

		set(time.Now().Add(time.Second))
		mu.Lock()
		d.stop()
		mu.Unlock()
		set(time.Now().Add(time.Second))
		require.Nil(t, d.timer)
		advance(2 * time.Second)
		require.False(t, passed())
	})
}
