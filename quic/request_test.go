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

	"github.com/stretchr/testify/require"
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
