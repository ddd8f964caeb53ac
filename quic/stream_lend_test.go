//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A lender lends slices and reuses them as soon as they are returned.
type lender struct {
	t        *testing.T
	returned chan int // sizes
	lent     int
}

func newLender(t *testing.T) *lender { return &lender{t: t, returned: make(chan int, 1000)} }

func (l *lender) write(s *Stream, p []byte) (int, error) {
	own := append([]byte(nil), p...)
	l.lent++
	return s.WriteNoCopy(own, func(q []byte) {
		require.Same(l.t, &own[0], &q[0])
		require.Len(l.t, q, len(own))
		clear(q)
		l.returned <- len(q)
	})
}

// requireReturned requires that each slice was returned once.
func (l *lender) requireReturned() {
	l.t.Helper()
	advance(10 * time.Second)
	require.Len(l.t, l.returned, l.lent)
}

// What is lent is sent again from the same memory when packets are lost, and returned when all of it is
// acknowledged.
func TestWriteNoCopyUnderLoss(t *testing.T) {
	client := clientConfig()
	client.StreamSendBuffer = 50_000
	inBubble(t, nil, client, func(t *testing.T, w *world) {
		c, s := w.stream(w.connect())
		n := 0
		w.net.SetDrop(func(_, _ netip.AddrPort, _ []byte) bool { n++; return n%7 == 0 })
		l := newLender(t)
		want := pattern(600_000, 4)
		written := start(func() error {
			for at := 0; at < len(want); {
				// Some are larger than the send buffer, some so small that they are copied.
				n := min([]int{100, 5000, 30_000, 120_000, 1}[l.lent%5], len(want)-at)
				got, err := l.write(c, want[at:at+n])
				if err != nil || got != n {
					return errors.Join(err, io.ErrShortWrite)
				}
				at += n
			}
			return c.CloseWrite()
		})
		got, err := io.ReadAll(s)
		require.NoError(t, err)
		require.NoError(t, <-written)
		requireSame(t, want, got)
		l.requireReturned()
	})
}

// A slice is not returned before the peer has acknowledged it.
func TestWriteNoCopyWaits(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		c, s := w.stream(w.connect())
		l := newLender(t)
		w.net.SetDrop(func(netip.AddrPort, netip.AddrPort, []byte) bool { return true })
		n, err := l.write(c, pattern(10_000, 1))
		require.NoError(t, err)
		require.Equal(t, 10_000, n)
		advance(time.Second)
		require.Empty(t, l.returned)
		w.net.SetDrop(nil)
		require.NoError(t, c.CloseWrite())
		got, err := io.ReadAll(s)
		require.NoError(t, err)
		requireSame(t, pattern(10_000, 1), got)
		l.requireReturned()
		require.Equal(t, 10_000, <-l.returned)

		// A slice without a function to return it can be lent any number of times.
		c, s = w.stream(c.Conn(), s.Conn())
		same := pattern(10_000, 2)
		for range 3 {
			_, err := c.WriteNoCopy(same, nil)
			require.NoError(t, err)
		}
		_, err = c.WriteNoCopy(nil, nil)
		require.NoError(t, err)
		got = make([]byte, len(same))
		for range 3 {
			_, err = io.ReadFull(s, got)
			require.NoError(t, err)
			requireSame(t, same, got)
		}
	})
}

