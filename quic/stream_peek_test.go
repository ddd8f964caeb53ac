//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// received sends n bytes from c to s and waits until they have arrived.
func received(t *testing.T, c *Stream, n int, seed byte) []byte {
	t.Helper()
	p := pattern(n, seed)
	_, err := c.Write(p)
	require.NoError(t, err)
	advance(time.Second)
	return p
}

func TestPeek(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		c, s := w.stream(client, server)
		b, err := s.Peek(0)
		require.NoError(t, err)
		require.Empty(t, b, "Peek(0) does not wait")

		want := received(t, c, 100_000, 1)
		for at := 0; at < len(want); {
			for _, n := range []int{0, 1, 5, 300, 5000, 16 << 10} {
				n = min(n, len(want)-at)
				b, err := s.Peek(n)
				require.NoError(t, err)
				require.GreaterOrEqual(t, len(b), max(n, 1))
				requireSame(t, want[at:at+len(b)], b)
				require.Equal(t, len(b), cap(b), "append must not overwrite what follows")
			}
			n, err := s.Discard(min(777, len(want)-at))
			require.NoError(t, err)
			at += n
		}

		// Peek waits for all of the bytes that it must return.
		peeked := start(func() error { b, err = s.Peek(10); return err })
		want = received(t, c, 9, 2)
		require.Empty(t, peeked)
		want = append(want, received(t, c, 3, 3)...)
		require.NoError(t, <-peeked)
		requireSame(t, want, b)

		require.NoError(t, c.CloseWrite())
		b, err = s.Peek(13)
		require.ErrorIs(t, err, io.EOF)
		requireSame(t, want, b)
		b, err = s.Peek(12)
		require.NoError(t, err)
		requireSame(t, want, b)
		n, err := s.Discard(13)
		require.Equal(t, 12, n)
		require.ErrorIs(t, err, io.EOF)
		for range 2 {
			b, err = s.Peek(1)
			require.ErrorIs(t, err, io.EOF)
			require.Empty(t, b)
			_, err = s.Discard(1)
			require.ErrorIs(t, err, io.EOF)
		}
	})
}

// A Peek of more bytes than the peer may send would never return.
func TestPeekLimit(t *testing.T) {
	cfg := serverConfig()
	cfg.StreamWindow, cfg.MaxStreamWindow = 1000, 1000
	inBubble(t, cfg, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		c, s := w.stream(client, server)
		require.NoError(t, s.SetWriteDeadline(time.Now()))
		for _, n := range []int{-1, 501, 1 << 30} {
			_, err := s.Peek(n)
			require.ErrorContains(t, err, "at most 500")
		}
		_, err := s.Discard(-1)
		require.Error(t, err)
		written := start(func() error { _, err := c.Write(pattern(10_000, 1)); return err })
		for range 10 {
			b, err := s.Peek(500)
			require.NoError(t, err)
			require.GreaterOrEqual(t, len(b), 500)
			_, err = s.Discard(900) // more than has arrived
			require.NoError(t, err)
		}
		require.NoError(t, <-written)
	})
}

func TestPeekDeadlineAndClose(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		c, s := w.stream(client, server)
		received(t, c, 1, 1)
		require.NoError(t, s.SetReadDeadline(time.Now().Add(time.Second)))
		began := time.Now()
		b, err := s.Peek(2)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Len(t, b, 1, "what has arrived")
		require.Equal(t, time.Second, time.Since(began))
		n, err := s.Discard(1)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Zero(t, n)

		require.NoError(t, s.SetReadDeadline(time.Time{}))
		n, err = s.Discard(0)
		require.NoError(t, err)
		require.Zero(t, n)
		require.NoError(t, s.SetReadDeadline(time.Now().Add(time.Second)))
		n, err = s.Discard(2)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, 1, n)

		require.NoError(t, s.SetReadDeadline(time.Time{}))
		for _, wait := range []func() error{
			func() error { _, err := c.Peek(2); return err },
			func() error { _, err := c.Discard(2); return err },
			func() error { _, err := c.WriteTo(io.Discard); return err },
		} {
			c, _ = w.stream(client, server)
			done := start(wait)
			synctest.Wait()
			require.NoError(t, c.Close())
			require.ErrorIs(t, <-done, ErrReadClosed)
			require.ErrorIs(t, wait(), ErrReadClosed)
		}
	})
}

