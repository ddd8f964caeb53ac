//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"context"
	"io"
	"net/netip"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// Streams that wait to be accepted, and those that are opened later, go to the functions, and no longer to AcceptStream.
func TestHandleStreams(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		first, err := client.OpenStream(t.Context())
		require.NoError(t, err)
		_, err = first.WriteEnd([]byte("one"))
		require.NoError(t, err)
		advance(time.Second)

		bidi, uni := make(chan string, 4), make(chan string, 4)
		server.HandleStreams(func(s *Stream) {
			b, err := io.ReadAll(s)
			require.NoError(t, err)
			_, err = s.WriteEnd([]byte("answer"))
			require.NoError(t, err)
			bidi <- string(b)
		}, func(s *ReceiveStream) {
			b, err := io.ReadAll(s)
			require.NoError(t, err)
			uni <- string(b)
		})
		require.Equal(t, "one", <-bidi)
		second, err := client.OpenStream(t.Context())
		require.NoError(t, err)
		_, err = second.WriteEnd([]byte("two"))
		require.NoError(t, err)
		require.Equal(t, "two", <-bidi)
		answer, err := io.ReadAll(second)
		require.NoError(t, err)
		require.Equal(t, "answer", string(answer))
		third, err := client.OpenUniStream(t.Context())
		require.NoError(t, err)
		_, err = third.Write([]byte("three"))
		require.NoError(t, err)
		require.NoError(t, third.Close())
		require.Equal(t, "three", <-uni)
		_, err = server.AcceptStream(canceled())
		require.ErrorIs(t, err, context.Canceled)
		require.NoError(t, client.CloseWithError(0, ""))
	})
}

// Without a function for a kind of stream, its streams are accepted as before.
func TestHandleStreamsOfOneKind(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		server.HandleStreams(nil, func(*ReceiveStream) { t.Error("a bidirectional stream was given to the other function") })
		w.stream(client, server)
		server.HandleStreams(func(*Stream) { t.Error("a unidirectional stream was given to the other function") }, nil)
		s, err := client.OpenUniStream(t.Context())
		require.NoError(t, err)
		require.NoError(t, s.Close())
		_, err = server.AcceptUniStream(t.Context())
		require.NoError(t, err)
	})
}

// More streams than the limit are not open at a time, although the peer has aborted those that are handled: the goroutines of
// a flood of aborted streams are bounded.
func TestHandleStreamsBoundsGoroutines(t *testing.T) {
	const limit, flood = 8, 50
	cfg := serverConfig()
	cfg.MaxIncomingStreams = limit
	inBubble(t, cfg, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		running, most := make(chan struct{}, flood), 0
		release := make(chan struct{})
		aborted, err := client.TryOpenStream() // before it is handled
		require.NoError(t, err)
		_, err = aborted.Write([]byte{1})
		require.NoError(t, err)
		require.NoError(t, aborted.Reset(2))
		require.NoError(t, aborted.StopSending(2))
		advance(100 * time.Millisecond)
		server.HandleStreams(func(s *Stream) {
			running <- struct{}{}
			<-release
			_ = s.Reset(1)
			_ = s.StopSending(1)
			<-running
		}, nil)
		for range flood {
			s, err := client.TryOpenStream()
			if err != nil {
				require.ErrorIs(t, err, ErrStreamLimit)
				break
			}
			_, err = s.Write([]byte{1})
			require.NoError(t, err)
			advance(100 * time.Millisecond)
			require.NoError(t, s.Reset(2))
			require.NoError(t, s.StopSending(2))
			advance(100 * time.Millisecond)
			most = max(most, len(running))
		}
		require.Equal(t, limit, most)
		close(release)
		advance(time.Second)
		_, err = client.TryOpenStream()
		require.NoError(t, err, "streams whose functions have ended give credit")
	})
}

// A connection whose streams are handled has no goroutine while it is idle.
func TestHandledConnectionsHaveNoGoroutine(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		serve := func() {
			client, server := w.connect()
			server.HandleStreams(func(s *Stream) {
				_, err := io.Copy(s, s)
				require.NoError(t, err)
				require.NoError(t, s.Close())
			}, nil)
			c, err := client.OpenStream(t.Context())
			require.NoError(t, err)
			_, err = c.Write([]byte{7})
			require.NoError(t, err)
			var b [1]byte
			_, err = c.Read(b[:])
			require.NoError(t, err)
			require.EqualValues(t, 7, b[0])
			require.NoError(t, c.CloseWrite())
			_, err = c.Read(b[:])
			require.Equal(t, io.EOF, err)
		}
		serve()
		advance(10 * time.Second)
		synctest.Wait()
		before := runtime.NumGoroutine()
		for range 20 {
			serve()
		}
		advance(10 * time.Second)
		synctest.Wait()
		require.LessOrEqual(t, runtime.NumGoroutine(), before+5)
	})
}