// Whatever ends a WriteNoCopy that waits for flow control, the slice is returned, and not before the stream has
// stopped using it.
func TestWriteNoCopyEnds(t *testing.T) {
	for name, tc := range map[string]struct {
		end   func(t *testing.T, c, s *Stream)
		check func(t *testing.T, err error)
	}{
		"reset": {
			func(t *testing.T, c, _ *Stream) { require.NoError(t, c.Reset(7)) },
			func(t *testing.T, err error) { require.ErrorAs(t, err, new(*StreamError)) },
		},
		"stopped by the peer": {
			func(t *testing.T, _, s *Stream) { require.NoError(t, s.StopSending(7)) },
			func(t *testing.T, err error) { require.ErrorAs(t, err, new(*StreamError)) },
		},
		"the connection is closed": {
			func(t *testing.T, c, _ *Stream) { require.NoError(t, c.Conn().CloseWithError(7, "")) },
			func(t *testing.T, err error) { require.ErrorIs(t, err, net.ErrClosed) },
		},
		"the peer closes the connection": {
			func(t *testing.T, _, s *Stream) { require.NoError(t, s.Conn().CloseWithError(7, "")) },
			func(t *testing.T, err error) { require.ErrorIs(t, err, net.ErrClosed) },
		},
		"the endpoint is closed": {
			func(t *testing.T, c, _ *Stream) { require.NoError(t, c.Conn().ep.Close()) },
			func(t *testing.T, err error) { require.ErrorIs(t, err, ErrEndpointClosed) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := serverConfig()
			cfg.StreamWindow, cfg.MaxStreamWindow = 20_000, 20_000
			client := clientConfig()
			client.StreamSendBuffer = 60_000
			inBubble(t, cfg, client, func(t *testing.T, w *world) {
				c, s := w.stream(w.connect())
				l := newLender(t)
				_, err := l.write(c, pattern(5000, 1)) // acknowledged
				require.NoError(t, err)
				written := start(func() error { _, err := l.write(c, pattern(100_000, 2)); return err })
				advance(time.Second)
				require.Empty(t, written)
				require.Len(t, l.returned, 1)
				tc.end(t, c, s)
				tc.check(t, <-written)
				_, err = l.write(c, pattern(5000, 3))
				tc.check(t, err)
				_, err = l.write(c, pattern(10, 4))
				tc.check(t, err)
				l.requireReturned()
			})
		})
	}
}

