//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"io"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// When an Endpoint has its maximum number of connections, it refuses clients and does not dial.
func TestMaxConns(t *testing.T) {
	server, client := serverConfig(), clientConfig()
	server.MaxConns, client.MaxConns = 2, 3
	inBubble(t, server, client, func(t *testing.T, w *world) {
		first, _ := w.connect()
		w.connect()
		_, err := w.client.Dial(t.Context(), serverAddr, nil)
		var refused *TransportError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, ConnectionRefused, refused.Code)
		stats := w.server.Stats()
		require.EqualValues(t, 1, stats.TooManyConns)
		require.EqualValues(t, 1, stats.Refused)
		require.Equal(t, 2, stats.Conns)

		require.NoError(t, first.Close())
		advance(5 * time.Second) // until the connection is removed
		w.connect()

		w.client.cfg.MaxConns = 2
		_, err = w.client.Dial(t.Context(), serverAddr, nil)
		require.ErrorContains(t, err, "the endpoint has 2 connections, as many as Config.MaxConns allows")
	})
}

// A peer that does not read leaves memory for the others. A writer that waits for memory continues when any
// connection releases some.
func TestMaxSendMemory(t *testing.T) {
	server := serverConfig()
	server.MaxSendMemory = 1 << 20
	inBubble(t, server, nil, func(t *testing.T, w *world) {
		hogClient, hogServer := w.connect()
		var tasks sync.WaitGroup
		defer tasks.Wait()
		const each = 2 << 20
		var stuck []*Stream
		for range 5 {
			c, s := w.stream(hogClient, hogServer)
			stuck = append(stuck, c)
			tasks.Go(func() {
				_, err := s.Write(pattern(each, 3))
				require.NoError(t, err)
				require.NoError(t, s.CloseWrite())
			})
		}
		advance(5 * time.Second)
		stats := w.server.Stats()
		require.Positive(t, stats.SendMemoryWaits)
		require.LessOrEqual(t, stats.SendMemory, int64(600<<10), "more than about half of the budget")

		client, server := w.connect()
		c, s := w.stream(client, server)
		tasks.Go(func() {
			_, err := s.Write(pattern(each, 4))
			require.NoError(t, err)
			require.NoError(t, s.CloseWrite())
		})
		got, err := io.ReadAll(c)
		require.NoError(t, err)
		requireSame(t, pattern(each, 4), got)

		for _, c := range stuck {
			tasks.Go(func() {
				got, err := io.ReadAll(c)
				require.NoError(t, err)
				requireSame(t, pattern(each, 3), got)
			})
		}
		tasks.Wait()
		advance(time.Second)
		require.Zero(t, w.server.Stats().SendMemory)
	})
}

// A writer that waits for memory returns at its deadline and when its stream is reset.
func TestSendMemoryDeadline(t *testing.T) {
	server := serverConfig()
	server.MaxSendMemory = 1
	inBubble(t, server, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		_, s := w.stream(client, server)
		require.NoError(t, s.SetWriteDeadline(time.Now().Add(time.Second)))
		_, err := s.Write(pattern(2<<20, 1))
		var timeout interface{ Timeout() bool }
		require.ErrorAs(t, err, &timeout)
		require.NoError(t, s.SetWriteDeadline(time.Time{}))
		done := start(func() error {
			_, err := s.Write(pattern(2<<20, 1))
			return err
		})
		advance(time.Second)
		require.NoError(t, s.Reset(5))
		var reset *StreamError
		require.ErrorAs(t, <-done, &reset)
	})
}

// Data that is not read leaves memory for other connections, and all of it arrives in the end.
func TestMaxReceiveMemory(t *testing.T) {
	server := serverConfig()
	server.MaxReceiveMemory = 1 << 20
	inBubble(t, server, nil, func(t *testing.T, w *world) {
		hogClient, hogServer := w.connect()
		const each = 400 << 10
		var unread []*Stream
		for range 2 {
			c, s := w.stream(hogClient, hogServer)
			unread = append(unread, s)
			_, err := c.Write(pattern(each, 3))
			require.NoError(t, err)
			require.NoError(t, c.CloseWrite())
		}
		advance(5 * time.Second)
		stats := w.server.Stats()
		require.LessOrEqual(t, stats.ReceiveMemory, int64(700<<10), "more than half of the budget and the minimum share")
		require.Positive(t, stats.ReceiveMemoryDrops)
		require.Equal(t, stats.ReceiveMemoryDrops, hogServer.Stats().Drops.NoMemory)

		c, s := w.stream(w.connect())
		requireTransfer(t, c, s, 4<<20)

		for _, s := range unread {
			got, err := io.ReadAll(s)
			require.NoError(t, err)
			requireSame(t, pattern(each, 3), got)
		}
		require.Zero(t, w.server.Stats().ReceiveMemory)
	})
}

// Data that arrived before the peer closed the connection counts towards the budget until the application
// reads it, closes the stream, or drops the connection.
func TestReceiveMemoryAfterThePeersClose(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		const each = 100 << 10
		ends := []func(*Conn, *Stream){
			func(_ *Conn, s *Stream) {
				n, err := io.Copy(io.Discard, s)
				require.EqualValues(t, each, n)
				requireApplicationError(t, err, 0, "", true)
			},
			func(_ *Conn, s *Stream) { _ = s.Close() },
			func(_ *Conn, s *Stream) { require.NoError(t, s.StopSending(1)) },
			func(*Conn, *Stream) { runtime.GC() },
		}
		for i, end := range ends {
			func() {
				client, server := w.connect()
				c, s := w.stream(client, server)
				_, err := c.Write(pattern(each, 3))
				require.NoError(t, err)
				require.NoError(t, client.Close())
				<-server.Context().Done()
				require.GreaterOrEqual(t, w.server.Stats().ReceiveMemory, int64(each))
				end(server, s)
			}()
			for n := 0; n < 1000 && i == len(ends)-1 && w.server.Stats().ReceiveMemory > 0; n++ {
				advance(time.Minute) // until the Endpoint has forgotten the connection
				runtime.GC()
				runtime.Gosched()
			}
			require.Zero(t, w.server.Stats().ReceiveMemory, i)
		}
	})
}

// A proxy does not read some of its streams for a while. The others are not affected.
func TestUnreadStreams(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		for range 20 {
			c, _ := w.stream(client, server)
			_, err := c.Write(pattern(600<<10, 1)) // more than a window
			require.NoError(t, err)
		}
		advance(time.Second)
		s := server.Stats().Streams
		require.EqualValues(t, 20, s.PeerBlockedByStream)
		require.Zero(t, s.PeerBlockedByConn)
		require.EqualValues(t, 20*(512<<10-1), s.BytesUnread)
		require.EqualValues(t, 16<<20, s.ReceiveWindow)
		s = client.Stats().Streams
		require.EqualValues(t, 20, s.BlockedByStream)
		require.Zero(t, s.BlockedByConn)
		require.EqualValues(t, 20, s.OpenStreams)

		c, e := w.stream(client, server)
		requireTransfer(t, c, e, 2<<20)
	})
}
