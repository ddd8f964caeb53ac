//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/stretchr/testify/require"
)

func TestEchoBothDirections(t *testing.T) {
	const size = 1 << 20
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		c, s := w.stream(client, server)
		for _, end := range []struct {
			*Stream
			out, in byte
		}{{c, 1, 2}, {s, 2, 1}} {
			var wg sync.WaitGroup
			wg.Go(func() {
				n, err := end.Write(pattern(size, end.out))
				require.NoError(t, err)
				require.Equal(t, size, n)
				require.NoError(t, end.CloseWrite())
			})
			defer wg.Wait()
			wg.Go(func() {
				got, err := io.ReadAll(end)
				require.NoError(t, err)
				requireSame(t, pattern(size, end.in), got)
			})
		}
	})
}

func TestTransferUnderLoss(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		c, s := w.stream(client, server)
		n := 0
		w.net.SetDrop(func(_, _ netip.AddrPort, _ []byte) bool { n++; return n%10 == 0 })
		want := pattern(300_000, 4)
		go func() {
			c.Write(want)
			c.Close()
		}()
		got, err := io.ReadAll(s)
		require.NoError(t, err)
		requireSame(t, want, got)
	})
}

func TestSlowReaderBlocksWriter(t *testing.T) {
	cfg, size := serverConfig(), 1<<20
	cfg.StreamWindow, cfg.MaxStreamWindow = 64<<10, 64<<10
	client := clientConfig()
	client.StreamSendBuffer = 64 << 10
	inBubble(t, cfg, client, func(t *testing.T, w *world) {
		client, server := w.connect()
		c, s := w.stream(client, server)
		want := pattern(size, 5)
		written := start(func() error {
			_, err := c.Write(want)
			return errors.Join(err, c.CloseWrite())
		})
		advance(5 * time.Second)
		select {
		case <-written:
			t.Fatal("1 MB fit into 128 KB")
		default:
		}
		require.LessOrEqual(t, client.Stats().BytesSent, uint64(200<<10))

		var got []byte
		buf := make([]byte, 10_000)
		for err := error(nil); err != io.EOF; {
			var n int
			n, err = s.Read(buf)
			got = append(got, buf[:n]...)
			advance(time.Millisecond)
		}
		require.NoError(t, <-written)
		requireSame(t, want, got)
	})
}

func TestReadDeadline(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		c, s := w.stream(client, server)
		began := time.Now()
		require.NoError(t, c.SetReadDeadline(began.Add(time.Second)))
		buf := make([]byte, 10)
		_, err := c.Read(buf)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.True(t, isTimeout(err))
		require.Equal(t, time.Second, time.Since(began))
		_, err = c.Read(buf)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded, "it stays")

		// A waiting Read notices that the deadline moves.
		require.NoError(t, c.SetReadDeadline(time.Time{}))
		read := start(func() error { _, err := c.Read(buf); return err })
		synctest.Wait()
		require.NoError(t, c.SetDeadline(time.Now()))
		require.ErrorIs(t, <-read, os.ErrDeadlineExceeded)

		require.NoError(t, c.SetDeadline(time.Time{}))
		_, err = s.Write([]byte("late"))
		require.NoError(t, err)
		n, err := c.Read(buf)
		require.NoError(t, err)
		require.Equal(t, "late", string(buf[:n]), "nothing was lost")
		require.NoError(t, errors.Join(c.Close(), s.Close()))
	})
}

func TestWriteDeadline(t *testing.T) {
	client := clientConfig()
	client.StreamSendBuffer = 32 << 10
	inBubble(t, nil, client, func(t *testing.T, w *world) {
		client, server := w.connect()
		c, s := w.stream(client, server)
		w.net.SetDrop(func(netip.AddrPort, netip.AddrPort, []byte) bool { return true })
		require.NoError(t, c.SetWriteDeadline(time.Now().Add(time.Second)))
		n, err := c.Write(make([]byte, 1<<20))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Positive(t, n)
		require.Less(t, n, 1<<20)
		w.net.SetDrop(nil)
		require.NoError(t, c.SetWriteDeadline(time.Time{}))
		require.NoError(t, c.CloseWrite())
		got, err := io.ReadAll(s)
		require.NoError(t, err)
		require.Len(t, got, n, "all that Write reported as written arrives")
	})
}