// After the deadline, the part that is in the send buffer is still sent from the slice.
func TestWriteNoCopyDeadline(t *testing.T) {
	client := clientConfig()
	client.StreamSendBuffer = 32 << 10
	inBubble(t, nil, client, func(t *testing.T, w *world) {
		c, s := w.stream(w.connect())
		l := newLender(t)
		advance(time.Second) // the first byte is acknowledged
		w.net.SetDrop(func(netip.AddrPort, netip.AddrPort, []byte) bool { return true })
		require.NoError(t, c.SetWriteDeadline(time.Now().Add(time.Second)))
		n, err := l.write(c, pattern(1<<20, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, 32<<10, n)
		_, err = l.write(c, pattern(1<<20, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		synctest.Wait()
		require.Len(t, l.returned, 1, "nothing of the second was written")
		w.net.SetDrop(nil)
		require.NoError(t, c.SetWriteDeadline(time.Time{}))
		require.NoError(t, c.CloseWrite())
		got, err := io.ReadAll(s)
		require.NoError(t, err)
		requireSame(t, pattern(1<<20, 1)[:n], got)
		l.requireReturned()
	})
}

// A function that does not return delays no packet and no call, and runtime.Goexit in one stops no other.
func TestReleaseThatWaits(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		c, s := w.stream(client, server)
		l := newLender(t)
		enough := make(chan struct{})
		_, err := c.WriteNoCopy(pattern(10_000, 1), func([]byte) { <-enough; runtime.Goexit() })
		require.NoError(t, err)
		_, err = l.write(c, pattern(10_000, 2))
		require.NoError(t, err)
		_, err = io.ReadFull(s, make([]byte, 20_000))
		require.NoError(t, err)
		advance(time.Second)
		requireTransfer(t, c, s, 100_000)
		c, s = w.stream(w.connect())
		requireTransfer(t, c, s, 100_000)
		require.Empty(t, l.returned)
		close(enough)
		l.requireReturned()
	})
}

func TestReadFrom(t *testing.T) {
	client := clientConfig()
	client.StreamSendBuffer = 200_000
	inBubble(t, nil, client, func(t *testing.T, w *world) {
		c, s := w.stream(w.connect())
		n := 0
		w.net.SetDrop(func(_, _ netip.AddrPort, _ []byte) bool { n++; return n%10 == 0 })
		want := pattern(900_000, 5)
		sizes := []int{0, 1, 100, 8000, 9000, 1 << 20, 1 << 20, 40_000, 1 << 20, 16 << 10, 30_000, 1 << 20, 20_000}
		at, reads := 0, 0
		bad := errors.New("source broken")
		source := readerFunc(func(p []byte) (int, error) {
			n := min(sizes[reads%len(sizes)], len(p), len(want)-at)
			copy(p, want[at:at+n])
			reads++
			switch at += n; {
			case at == len(want):
				return n, io.EOF // with data
			case reads == 10:
				return n, bad
			}
			return n, nil
		})
		written := start(func() error {
			m, err := c.ReadFrom(source)
			require.ErrorIs(t, err, bad)
			require.EqualValues(t, at, m)
			m, err = io.Copy(c, source)
			require.Positive(t, m)
			return errors.Join(err, c.CloseWrite())
		})
		got, err := io.ReadAll(s)
		require.NoError(t, err)
		require.NoError(t, <-written)
		requireSame(t, want, got)
	})
}

// ReadFrom returns the error of the stream, and how many bytes it has written.
func TestReadFromEnds(t *testing.T) {
	client := clientConfig()
	client.StreamSendBuffer = 100_000
	inBubble(t, nil, client, func(t *testing.T, w *world) {
		client, server := w.connect()
		endless := readerFunc(func(p []byte) (int, error) { return len(p), nil })
		c, _ := w.stream(client, server)
		for _, count := range []int{-1, 1 << 30} {
			_, err := c.ReadFrom(readerFunc(func([]byte) (int, error) { return count, nil }))
			require.ErrorContains(t, err, "Read returned")
		}
		advance(time.Second) // the first byte is acknowledged
		w.net.SetDrop(func(netip.AddrPort, netip.AddrPort, []byte) bool { return true })
		require.NoError(t, c.SetWriteDeadline(time.Now().Add(time.Second)))
		n, err := c.ReadFrom(endless)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.EqualValues(t, 100_000, n)
		require.NoError(t, c.SetWriteDeadline(time.Time{}))
		w.net.SetDrop(nil)
		copied := start(func() error { _, err := c.ReadFrom(endless); return err })
		synctest.Wait()
		require.NoError(t, c.Reset(7))
		require.Equal(t, &StreamError{ID: c.ID(), Code: 7}, <-copied)
	})
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// io.Copy between streams uses WriteTo. A stream can be copied to itself.
func TestCopyStreams(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		c, s := w.stream(client, server)
		echoed := start(func() error {
			_, err := io.Copy(s, s)
			return errors.Join(err, s.CloseWrite())
		})
		want := pattern(300_000, 1)
		written := start(func() error {
			_, err := c.Write(want)
			return errors.Join(err, c.CloseWrite())
		})
		got, err := io.ReadAll(c)
		require.NoError(t, err)
		require.NoError(t, errors.Join(<-written, <-echoed))
		requireSame(t, want, got)

		out, err := server.OpenUniStream(t.Context())
		require.NoError(t, err)
		same := pattern(10_000, 2)
		_, err = out.WriteNoCopy(same, nil)
		require.NoError(t, err)
		_, err = out.ReadFrom(readerFunc(func([]byte) (int, error) { return 0, io.EOF }))
		require.NoError(t, err)
		require.NoError(t, out.Close())
		in, err := client.AcceptUniStream(t.Context())
		require.NoError(t, err)
		b, err := in.Peek(200)
		require.NoError(t, err)
		requireSame(t, same[:200], b[:200])
		_, err = in.Discard(9_000)
		require.NoError(t, err)
		n, err := in.WriteTo(io.Discard)
		require.NoError(t, err)
		require.EqualValues(t, 1000, n)
	})
}