func TestWhenReadable(t *testing.T) {
	for name, tc := range map[string]struct {
		cause func(t *testing.T, client *Conn, s *SendStream)
		want  func(t *testing.T, b []byte, err error)
	}{
		"data": {
			func(t *testing.T, _ *Conn, s *SendStream) { _, err := s.Write([]byte("data")); require.NoError(t, err) },
			func(t *testing.T, b []byte, err error) { require.NoError(t, err); require.Equal(t, "data", string(b)) },
		},
		"the end": {
			func(t *testing.T, _ *Conn, s *SendStream) { require.NoError(t, s.Close()) },
			func(t *testing.T, _ []byte, err error) { require.Equal(t, io.EOF, err) },
		},
		"a reset": {
			func(t *testing.T, _ *Conn, s *SendStream) { require.NoError(t, s.Reset(5)) },
			func(t *testing.T, _ []byte, err error) {
				var se *StreamError
				require.ErrorAs(t, err, &se)
				require.Equal(t, uint64(5), se.Code)
			},
		},
		"the end of the connection": {
			func(t *testing.T, c *Conn, _ *SendStream) { require.NoError(t, c.CloseWithError(6, "")) },
			func(t *testing.T, _ []byte, err error) { requireApplicationError(t, err, 6, "", true) },
		},
	} {
		for _, early := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				inBubble(t, nil, nil, func(t *testing.T, w *world) {
					client, server := w.connect()
					s, err := client.OpenUniStream(t.Context())
					require.NoError(t, err)
					_, err = s.Write([]byte{'!'})
					require.NoError(t, err)
					r, err := server.AcceptUniStream(t.Context())
					require.NoError(t, err)
					_, err = r.Read(make([]byte, 1))
					require.NoError(t, err)
					if early {
						tc.cause(t, client, s)
						advance(time.Second)
					}
					calls := make(chan struct{}, 2)
					if !early {
						r.WhenReadable(func() { t.Error("a function that was replaced was called") })
					}
					r.WhenReadable(func() { calls <- struct{}{} })
					if !early {
						advance(time.Second)
						require.Empty(t, calls)
						tc.cause(t, client, s)
					}
					<-calls
					b, err := r.Peek(1)
					tc.want(t, b, err)
					advance(time.Second)
					require.Empty(t, calls, "called twice")
				})
			})
		}
	}
}

func TestWhenReset(t *testing.T) {
	for _, isBefore := range []bool{false, true} {
		inBubble(t, nil, nil, func(t *testing.T, w *world) {
			client, server := w.connect()
			c, s := w.stream(client, server)
			_, err := c.Write([]byte("unread"))
			require.NoError(t, err)
			advance(time.Second)
			if isBefore {
				require.NoError(t, c.Reset(5))
				advance(time.Second)
			}
			errs := make(chan error, 2)
			s.WhenReset(func(err error) { errs <- err })
			synctest.Wait()
			if !isBefore {
				require.Empty(t, errs)
				require.NoError(t, c.Reset(5))
			}
			want := &StreamError{ID: s.ID(), Code: 5, Remote: true}
			require.Equal(t, want, <-errs)
			_, err = s.Read(make([]byte, 1))
			require.Equal(t, want, err)
		})
	}
}

// What WriteEnd writes and the end of the stream are one STREAM frame, so nothing can be sent between the two.
func TestWriteEnd(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		c, s := w.stream(client, server)
		advance(time.Second)
		sent := 0
		w.net.SetDrop(func(from, _ netip.AddrPort, _ []byte) bool {
			if from.String() == clientAddr {
				sent++
			}
			return false
		})
		n, err := c.WriteEnd([]byte("the end"))
		require.NoError(t, err)
		require.Equal(t, 7, n)
		got, err := io.ReadAll(s)
		require.NoError(t, err)
		require.Equal(t, "the end", string(got))
		require.Equal(t, 1, sent)
		w.net.SetDrop(nil)
		_, err = c.WriteEnd(nil)
		require.ErrorIs(t, err, ErrWriteClosed)

		// More than the send buffer holds.
		big := pattern(9<<20, 1)
		c, s = w.stream(client, server)
		done := start(func() error { _, err := c.WriteEnd(big); return err })
		got, err = io.ReadAll(s)
		require.NoError(t, err)
		require.NoError(t, <-done)
		requireSame(t, big, got)
	})
}

