package metrics

import "github.com/pqquic/pqquic/quic"

// trafficCounters are the counters of packets and bytes.
var trafficCounters = []struct {
	Family
	value func(*quic.TrafficStats) uint64
}{
	{dirCounter("quicgo_packets_sent_total", "Packets sent."), func(t *quic.TrafficStats) uint64 { return t.PacketsSent }},
	{dirCounter("quicgo_packets_received_total", "Packets received and processed."), func(t *quic.TrafficStats) uint64 { return t.PacketsReceived }},
	{dirCounter("pqquic_sent_bytes_total", "Bytes of UDP payload sent."), func(t *quic.TrafficStats) uint64 { return t.BytesSent }},
	{dirCounter("pqquic_received_bytes_total", "Bytes of UDP payload received."), func(t *quic.TrafficStats) uint64 { return t.BytesReceived }},
	{dirCounter("pqquic_udp_datagrams_sent_total", "UDP datagrams sent."), func(t *quic.TrafficStats) uint64 { return t.DatagramsSent }},
	{dirCounter("pqquic_udp_datagrams_received_total", "UDP datagrams received."), func(t *quic.TrafficStats) uint64 { return t.DatagramsReceived }},
	{dirCounter("pqquic_send_errors_total", "Runs of datagrams that the socket failed to send."), func(t *quic.TrafficStats) uint64 { return t.SendErrors }},
	{dirCounter("pqquic_packets_lost_total", "Packets declared lost."), func(t *quic.TrafficStats) uint64 { return t.PacketsLost }},
	{dirCounter("pqquic_lost_bytes_total", "Bytes of the packets declared lost."), func(t *quic.TrafficStats) uint64 { return t.BytesLost }},
	{dirCounter("pqquic_spurious_losses_total", "Packets declared lost and acknowledged later."), func(t *quic.TrafficStats) uint64 { return t.SpuriousLosses }},
	{dirCounter("pqquic_probe_timeouts_total", "Expirations of the probe timeout."), func(t *quic.TrafficStats) uint64 { return t.ProbeTimeouts }},
	{dirCounter("pqquic_packets_marked_total", "Packets sent that a router has marked with ECN-CE."), func(t *quic.TrafficStats) uint64 { return t.PacketsMarked }},
	{dirCounter("pqquic_congestion_events_total", "Reductions of the congestion window."), func(t *quic.TrafficStats) uint64 { return t.CongestionEvents }},
	{dirCounter("pqquic_path_changes_total", "Changes of the addresses in use."), func(t *quic.TrafficStats) uint64 { return t.PathChanges }},
	{dirCounter("pqquic_failed_paths_total", "Paths that could not be validated."), func(t *quic.TrafficStats) uint64 { return t.FailedPaths }},
	{dirCounter("pqquic_key_updates_total", "Updates of the 1-RTT keys."), func(t *quic.TrafficStats) uint64 { return t.KeyUpdates }},
	{dirCounter("pqquic_handshake_flights_total", "Flights of both sides in handshakes."), func(t *quic.TrafficStats) uint64 { return t.HandshakeFlights }},
	{dirCounter("pqquic_handshake_sent_bytes_total", "Bytes of Initial and Handshake packets sent."), func(t *quic.TrafficStats) uint64 { return t.HandshakeBytesSent }},
	{dirCounter("pqquic_handshake_received_bytes_total", "Bytes of Initial and Handshake packets received."), func(t *quic.TrafficStats) uint64 { return t.HandshakeBytesReceived }},
	{dirCounter("pqquic_datagrams_sent_total", "Datagrams of applications sent (RFC 9221)."), func(t *quic.TrafficStats) uint64 { return t.Datagrams.Sent }},
	{dirCounter("pqquic_datagrams_received_total", "Datagrams of applications received."), func(t *quic.TrafficStats) uint64 { return t.Datagrams.Received }},
	{dirCounter("pqquic_datagrams_lost_total", "Datagrams of applications lost on the way."), func(t *quic.TrafficStats) uint64 { return t.Datagrams.Lost }},
}

func dirCounter(name, help string) Family {
	return Family{Name: name, Help: help, Labels: []string{"dir"}}
}

var (
	packetsDropped = Family{Name: "pqquic_packets_dropped_total", Labels: []string{"dir", "reason"},
		Help: "Packets of connections received and not processed, by reason."}
	datagramsDropped = Family{Name: "pqquic_datagrams_dropped_total", Labels: []string{"dir", "reason"},
		Help: "Datagrams of applications that a queue or the memory had no room for."}
	streamsOpened = Family{Name: "pqquic_streams_opened_total", Labels: []string{"dir", "by"}, Help: "Streams opened, by this side or the peer."}
)

// trafficSamples returns the metrics of all connections of one direction.
func trafficSamples(d *directionStats, dir string) (out []Sample) {
	t := &d.ended
	add := func(f *Family, v uint64, labels ...string) {
		out = append(out, Sample{Family: f, Labels: append([]string{dir}, labels...), Value: float64(v)})
	}
	for i := range trafficCounters {
		c := &trafficCounters[i]
		add(&c.Family, c.value(t))
	}
	for _, r := range []struct {
		reason string
		n      uint64
	}{
		{"duplicate", t.Drops.Duplicate}, {"undecryptable", t.Drops.Undecryptable}, {"wrong_path", t.Drops.WrongPath},
		{"malformed", t.Drops.Malformed}, {"too_small", t.Drops.TooSmall}, {"wrong_version", t.Drops.WrongVersion},
		{"unknown_connection_id", t.Drops.UnknownConnID}, {"source_connection_id", t.Drops.SourceConnID},
		{"unexpected_type", t.Drops.UnexpectedType}, {"unexpected_token", t.Drops.UnexpectedToken},
		{"keys_unavailable", t.Drops.KeysUnavailable}, {"keys_discarded", t.Drops.KeysDiscarded},
		{"invalid_retry", t.Drops.InvalidRetry}, {"invalid_versions", t.Drops.InvalidVersions},
		{"no_memory", t.Drops.NoMemory}, {"closed", t.Drops.Closed},
	} {
		add(&packetsDropped, r.n, r.reason)
	}
	add(&datagramsDropped, t.Datagrams.SendTooLarge, "send_too_large")
	add(&datagramsDropped, t.Datagrams.SendQueueOverflow, "send_queue")
	add(&datagramsDropped, t.Datagrams.ReceiveOverflows, "receive_queue")
	add(&datagramsDropped, t.Datagrams.ReceiveNoMemory, "receive_memory")
	add(&streamsOpened, uint64(d.endedStreams[0]), "local")
	add(&streamsOpened, uint64(d.endedStreams[1]), "peer")
	return out
}
