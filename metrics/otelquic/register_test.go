package otelquic_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/pqquic/pqquic/metrics"
	"github.com/pqquic/pqquic/metrics/internal/traffic"
	"github.com/pqquic/pqquic/metrics/otelquic"
)

// collect returns the metrics of a reader by name.
func collect(t *testing.T, r metric.Reader) map[string]metricdata.Metrics {
	t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(t, r.Collect(t.Context(), &all))
	out := make(map[string]metricdata.Metrics)
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			out[m.Name] = m
		}
	}
	return out
}

// An SDK of OpenTelemetry reads the counters and gets each observation of a histogram.
func TestRegister(t *testing.T) {
	reader := metric.NewManualReader()
	m := metrics.NewMonitor()
	unregister, err := otelquic.Register(m, metric.NewMeterProvider(metric.WithReader(reader)).Meter("quic"))
	require.NoError(t, err)
	p := traffic.Open(t, m)
	client, _ := p.Connect(t, nil)
	require.NoError(t, client.CloseWithError(0, ""))
	p.WaitEnded(t, 2)
	m.Handler(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))

	got := collect(t, reader)
	started := got["quicgo.connections_started"].Data.(metricdata.Sum[float64])
	require.True(t, started.IsMonotonic)
	require.Len(t, started.DataPoints, 2)
	bytes := got["pqquic.received"]
	require.Equal(t, "By", bytes.Unit)
	duration := got["quicgo.handshake_duration"]
	require.Equal(t, "s", duration.Unit)
	points := duration.Data.(metricdata.Histogram[float64]).DataPoints
	require.Len(t, points, 2)
	for _, point := range points {
		require.Equal(t, uint64(1), point.Count)
		require.Positive(t, point.Sum)
		require.Len(t, point.Bounds, 35)
	}
	handshakes := got["pqquic.handshakes"].Data.(metricdata.Sum[float64]).DataPoints
	require.Len(t, handshakes, 2)
	group, ok := handshakes[0].Attributes.Value(attribute.Key("group"))
	require.True(t, ok)
	require.Equal(t, "X25519MLKEM768", group.AsString())
	require.Len(t, got, len(metrics.Families()))

	require.NoError(t, unregister())
	client, _ = p.Connect(t, nil)
	require.NoError(t, client.CloseWithError(0, ""))
	p.WaitEnded(t, 2)
	require.NotContains(t, collect(t, reader), "quicgo.connections_started")
	p.Close(t)
}