// Bytes that were peeked stay the same, whatever ends the stream, although other streams then use memory that
// the stream has freed.
func TestPeekedBytesStay(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, c, s *Stream){
		"reset":      func(t *testing.T, c, s *Stream) { require.NoError(t, c.Reset(7)) },
		"stop":       func(t *testing.T, c, s *Stream) { require.NoError(t, s.StopSending(7)) },
		"close":      func(t *testing.T, c, s *Stream) { require.NoError(t, s.Close()) },
		"connection": func(t *testing.T, c, s *Stream) { require.NoError(t, s.Conn().CloseWithError(7, "")) },
		"peer":       func(t *testing.T, c, s *Stream) { require.NoError(t, c.Conn().CloseWithError(7, "")) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, nil, func(t *testing.T, w *world) {
				client, server := w.connect()
				c, s := w.stream(client, server)
				want := received(t, c, 40_000, 1)
				_, err := s.Discard(20_000)
				require.NoError(t, err)
				b, err := s.Peek(1)
				require.NoError(t, err)
				end(t, c, s)
				advance(time.Second)
				client, server = w.connect()
				for range 4 {
					c, s := w.stream(client, server)
					received(t, c, 100_000, 9)
					_, err := s.Discard(100_000)
					require.NoError(t, err)
				}
				requireSame(t, want[20_000:20_000+len(b)], b)
			})
		})
	}
}

func TestWriteTo(t *testing.T) {
	cfg := serverConfig()
	cfg.StreamWindow, cfg.MaxStreamWindow = 64<<10, 64<<10
	inBubble(t, cfg, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		c, s := w.stream(client, server)
		n := 0
		w.net.SetDrop(func(_, _ netip.AddrPort, _ []byte) bool { n++; return n%10 == 0 })
		want := pattern(500_000, 4)
		written := start(func() error {
			_, err := c.Write(want)
			return errors.Join(err, c.CloseWrite())
		})
		// A writer that fails gets the rest later.
		var got bytes.Buffer
		bad := errors.New("disk full")
		for at, limit := range []int{0, 10, 1000, 30_000, 100_000} {
			some, err := s.WriteTo(writerFunc(func(p []byte) (int, error) {
				k := min(len(p), limit)
				got.Write(p[:k])
				if limit -= k; limit == 0 && at%2 == 0 {
					return k, bad
				}
				return k, nil
			}))
			if at%2 == 0 {
				require.ErrorIs(t, err, bad)
			} else {
				require.ErrorIs(t, err, io.ErrShortWrite)
			}
			require.Equal(t, at > 0, some > 0)
		}
		some, err := io.Copy(struct{ io.Writer }{&got}, s)
		require.NoError(t, err)
		require.Positive(t, some)
		require.NoError(t, <-written)
		requireSame(t, want, got.Bytes())
		some, err = s.WriteTo(&got)
		require.NoError(t, err)
		require.Zero(t, some)
		_, err = s.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
	})
}

// WriteTo refuses a count that a Writer must not return.
func TestWriteToInvalidCount(t *testing.T) {
	for _, count := range []int{-1, 2} {
		inBubble(t, nil, nil, func(t *testing.T, w *world) {
			c, s := w.stream(w.connect())
			received(t, c, 1, 1)
			_, err := s.WriteTo(writerFunc(func([]byte) (int, error) { return count, nil }))
			require.ErrorContains(t, err, "Write returned")
			b, err := s.Peek(1)
			require.NoError(t, err)
			require.Len(t, b, 1, "nothing was consumed")
		})
	}
}

// A reset while the application writes what WriteTo has given it ends WriteTo with its error.
func TestWriteToReset(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		c, s := w.stream(w.connect())
		received(t, c, 1, 1)
		n, err := s.WriteTo(writerFunc(func(p []byte) (int, error) {
			require.NoError(t, c.Reset(7))
			advance(time.Second)
			return len(p), nil
		}))
		require.Equal(t, &StreamError{ID: c.ID(), Code: 7, Remote: true}, err)
		require.EqualValues(t, 1, n)
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