func TestCloseEndsCallsThatWait(t *testing.T) {
	client := clientConfig()
	client.StreamSendBuffer = 1000
	inBubble(t, nil, client, func(t *testing.T, w *world) {
		client, server := w.connect()
		c, _ := w.stream(client, server)
		w.net.SetDrop(func(netip.AddrPort, netip.AddrPort, []byte) bool { return true })
		read := start(func() error { _, err := c.Read(make([]byte, 1)); return err })
		write := start(func() error { _, err := c.Write(make([]byte, 2000)); return err })
		synctest.Wait()
		require.NoError(t, c.Close())
		require.ErrorIs(t, <-read, net.ErrClosed)
		require.ErrorIs(t, <-write, net.ErrClosed)
		require.NoError(t, c.Close(), "twice")
		_, err := c.Read(make([]byte, 1))
		require.ErrorIs(t, err, ErrReadClosed)
		_, err = c.Write(make([]byte, 1))
		require.ErrorIs(t, err, ErrWriteClosed)
	})
}

func TestResetAndStopSending(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		c, s := w.stream(client, server)

		require.NoError(t, c.Reset(7))
		_, err := s.Read(make([]byte, 1))
		require.Equal(t, &StreamError{ID: c.ID(), Code: 7, Remote: true}, err)
		_, err = c.Write([]byte("x"))
		require.Equal(t, &StreamError{ID: c.ID(), Code: 7}, err)

		require.NoError(t, c.StopSending(8))
		for err = nil; err == nil; {
			_, err = s.Write([]byte("x"))
			advance(time.Millisecond)
		}
		require.Equal(t, &StreamError{ID: c.ID(), Code: 8, Remote: true}, err)
		_, err = c.Read(make([]byte, 1))
		require.Equal(t, &StreamError{ID: c.ID(), Code: 8}, err)
		require.Error(t, c.Reset(1<<62))
		require.Error(t, c.StopSending(1<<62))

		advance(time.Second)
		require.Zero(t, client.Stats().Streams.OpenStreams)
		require.Zero(t, server.Stats().Streams.OpenStreams)
	})
}

// TestFinishedStreamsAreCollected checks that a connection keeps no handle of a finished stream.
func TestFinishedStreamsAreCollected(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		finish := func(reset bool) []weak.Pointer[Stream] {
			c, s := w.stream(client, server)
			if reset {
				require.NoError(t, c.Reset(7))
				require.NoError(t, c.StopSending(8))
				advance(time.Second)
				_, err := s.Read(make([]byte, 1))
				require.Error(t, err)
				_, err = s.Write(make([]byte, 1))
				require.Error(t, err)
			} else {
				require.NoError(t, c.Close())
				require.NoError(t, s.Close())
			}
			advance(time.Second)
			return []weak.Pointer[Stream]{weak.Make(c), weak.Make(s)}
		}
		for _, reset := range []bool{false, true} {
			handles := finish(reset)
			runtime.GC()
			for _, h := range handles {
				require.Nil(t, h.Value())
			}
		}
	})
}

func TestUniStreams(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		out, err := server.OpenUniStream(t.Context())
		require.NoError(t, err)
		require.True(t, out.ID().Unidirectional())
		require.False(t, out.ID().Client())
		_, err = out.Write([]byte("one way"))
		require.NoError(t, err)
		require.NoError(t, out.Close())
		in, err := client.AcceptUniStream(t.Context())
		require.NoError(t, err)
		require.Equal(t, out.ID(), in.ID())
		got, err := io.ReadAll(in)
		require.NoError(t, err)
		require.Equal(t, "one way", string(got))
		require.NoError(t, in.Close())
	})
}

func TestStreamLimit(t *testing.T) {
	cfg := serverConfig()
	cfg.MaxIncomingStreams, cfg.MaxIncomingUniStreams = 2, -1
	inBubble(t, cfg, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		a, sa := w.stream(client, server)
		w.stream(client, server)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := client.OpenStream(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, ErrStreamLimit)
		require.True(t, isTimeout(err))
		require.EqualError(t, err, "quic: open stream: the peer allows 2 streams, all in use: context deadline exceeded")
		_, err = client.OpenUniStream(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "the peer allows 0 unidirectional streams")
		_, err = client.TryOpenStream()
		require.ErrorIs(t, err, ErrStreamLimit)
		require.EqualError(t, err, "quic: open stream: the peer allows 2 streams, all in use")
		require.False(t, isTimeout(err))
		_, err = client.TryOpenUniStream()
		require.ErrorIs(t, err, ErrStreamLimit)
		uni, err := server.TryOpenUniStream()
		require.NoError(t, err, "the other side has a limit of its own")
		require.NoError(t, uni.Close())

		opened := start(func() error { _, err := client.OpenStream(t.Context()); return err })
		synctest.Wait()
		require.NoError(t, errors.Join(a.Close(), sa.Close()))
		require.NoError(t, <-opened, "a stream that has ended makes room")
	})
}

