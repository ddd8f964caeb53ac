//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
)

// goroutinesCreated returns the number of goroutines that the process has started.
func goroutinesCreated() uint64 {
	s := []metrics.Sample{{Name: "/sched/goroutines-created:goroutines"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// Handshakes one after another use the same workers. The native provider starts a goroutine of crypto/tls at
// either end of a connection; nothing else starts one.
func TestHandshakesStartNoGoroutines(t *testing.T) {
	l, err := Listen("udp", "127.0.0.1:0", serverConfig())
	require.NoError(t, err)
	defer l.Endpoint().Close()
	e, err := newTestEndpoint()
	require.NoError(t, err)
	defer e.Close()
	connect := func() {
		client, err := e.Dial(t.Context(), l.Addr().String(), nil)
		require.NoError(t, err)
		server, err := l.Accept(t.Context())
		require.NoError(t, err)
		require.NoError(t, client.Close())
		<-server.Context().Done()
	}
	connect() // starts the workers and the senders
	const n, slack = 50, 25
	before := goroutinesCreated()
	for range n {
		connect()
	}
	require.Less(t, goroutinesCreated()-before, uint64(2*n+slack))
}

// While established connections exchange packets, TLS steps do not run on all processors. Afterwards they do.
func TestPacketsReserveAProcessor(t *testing.T) {
	const procs = 3
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
	var waiting atomic.Int64               // steps
	var gate atomic.Pointer[chan struct{}] // nil if steps do not wait
	cfg := serverConfig()
	cfg.Provider = &steppedProvider{Provider: native.New(), side: tlsprovider.Server, beforeAdvance: func([]tlsprovider.CryptoData) {
		if may := gate.Load(); may != nil {
			waiting.Add(1)
			<-*may
			waiting.Add(-1)
		}
	}}
	inBubble(t, cfg, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		exchange := func() { w.stream(client, server) }
		// handshakes begins more handshakes than there are processors, and returns how many of their steps run.
		handshakes := func() int64 {
			may := make(chan struct{})
			gate.Store(&may)
			var dials sync.WaitGroup
			for range 2 * procs {
				dials.Go(func() {
					conn, err := w.client.Dial(t.Context(), serverAddr, nil)
					if err != nil {
						t.Error(err)
						return
					}
					conn.CloseWithError(0, "")
				})
			}
			advance(100 * time.Millisecond)
			running := waiting.Load()
			gate.Store(nil)
			close(may)
			dials.Wait()
			for range 2 * procs {
				_, err := w.listener.Accept(t.Context())
				require.NoError(t, err)
			}
			return running
		}
		exchange()
		require.Equal(t, int64(procs), handshakes(), "the connection may be a short one")
		advance(2 * settledAfter)
		exchange()
		require.Equal(t, int64(procs-1), handshakes())
		advance(2 * reservedFor)
		require.Equal(t, int64(procs), handshakes(), "the connection is idle")
	})
}
