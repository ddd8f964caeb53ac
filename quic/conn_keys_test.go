//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// "An endpoint MUST NOT initiate a key update prior to having confirmed the handshake". "An endpoint MUST NOT initiate a
// subsequent key update unless it has received an acknowledgment for a packet that was sent protected with keys from the
// current key phase."
// https://www.rfc-editor.org/rfc/rfc9001#section-6.1-5
func TestUpdateKeys(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		c, s := w.stream(client, server)
		for i := range 5 {
			for _, conn := range []*Conn{client, server} {
				time.Sleep(time.Second)
				if err := conn.UpdateKeys(); err != nil {
					require.ErrorIs(t, err, ErrKeyUpdate, "nothing was acknowledged since the peer's update")
					time.Sleep(time.Second)
					require.NoError(t, conn.UpdateKeys())
				}
				require.ErrorIs(t, conn.UpdateKeys(), ErrKeyUpdate, "before it is acknowledged")
				if i%2 == 0 {
					continue // the PING alone tells the peer
				}
				_, err := c.Write([]byte("data"))
				require.NoError(t, err)
				_, err = io.ReadFull(s, make([]byte, 4))
				require.NoError(t, err)
			}
		}
		time.Sleep(time.Second)
		require.EqualValues(t, 10, client.Stats().KeyUpdates)
		require.EqualValues(t, 10, server.Stats().KeyUpdates)
		require.NoError(t, client.Close())
		require.ErrorIs(t, client.UpdateKeys(), net.ErrClosed)
	})
}

// A PING frame elicits an acknowledgement, which keeps the connection of a silent application from its idle timeout.
func TestPing(t *testing.T) {
	sc := serverConfig()
	sc.MaxIdleTimeout = 10 * time.Second
	inBubble(t, sc, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		time.Sleep(time.Second)
		for _, conn := range []*Conn{client, server} {
			for range 3 {
				sent, received := conn.Stats().PacketsSent, conn.Stats().PacketsReceived
				require.NoError(t, conn.Ping())
				time.Sleep(9 * time.Second)
				require.Equal(t, sent+1, conn.Stats().PacketsSent)
				require.Equal(t, received+1, conn.Stats().PacketsReceived)
			}
		}
		require.NoError(t, client.Close())
		require.ErrorIs(t, client.Ping(), net.ErrClosed)
	})
}

// PING frames are sent while a connection has a keep-alive period, and the connection ends without.
func TestSetKeepAlivePeriod(t *testing.T) {
	sc := serverConfig()
	sc.MaxIdleTimeout = 10 * time.Second
	inBubble(t, sc, nil, func(t *testing.T, w *world) {
		client, other := w.connect()
		silent, _ := w.connect()
		require.ErrorContains(t, client.SetKeepAlivePeriod(-1), "negative")
		require.NoError(t, client.SetKeepAlivePeriod(4*time.Second))
		time.Sleep(time.Minute)
		require.ErrorIs(t, silent.Ping(), ErrIdleTimeout, "another connection with the same Config")
		answers := client.Stats().PacketsReceived
		time.Sleep(41 * time.Second)
		require.InDelta(t, 10, client.Stats().PacketsReceived-answers, 1)
		require.NoError(t, client.SetKeepAlivePeriod(0))
		time.Sleep(3 * time.Second)
		require.NoError(t, client.SetKeepAlivePeriod(0), "it does not restart the idle timeout")
		time.Sleep(8 * time.Second)
		require.ErrorIs(t, client.SetKeepAlivePeriod(time.Second), ErrIdleTimeout)
		require.ErrorIs(t, other.Ping(), ErrIdleTimeout)
	})
}

// The setting reaches both the Endpoint and its connections.
func TestAllowReflectionPorts(t *testing.T) {
	const dns = "10.0.0.3:53"
	for _, allowed := range []bool{false, true} {
		sc := serverConfig()
		sc.AllowReflectionPorts = allowed
		inBubble(t, sc, nil, func(t *testing.T, w *world) {
			e, err := NewEndpoint(w.net.Listen(dns), clientConfig())
			require.NoError(t, err)
			defer e.Close()
			ctx, cancel := context.WithTimeout(w.Context(), 5*time.Second)
			defer cancel()
			_, err = e.Dial(ctx, serverAddr, nil)
			if allowed {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Positive(t, w.server.Stats().Drops.ReflectionPort)
			require.Zero(t, w.server.Stats().Conns)
		})
	}
}

// The settings of both features reach the connection: with fewer acknowledgements and spinning bits, data arrives.
func TestAckFrequencyAndSpinBit(t *testing.T) {
	sc, cc := serverConfig(), clientConfig()
	for _, cfg := range []*Config{sc, cc} {
		cfg.EnableAckFrequency, cfg.EnableSpinBit = true, true
	}
	inBubble(t, sc, cc, func(t *testing.T, w *world) {
		client, server := w.connect()
		c, s := w.stream(client, server)
		go func() {
			_, _ = c.Write(make([]byte, 5<<20))
			_ = c.CloseWrite()
		}()
		n, err := io.Copy(io.Discard, s)
		require.NoError(t, err)
		require.EqualValues(t, 5<<20, n)
		require.Less(t, server.Stats().PacketsSent, client.Stats().PacketsSent/5, "acknowledgements are rare")
	})
}
