package metrics

import (
	"maps"

	"github.com/pqquic/pqquic/quic"
)

// The metrics of endpoints.
var (
	rejected = Family{Name: "quicgo_server_connections_rejected_total", Labels: []string{"reason"},
		Help: "Clients that were sent something other than a handshake, or nothing, by what and why."}
	dropped = Family{Name: "quicgo_server_received_packets_dropped_total", Labels: []string{"reason"},
		Help: "Datagrams that belonged to no connection and were dropped."}
	memory = Family{Name: "pqquic_memory_bytes", Kind: Gauge, Labels: []string{"for"},
		Help: "Memory for stream data, in use of MaxSendMemory and MaxReceiveMemory."}
	serverEvents = Family{Name: "pqquic_server_events_total", Labels: []string{"event"},
		Help: "Clients that were postponed, that validated their address, and panics in handshakes."}
)

// endpointCounters are the sums over endpoints.
type endpointCounters struct {
	rejected, dropped, events map[string]uint64
	sendMemory, receiveMemory int64
}

// clone returns a copy whose maps are its own.
func (c endpointCounters) clone() endpointCounters {
	c.rejected, c.dropped, c.events = maps.Clone(c.rejected), maps.Clone(c.dropped), maps.Clone(c.events)
	return c
}

// count adds n to the count of a key.
func count(m *map[string]uint64, key string, n uint64) {
	if *m == nil {
		*m = make(map[string]uint64)
	}
	(*m)[key] += n
}

func (c *endpointCounters) add(s quic.EndpointStats) {
	d := &s.Drops
	for reason, n := range map[string]uint64{
		"retry": d.Retried, "version_negotiation": d.VersionNegotiation, "invalid_token": d.InvalidToken,
		"connection_refused": s.Refused, "ignored": s.Ignored,
	} {
		count(&c.rejected, reason, n)
	}
	for reason, n := range map[string]uint64{
		"dos_prevention":  d.RateLimit + d.Overload + d.HelloTooLarge + d.HelloTimeout + d.SuppressedReset + d.ReflectionPort,
		"header_parsing":  d.Malformed + d.TooSmall + d.ShortConnID + d.UnknownVersion,
		"payload_decrypt": d.Undecryptable + d.BadHello,
		"unexpected_packet": d.UnknownConnID + d.NotAccepting + d.ClosedConn + d.RetiredConnID +
			s.ForwardDrops + s.NonQUICDropped,
	} {
		count(&c.dropped, reason, n)
	}
	for event, n := range map[string]uint64{
		"stateless_reset_sent": d.StatelessReset, "no_connection_id": d.NoConnID, "postponed": s.Postponed, "panic": s.Panics,
		"validated_by_token": s.ValidatedByToken, "backlog_full": s.BacklogFull, "too_many_connections": s.TooManyConns,
		"forwarded": s.Forwarded, "send_memory_wait": s.SendMemoryWaits, "receive_memory_drop": s.ReceiveMemoryDrops,
		"non_quic_received": s.NonQUICReceived, "sign_timeout": s.SignTimeouts,
	} {
		count(&c.events, event, n)
	}
	c.sendMemory += s.SendMemory
	c.receiveMemory += s.ReceiveMemory
}

func (c *endpointCounters) samples() (out []Sample) {
	for _, g := range []struct {
		f *Family
		m map[string]uint64
	}{{&rejected, c.rejected}, {&dropped, c.dropped}, {&serverEvents, c.events}} {
		for label, n := range g.m {
			out = append(out, Sample{Family: g.f, Labels: []string{label}, Value: float64(n)})
		}
	}
	return append(out,
		Sample{Family: &memory, Labels: []string{"send"}, Value: float64(c.sendMemory)},
		Sample{Family: &memory, Labels: []string{"receive"}, Value: float64(c.receiveMemory)})
}

// Families returns all metrics that Gather can return.
func Families() []*Family {
	out := []*Family{
		&started, &closed, &handshakeDuration, &connectionDuration, &roundTripTime, &current, &handshakes, &downgrades, &requests,
		&packetsDropped, &datagramsDropped, &streamsOpened, &rejected, &dropped, &memory, &serverEvents,
	}
	for i := range trafficCounters {
		out = append(out, &trafficCounters[i].Family)
	}
	return out
}
