package interop

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A datagramConn is a connection of a stack that has DATAGRAM frames.
type datagramConn interface {
	SendDatagram([]byte) error
	ReceiveDatagram(context.Context) ([]byte, error)
}

// TestDatagrams sends datagrams of several sizes in both directions. Datagrams may be lost, so it repeats them until
// they have arrived.
func TestDatagrams(t *testing.T) {
	pairs(t, func(t *testing.T, client, server stack) {
		o := options{groups: pq, alpn: alpn, datagrams: true}
		cc, sc := connect(t, client, server, o, o)
		a, isA := cc.(datagramConn)
		b, isB := sc.(datagramConn)
		if !isA || !isB {
			t.Skip("one of the stacks has no datagrams")
		}
		for _, size := range []int{1, 63, 64, 1000, 1150} {
			relay(t, a, b, bytes.Repeat([]byte{byte(size)}, size))
			relay(t, b, a, bytes.Repeat([]byte{byte(size)}, size))
		}
	})
}

// relay sends p from one connection until the other receives it.
func relay(t *testing.T, from, to datagramConn, p []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		require.NoError(t, from.SendDatagram(p))
		once, cancel := context.WithTimeout(ctx, time.Second)
		got, err := to.ReceiveDatagram(once)
		cancel()
		if err == nil && bytes.Equal(got, p) {
			return
		}
		require.NoError(t, ctx.Err(), "nothing arrives: %v", err)
	}
}
