//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestFullPoolPostponesClients has clients connect while the queue of TLS jobs is full, once for a second
// and once for so long that they are refused. A post-quantum ClientHello takes two datagrams, which a
// client never repeats once they are acknowledged.
func TestFullPoolPostponesClients(t *testing.T) {
	for _, tt := range []struct {
		full    time.Duration
		refused bool
	}{{time.Second, false}, {time.Minute, true}} {
		inBubble(t, nil, nil, func(t *testing.T, w *world) {
			queued := int64(w.server.pool.limit)
			w.server.pool.waiting.Add(queued)
			release := time.AfterFunc(tt.full, func() { w.server.pool.waiting.Add(-queued) })
			defer release.Stop()
			results := make(chan error)
			const clients = 20
			began := time.Now()
			for range clients {
				go func() {
					_, err := w.client.Dial(t.Context(), serverAddr, nil)
					results <- err
				}()
			}
			for range clients {
				err := <-results
				if tt.refused {
					requireTransportError(t, err, ConnectionRefused, true)
					continue
				}
				require.NoError(t, err)
				_, err = w.listener.Accept(t.Context())
				require.NoError(t, err)
			}
			require.Less(t, time.Since(began), 5*time.Second, "long before the handshake times out")
			require.GreaterOrEqual(t, w.server.Stats().Postponed, uint64(clients))
		})
	}
}
