//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/monotime"
)

const messageSize = 100

// request sends a message and its end on a new stream, and reads the answer.
func request(conn *Conn) error {
	s, err := conn.OpenStream(context.Background())
	if err != nil {
		return err
	}
	if _, err := s.Write(make([]byte, messageSize)); err != nil {
		return err
	}
	if err := s.CloseWrite(); err != nil {
		return err
	}
	got, err := io.ReadAll(s)
	if err == nil && len(got) != messageSize {
		err = errors.New("the answer has the wrong size")
	}
	return err
}

// respond answers a request.
func respond(s *Stream) {
	if _, err := io.Copy(io.Discard, s); err != nil {
		return
	}
	if _, err := s.Write(make([]byte, messageSize)); err == nil {
		_ = s.CloseWrite() // the client reports an answer without an end
	}
}

// A message and the end of its stream travel in one datagram, which also carries the acknowledgement of the
// peer's. Streams of several goroutines share datagrams. One processor makes the order of goroutines
// regular: a sender runs when the application waits.
func TestDatagramsOfRequests(t *testing.T) {
	for name, c := range map[string]struct {
		concurrent int
		most       float64 // datagrams for each stream, both directions
	}{
		"one after another": {1, 2.3},
		"32 at a time":      {32, 0.6},
	} {
		t.Run(name, func(t *testing.T) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
			inBubble(t, nil, nil, func(t *testing.T, w *world) {
				client, server := w.connect()
				var wg sync.WaitGroup
				wg.Go(func() { serveStreams(&wg, server, respond) })
				require.NoError(t, request(client)) // the handshake is confirmed

				var sent atomic.Int64
				w.net.SetDrop(func(_, _ netip.AddrPort, _ []byte) bool {
					sent.Add(1)
					return false
				})
				const each = 50
				errs := make([]error, c.concurrent)
				var clients sync.WaitGroup
				for i := range errs {
					clients.Go(func() {
						for n := 0; n < each && errs[i] == nil; n++ {
							errs[i] = request(client)
						}
					})
				}
				clients.Wait()
				require.NoError(t, errors.Join(errs...))
				require.Less(t, float64(sent.Load())/float64(each*c.concurrent), c.most)
				require.NoError(t, client.CloseWithError(0, ""))
				wg.Wait()
			})
		})
	}
}

// The datagrams of a connection do not set the Endpoint's deadline, and calls that change nothing do not set
// the connection's. The items are marked, and setting one would overwrite the mark.
func TestUnchangedDeadlinesAreNotSet(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		c, s := w.stream(client, server)
		advance(time.Second)
		_, err := s.Write([]byte{1, 2})
		require.NoError(t, err)
		advance(5 * time.Second) // the client, which expects more, first sends some PING frames
		const mark = monotime.Time(1<<63 - 1)
		setMark := func(it *timerItem) (old monotime.Time) {
			client.ep.timers.mu.Lock()
			defer client.ep.timers.mu.Unlock()
			old, it.want = it.want, mark
			return old
		}
		endpoint := setMark(&client.ep.timer)
		setMark(&client.timer)
		for range 2 {
			_, err = c.Read(make([]byte, 1))
			require.NoError(t, err)
		}
		require.Equal(t, mark, client.timer.want, "a Read has set the connection's deadline")
		for range 10 {
			_, err = s.Write([]byte{1})
			require.NoError(t, err)
			_, err = c.Read(make([]byte, 1))
			require.NoError(t, err)
		}
		synctest.Wait()
		require.Equal(t, mark, client.ep.timer.want, "a datagram has set the endpoint's deadline")
		require.NotEqual(t, mark, client.timer.want, "a datagram sets the connection's deadline")
		client.ep.timer.want = endpoint
	})
}
