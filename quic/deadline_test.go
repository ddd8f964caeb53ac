package quic

import (
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
		var d deadline
		require.False(t, d.expired(), "the zero value never passes")
		done := d.done()

		d.set(time.Now().Add(time.Second))
		advance(999 * time.Millisecond)
		d.set(time.Now().Add(time.Second)) // later
		advance(999 * time.Millisecond)
		require.False(t, isClosed(done))
		advance(time.Millisecond)
		synctest.Wait()
		require.True(t, isClosed(done), "goroutines that waited before a move see the new deadline")
		require.True(t, d.expired())

		d.set(time.Time{})
		require.False(t, d.expired())
		require.False(t, isClosed(d.done()))
		d.set(time.Now().Add(-time.Second))
		require.True(t, d.expired(), "a deadline in the past passes at once")
		require.True(t, isClosed(d.done()))

		d.set(time.Now().Add(time.Second))
		d.stop()
		advance(2 * time.Second)
		require.False(t, d.expired())
	})
}
