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
	impaired(t, func(t *testing.T, client, server stack, loss float64) {
		o := options{groups: pq, alpn: alpn, datagrams: true}
		co := o
		co.via = newRelay(t, loss).via
		cc, sc := connect(t, client, server, co, o)
		a, isA := cc.(datagramConn)
		b, isB := sc.(datagramConn)
		if !isA || !isB {
			t.Skip("one of the stacks has no datagrams")
		}
		for _, size := range []int{1, 63, 64, 1000, 1150} {
			deliver(t, a, b, bytes.Repeat([]byte{byte(size)}, size))
			deliver(t, b, a, bytes.Repeat([]byte{byte(size)}, size))
		}
	})
}

// deliver sends p from one connection until the other receives it.
func deliver(t *testing.T, from, to datagramConn, p []byte) {
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
