//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"runtime/metrics"
	"testing"

	"github.com/stretchr/testify/require"
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