// TryWrite fills the send buffer and does not wait.
func TestTryWrite(t *testing.T) {
	cfg := clientConfig()
	cfg.StreamSendBuffer = 100
	inBubble(t, nil, cfg, func(t *testing.T, w *world) {
		client, server := w.connect()
		w.net.SetDrop(func(netip.AddrPort, netip.AddrPort, []byte) bool { return true })
		s, err := client.OpenUniStream(t.Context())
		require.NoError(t, err)
		n, err := s.TryWrite(make([]byte, 1000))
		require.NoError(t, err)
		require.Equal(t, 100, n)
		n, err = s.TryWrite(make([]byte, 1000))
		require.NoError(t, err)
		require.Zero(t, n)
		w.net.SetDrop(nil)
		require.NoError(t, client.Flush(t.Context()))
		require.NoError(t, s.Close())
		_, err = s.TryWrite([]byte{1})
		require.ErrorIs(t, err, ErrWriteClosed)
		_, err = server.AcceptUniStream(t.Context())
		require.NoError(t, err)
	})
}

// Flush waits for acknowledgements.
func TestFlush(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		c, _ := w.stream(client, server)
		require.NoError(t, client.Flush(t.Context()))
		_, err := c.Write([]byte("data"))
		require.NoError(t, err)
		require.ErrorIs(t, client.Flush(canceled()), context.Canceled)
		require.NoError(t, client.Flush(t.Context()))
		require.Zero(t, client.Stats().Streams.BytesUnacknowledged)
		require.NoError(t, client.CloseWithError(4, ""))
		requireApplicationError(t, client.Flush(t.Context()), 4, "", false)
	})
}

// WhenEnded calls each function that it was given, once, at the end of the connection or after it.
func TestWhenEnded(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		for name, end := range map[string]func(client, server *Conn){
			"by this side": func(_, server *Conn) { require.NoError(t, server.CloseWithError(7, "")) },
			"by the peer":  func(client, _ *Conn) { require.NoError(t, client.CloseWithError(7, "")) },
		} {
			client, server := w.connect()
			var calls []string
			var mu sync.Mutex
			note := func(call string) func() {
				return func() {
					mu.Lock()
					defer mu.Unlock()
					calls = append(calls, call)
				}
			}
			server.WhenEnded(note("a"))
			server.HandleStreams(func(*Stream) {}, nil) // keeps the function
			server.WhenEnded(note("b"))
			server.WhenEnded(func() {
				require.Error(t, server.Context().Err(), name)
				note("c")()
			})
			advance(time.Second)
			require.Empty(t, calls, name)
			end(client, server)
			advance(time.Second)
			require.ElementsMatch(t, []string{"a", "b", "c"}, calls, name)
			server.WhenEnded(note("d"))
			advance(time.Second)
			require.Len(t, calls, 4, name)
			require.Equal(t, "d", calls[3], name)
		}
	})
}

// WhenStopped calls the last function that it was given, once, when the peer asks to stop the stream, or at once if it has.
func TestWhenStopped(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		s, err := client.OpenUniStream(t.Context())
		require.NoError(t, err)
		_, err = s.Write([]byte{1})
		require.NoError(t, err)
		var got []error
		s.WhenStopped(func(error) { t.Error("replaced") })
		s.WhenStopped(func(err error) { got = append(got, err) })
		r, err := server.AcceptUniStream(t.Context())
		require.NoError(t, err)
		advance(time.Second)
		require.Empty(t, got)
		require.NoError(t, r.StopSending(9))
		advance(time.Second)
		require.Equal(t, []error{&StreamError{ID: s.ID(), Code: 9, Remote: true}}, got)
		s.WhenStopped(func(err error) { got = append(got, err) })
		advance(time.Second)
		require.Len(t, got, 2)
		require.Equal(t, got[0], got[1])

		closed, err := client.OpenUniStream(t.Context())
		require.NoError(t, err)
		closed.WhenStopped(func(error) { t.Error("closed by this side") })
		require.NoError(t, closed.Close())
		require.NoError(t, client.CloseWithError(0, ""))
		advance(time.Second)
	})
}