func TestManyStreamsInTurn(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		var wg, echoes sync.WaitGroup
		go echoConn(&echoes, server)
		for i := range 300 { // three times the limit
			wg.Go(func() {
				s, err := client.OpenStream(t.Context())
				require.NoError(t, err)
				defer s.Close()
				want := pattern(3000, byte(i))
				_, err = s.Write(want)
				require.NoError(t, err)
				require.NoError(t, s.CloseWrite())
				got, err := io.ReadAll(s)
				require.NoError(t, err)
				requireSame(t, want, got)
			})
		}
		wg.Wait()
	})
}

func TestAcceptStreamCancelled(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		_, err := server.AcceptStream(canceled())
		require.ErrorIs(t, err, context.Canceled)
		ctx, cancel := context.WithCancel(t.Context())
		accepted := start(func() error { _, err := server.AcceptStream(ctx); return err })
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-accepted, context.Canceled)

		// A stream that arrives wakes the AcceptStream that waits now, not the one that has gone.
		accepted = start(func() error { _, err := server.AcceptStream(t.Context()); return err })
		synctest.Wait()
		c, err := client.OpenStream(t.Context())
		require.NoError(t, err)
		_, err = c.Write([]byte{'!'})
		require.NoError(t, err)
		require.NoError(t, <-accepted)
	})
}

// OpenStream does not check the context if it need not wait.
func TestOpenStreamDoesNotWait(t *testing.T) {
	cfg := serverConfig()
	cfg.MaxIncomingStreams = 2
	inBubble(t, cfg, nil, func(t *testing.T, w *world) {
		client, _ := w.connect()
		done, cancel := context.WithCancel(t.Context())
		cancel()
		for range 2 {
			_, err := client.OpenStream(done)
			require.NoError(t, err)
		}
		_, err := client.OpenStream(done)
		require.ErrorIs(t, err, context.Canceled)
	})
}

// A server that answers and closes a stream before the client has ended its side asks the client to stop. A
// client that does so is not limited as one that aborts streams.
func TestManyRequests(t *testing.T) {
	const requests = 1500 // more than a peer may abort at once
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		go func() {
			for {
				s, err := server.AcceptStream(t.Context())
				if err != nil {
					return
				}
				if _, err := io.ReadFull(s, make([]byte, 10)); err == nil {
					_, _ = s.Write(pattern(100, 1))
				}
				s.Close()
			}
		}()
		for range requests {
			s, err := client.OpenStream(t.Context())
			require.NoError(t, err)
			_, err = s.Write(pattern(10, 2))
			require.NoError(t, err)
			got, err := io.ReadAll(s)
			require.NoError(t, err)
			requireSame(t, pattern(100, 1), got)
			s.Close()
		}
		require.Zero(t, server.Stats().Streams.AbortedStreams)
		require.Zero(t, server.Stats().Streams.WithheldStreams)
		require.Zero(t, client.Stats().Streams.BlockedByStreamLimit)
		require.NoError(t, client.Close())
	})
}

// If the limit is reached although streams are finished, the error says that the peer has to raise it.
func TestStreamLimitOfFinishedStreams(t *testing.T) {
	cfg := serverConfig()
	cfg.MaxIncomingStreams = 2
	inBubble(t, cfg, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		for range 2 {
			c, _ := w.stream(client, server) // not finished by the server
			require.NoError(t, c.Close())
		}
		_, err := client.TryOpenStream()
		require.ErrorIs(t, err, ErrStreamLimit)
		require.ErrorContains(t, err, "the peer has allowed 2 streams so far, of which 0 are open here")
		require.NoError(t, client.Close())
		_, err = client.TryOpenStream()
		require.ErrorIs(t, err, net.ErrClosed)
		require.NotErrorIs(t, err, ErrStreamLimit)
	})
}

