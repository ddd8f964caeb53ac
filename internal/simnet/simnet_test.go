package simnet

import (
	"net"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDatagramsTakeTimeAndKeepOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &Net{Latency: 10 * time.Millisecond}
		a, b := n.Listen("10.0.0.1:1"), n.Listen("10.0.0.2:2")
		n.SetDrop(func(_, _ netip.AddrPort, d []byte) bool { return d[0] == 'x' })
		start := time.Now()
		for _, d := range []string{"one", "x lost", "two"} {
			_, err := a.WriteTo([]byte(d), b.LocalAddr())
			require.NoError(t, err)
		}
		buf := make([]byte, 10)
		for _, want := range []string{"one", "two"} {
			k, from, err := b.ReadFrom(buf)
			require.NoError(t, err)
			require.Equal(t, want, string(buf[:k]))
			require.Equal(t, a.LocalAddr(), from)
		}
		require.Equal(t, 10*time.Millisecond, time.Since(start))

		n.SetFull(func(from netip.AddrPort) bool { return from == netip.MustParseAddrPort("10.0.0.1:1") })
		_, err := a.WriteTo([]byte("three"), b.LocalAddr())
		require.ErrorIs(t, err, syscall.EAGAIN)

		done := make(chan error)
		go func() {
			_, _, err := b.ReadFrom(buf)
			done <- err
		}()
		synctest.Wait()
		require.NoError(t, b.Close())
		require.ErrorIs(t, <-done, net.ErrClosed)
		require.Equal(t, 1, n.Open())
	})
}
