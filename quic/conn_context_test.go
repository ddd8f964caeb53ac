//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"context"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// Context and HandshakeComplete report what has happened, whether they are first called before or after it.
func TestLifetime(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		var early *Conn
		var complete <-chan struct{}
		var ctx context.Context
		cfg := clientConfig()
		cfg.OnConn = func(c *Conn, ev ConnEvent) {
			switch ev {
			case ConnBegun:
				early, complete, ctx = c, c.HandshakeComplete(), c.Context()
				select {
				case <-complete:
					t.Error("the handshake was complete at the beginning")
				default:
				}
			case ConnEstablished:
				<-complete
				<-c.HandshakeComplete()
			case ConnEnded:
				<-c.Context().Done()
			}
		}
		client, err := w.client.Dial(t.Context(), serverAddr, cfg)
		require.NoError(t, err)
		require.Same(t, early, client)
		server, err := w.listener.Accept(t.Context())
		require.NoError(t, err)
		require.Nil(t, server.life.cancel, "nobody has asked for the context")
		<-server.HandshakeComplete()
		require.NoError(t, ctx.Err())
		require.Same(t, ctx, client.Context())
		require.NoError(t, client.CloseWithError(7, "over"))
		<-ctx.Done()
		requireApplicationError(t, context.Cause(ctx), 7, "over", false)
		advance(time.Second)
		late := server.Context()
		<-late.Done()
		requireApplicationError(t, context.Cause(late), 7, "over", true)
		<-server.HandshakeComplete()
	})
}

// The size of a connection is that of a class of Go's allocator. The next class has 576 bytes.
func TestConnFitsItsSizeClass(t *testing.T) {
	require.LessOrEqual(t, unsafe.Sizeof(Conn{}), uintptr(512))
}
