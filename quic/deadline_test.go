package quic

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d deadline
		require.False(t, d.expired(), "the zero value never comes")
		done := d.done()

		d.set(time.Now().Add(time.Second))
		time.Sleep(999 * time.Millisecond)
		d.set(time.Now().Add(time.Second)) // later
		time.Sleep(999 * time.Millisecond)
		require.False(t, isClosed(done))
		time.Sleep(time.Millisecond)
		synctest.Wait()
		require.True(t, isClosed(done), "those who waited before a move see the new deadline")
		require.True(t, d.expired())

		d.set(time.Time{})
		require.False(t, d.expired())
		require.False(t, isClosed(d.done()))
		d.set(time.Now().Add(-time.Second))
		require.True(t, d.expired(), "a deadline in the past comes at once")
		require.True(t, isClosed(d.done()))

		d.set(time.Now().Add(time.Second))
		d.stop()
		time.Sleep(2 * time.Second)
		require.False(t, d.expired())
	})
}
