package metrics_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/metrics"
	"github.com/pqquic/pqquic/metrics/internal/traffic"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
)

// values returns the gathered values by name and labels.
func values(m *metrics.Monitor) map[string]float64 {
	out := make(map[string]float64)
	for _, s := range m.Gather() {
		v := s.Value
		if s.Family.Kind == metrics.Histogram {
			v = float64(s.Count)
		}
		out[fmt.Sprintf("%s{%s}", s.Family.Name, strings.Join(s.Labels, ","))] += v
	}
	return out
}

// The metrics agree with the counters of the connections, while they are open and when they have ended.
func TestMonitor(t *testing.T) {
	m := metrics.NewMonitor()
	p := traffic.Open(t, m)
	client, server := p.Connect(t, nil)
	stats := client.Stats()
	v := values(m)
	require.Equal(t, 1.0, v["pqquic_connections{incoming}"])
	require.Equal(t, 1.0, v["pqquic_connections{outgoing}"])
	require.Equal(t, 1.0, v["pqquic_handshakes_total{incoming,X25519MLKEM768,true,false}"])
	require.Equal(t, 1.0, v["quicgo_handshake_duration_seconds{outgoing}"])
	require.Zero(t, v["quicgo_connection_duration_seconds{outgoing}"])
	require.Equal(t, 3.0, v["pqquic_handshake_flights_total{incoming}"])
	require.GreaterOrEqual(t, v["pqquic_handshake_sent_bytes_total{outgoing}"], float64(1216), "the client's key share")
	require.GreaterOrEqual(t, v["quicgo_packets_sent_total{outgoing}"], float64(stats.PacketsSent))

	require.NoError(t, client.CloseWithError(7, "done"))
	<-server.Context().Done()
	p.WaitEnded(t, 2)
	v = values(m)
	require.Zero(t, v["pqquic_connections{incoming}"]+v["pqquic_connections{outgoing}"])
	require.Equal(t, 1.0, v["quicgo_connections_started_total{outgoing}"])
	require.Equal(t, 1.0, v["quicgo_connections_closed_total{outgoing,application_error (local)}"])
	require.Equal(t, 1.0, v["quicgo_connections_closed_total{incoming,application_error (remote)}"])
	require.Equal(t, 1.0, v["quicgo_connection_duration_seconds{incoming}"])
	require.Equal(t, 1.0, v["pqquic_smoothed_rtt_seconds{outgoing}"])
	require.GreaterOrEqual(t, v["pqquic_received_bytes_total{incoming}"], float64(stats.BytesSent))
	require.Equal(t, 1.0, v["pqquic_streams_opened_total{outgoing,local}"])
	require.Equal(t, 1.0, v["pqquic_streams_opened_total{incoming,peer}"])

	// A classical client is a downgrade for the server, which offers more, but not for the client itself.
	client, server = p.Connect(t, []tlsprovider.Group{tlsprovider.X25519})
	v = values(m)
	require.Equal(t, 1.0, v["pqquic_handshakes_total{incoming,X25519,false,false}"])
	require.Equal(t, 1.0, v["pqquic_handshake_downgrades_total{incoming}"])
	require.Zero(t, v["pqquic_handshake_downgrades_total{outgoing}"])
	require.NoError(t, client.Close())
	<-server.Context().Done()
	p.WaitEnded(t, 2)

	// A client without a common protocol fails, and one without permission is refused.
	bad := p.ClientConfig()
	bad.TLS.NextProtos = []string{"other"}
	_, err := quic.Dial(t.Context(), "udp", p.Addr(), p.Config(bad))
	require.Error(t, err)
	p.WaitEnded(t, 2)
	v = values(m)
	require.Equal(t, 1.0, v["quicgo_connections_closed_total{outgoing,crypto_error (remote)}"])
	require.Equal(t, 1.0, v["quicgo_connections_closed_total{incoming,crypto_error (local)}"])
	require.Zero(t, v["quicgo_server_connections_rejected_total{connection_refused}"])
	p.RefuseAll()
	_, err = quic.Dial(t.Context(), "udp", p.Addr(), p.Config(p.ClientConfig()))
	require.Error(t, err)
	p.WaitEnded(t, 1)
	v = values(m)
	require.Equal(t, 1.0, v["quicgo_server_connections_rejected_total{connection_refused}"])

	// What an endpoint has counted stays when it is removed. Its connections are reported by Config.
	p.Close(t)
	require.Equal(t, 1.0, values(m)["quicgo_server_connections_rejected_total{connection_refused}"])
	for name := range values(m) {
		family, _, _ := strings.Cut(name, "{")
		require.Contains(t, names(), family)
	}
}

func names() (out []string) {
	for _, f := range metrics.Families() {
		out = append(out, f.Name)
	}
	return out
}

// The OnConn of the Config that the Monitor gets is called as well.
func TestConfigKeepsOnConn(t *testing.T) {
	p := traffic.Open(t, metrics.NewMonitor())
	defer p.Close(t)
	events := make(chan quic.ConnEvent, 10)
	cfg := p.ClientConfig()
	cfg.OnConn = func(_ *quic.Conn, ev quic.ConnEvent) { events <- ev }
	conn, err := quic.Dial(t.Context(), "udp", p.Addr(), p.Config(cfg))
	require.NoError(t, err)
	require.Equal(t, quic.ConnBegun, <-events)
	require.Equal(t, quic.ConnEstablished, <-events) // Close could overtake it
	require.NoError(t, conn.Close())
	require.Equal(t, quic.ConnEnded, <-events)
}