// A direction that has ended keeps no timer. Timers of a server that sets a deadline for each request would
// otherwise keep its finished streams in memory until the deadlines pass.
func TestFinishedStreamHasNoTimer(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  func(t *testing.T, c, s *Stream)
	}{
		{"the end is read and Close", func(t *testing.T, c, s *Stream) {
			require.NoError(t, c.CloseWrite())
			_, err := io.ReadAll(s)
			require.NoError(t, err)
			require.NoError(t, s.Close())
		}},
		{"the peer closes", func(t *testing.T, c, s *Stream) {
			require.NoError(t, c.Close())
			advance(time.Second)
			_, err := io.ReadAll(s)
			require.NoError(t, err)
		}},
		{"Close", func(t *testing.T, _, s *Stream) { require.NoError(t, s.Close()) }},
		{"StopSending and Reset", func(t *testing.T, _, s *Stream) {
			require.NoError(t, s.StopSending(1))
			require.NoError(t, s.Reset(1))
		}},
		{"the connection ends before Close", func(t *testing.T, c, s *Stream) {
			require.NoError(t, c.Conn().CloseWithError(1, ""))
			<-s.Conn().Context().Done()
			require.Error(t, s.Close())
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, nil, nil, func(t *testing.T, w *world) {
				c, s := w.stream(w.connect())
				require.NoError(t, s.SetDeadline(time.Now().Add(time.Hour)))
				tc.end(t, c, s)
				require.Nil(t, s.recv.deadline.timer)
				require.Nil(t, s.send.deadline.timer)
				require.NoError(t, s.SetDeadline(time.Now().Add(time.Hour)))
				require.Nil(t, s.recv.deadline.timer, "a later deadline has no effect")
				require.Nil(t, s.send.deadline.timer)
			})
		})
	}
}

// A server learns of a stream on which its client has written nothing, even if the first packet that names it is lost,
// and can write first.
func TestAnnounce(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		time.Sleep(time.Second) // the handshake is confirmed
		c, err := client.OpenStream(t.Context())
		require.NoError(t, err)
		var lost atomic.Bool
		w.net.SetDrop(func(from, _ netip.AddrPort, _ []byte) bool {
			return from.String() == clientAddr && lost.CompareAndSwap(false, true)
		})
		require.NoError(t, c.Announce())
		s, err := server.AcceptStream(t.Context())
		require.NoError(t, err)
		require.True(t, lost.Load())
		require.Equal(t, c.ID(), s.ID())
		requireTransfer(t, s, c, 100_000)
		requireTransfer(t, c, s, 100_000)
		require.Error(t, c.Announce(), "the stream is finished")
		require.NoError(t, client.CloseWithError(5, ""))
		requireApplicationError(t, c.Announce(), 5, "", false)
	})
}

// TryWrite takes what there is room for and does not wait, not even for another Write.
func TestTryWriteBesideWrite(t *testing.T) {
	sc, cc := serverConfig(), clientConfig()
	sc.StreamWindow, sc.MaxStreamWindow, cc.StreamSendBuffer = 4000, 4000, 10_000
	inBubble(t, sc, cc, func(t *testing.T, w *world) {
		c, s := w.stream(w.connect())
		data := pattern(60_000, 1)
		n, err := c.TryWrite(data)
		require.NoError(t, err)
		require.Equal(t, 10_000-1, n, "the buffer has a byte that is not acknowledged yet")
		again, err := c.TryWrite(data[n:])
		require.NoError(t, err)
		require.Zero(t, again, "the buffer is full")
		advance(time.Second)
		again, err = c.TryWrite(data[n:])
		require.NoError(t, err)
		require.InDelta(t, 4000, again, 100, "the peer has acknowledged what its window permits")
		n += again
		written := start(func() error {
			_, err := c.Write(data[n:])
			return err
		})
		synctest.Wait()
		again, err = c.TryWrite([]byte("between"))
		require.NoError(t, err)
		require.Zero(t, again, "another goroutine is writing")
		got := make([]byte, len(data))
		_, err = io.ReadFull(s, got)
		require.NoError(t, err)
		requireSame(t, data, got)
		require.NoError(t, <-written)
		advance(time.Second)
		require.NoError(t, c.SetWriteDeadline(time.Now().Add(-time.Second)))
		n, err = c.TryWrite([]byte("end"))
		require.NoError(t, err)
		require.Equal(t, 3, n, "a deadline is for those who wait")
		require.NoError(t, c.CloseWrite())
		_, err = c.TryWrite([]byte("more"))
		require.ErrorIs(t, err, ErrWriteClosed)
	})
}
