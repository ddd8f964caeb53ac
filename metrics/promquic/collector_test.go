package promquic_test

import (
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/metrics"
	"github.com/pqquic/pqquic/metrics/internal/traffic"
	"github.com/pqquic/pqquic/metrics/promquic"
)

// Prometheus accepts all metrics: a pedantic registry checks that they are consistent, and the linter their names.
func TestCollector(t *testing.T) {
	m := metrics.NewMonitor()
	collector := promquic.NewCollector(m)
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(collector))
	p := traffic.Open(t, m)
	client, _ := p.Connect(t, nil)
	scrape := func() string {
		w := httptest.NewRecorder()
		promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.HTTPErrorOnError}).
			ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		require.Equal(t, 200, w.Code, w.Body.String())
		return w.Body.String()
	}
	require.Contains(t, scrape(), `pqquic_connections{dir="outgoing"} 1`)
	require.NoError(t, client.CloseWithError(0, ""))
	p.WaitEnded(t, 2)
	body := scrape()
	for _, line := range []string{
		`quicgo_connections_started_total{dir="incoming"} 1`,
		`quicgo_connections_closed_total{dir="outgoing",reason="application_error (local)"} 1`,
		`quicgo_handshake_duration_seconds_count{dir="outgoing"} 1`,
		`quicgo_connection_duration_seconds_bucket{dir="incoming",le="+Inf"} 1`,
		`pqquic_handshakes_total{dir="incoming",group="X25519MLKEM768",post_quantum="true",resumed="false"} 1`,
		`pqquic_handshake_flights_total{dir="incoming"} 3`,
		`quicgo_server_received_packets_dropped_total{reason="payload_decrypt"} 0`,
	} {
		require.Contains(t, body, line+"\n")
	}
	problems, err := testutil.GatherAndLint(registry)
	require.NoError(t, err)
	require.Empty(t, problems)
	p.Close(t)
}
