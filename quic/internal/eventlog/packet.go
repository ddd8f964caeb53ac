package eventlog

import (
	"time"

	"github.com/pqquic/pqquic/internal/varint"
	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/datagram"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// The events of packets, loss detection and congestion control.

var ecnNames = [...]string{datagram.NotECT: "Not-ECT", datagram.ECT1: "ECT(1)", datagram.ECT0: "ECT(0)", datagram.CE: "CE"}

// packet writes a packet that was sent or received, with its frames.
func (l *Log) packet(compatible, draft string, e *core.TraceEvent) {
	l.event(compatible, draft)
	l.begin("header", '{')
	l.str("packet_type", packetNames[packetInSpace[e.Space]])
	l.uint("packet_number", uint64(e.Number))
	if first := e.Header[0]; first&0x80 == 0 {
		phase := first>>2&1 == 1
		switch {
		case l.draft:
			l.bool("key_phase_bit", phase)
		case phase:
			l.str("key_phase_bit", "1")
		default:
			l.str("key_phase_bit", "0")
		}
	} else if inv, ok := wire.ParseInvariant(e.Header, 0); ok {
		l.longHeader(&inv)
		if e.Space == recovery.SpaceInitial {
			if n, size := varint.Consume(e.Header[inv.Len:]); size > 0 && n > 0 {
				l.token("", int(n))
			}
		}
	}
	l.end('}')
	l.begin("raw", '{')
	l.uint("length", uint64(e.Size))
	l.uint("payload_length", uint64(len(e.Payload)))
	l.end('}')
	if !l.draft && e.Kind == core.TracePacketReceived { // the draft has it in events of datagrams
		l.str("ecn", ecnNames[e.ECN&3])
	}
	if e.MTUProbe {
		l.bool("is_mtu_probe_packet", true)
	}
	l.begin("frames", '[')
	exponent := uint64(recovery.AckDelayExponent)
	if e.Kind == core.TracePacketReceived {
		exponent = l.peerExponent
	}
	if e.Space != recovery.SpaceApp {
		exponent = recovery.AckDelayExponent
	}
	l.frames(e.Payload, exponent)
	l.end(']')
	l.finish()
}

func (l *Log) packetHeader(t wire.PacketType, size int) {
	l.begin("header", '{')
	l.str("packet_type", packetNames[t])
	l.end('}')
	l.raw(size)
}

func (l *Log) packetBuffered(e *core.TraceEvent) {
	l.event("transport:packet_buffered", "quic:packet_buffered")
	l.packetHeader(e.Type, e.Size)
	l.str("trigger", "keys_unavailable")
	l.finish()
}

// dropTriggers are the triggers of packet_dropped in the draft.
var dropTriggers = [core.NumDropReasons]string{
	core.DropMalformed: "invalid", core.DropTooSmall: "invalid", core.DropUnexpectedToken: "invalid",
	core.DropInvalidRetry: "invalid", core.DropInvalidNegotiation: "invalid",
	core.DropUnknownVersion: "unsupported", core.DropUnknownConnID: "connection_unknown",
	core.DropUndecryptable: "decryption_failure", core.DropDuplicate: "duplicate",
	core.DropKeysUnavailable: "key_unavailable", core.DropKeysDiscarded: "key_unavailable",
	core.DropWrongPath: "rejected", core.DropUnexpectedPacket: "rejected", core.DropSourceConnID: "rejected",
	core.DropNoMemory: "rejected",
}

func (l *Log) packetDropped(e *core.TraceEvent) {
	l.event("transport:packet_dropped", "quic:packet_dropped")
	if e.Size > 0 {
		l.packetHeader(e.Type, e.Size)
	}
	trigger := dropTriggers[e.Reason]
	if trigger == "" {
		trigger = "general"
	}
	l.str("trigger", trigger)
	l.begin("details", '{')
	l.str("reason", e.Reason.String())
	l.uint("count", uint64(e.Count))
	l.end('}')
	l.finish()
}

func (l *Log) packetLost(e *core.TraceEvent) {
	l.event("recovery:packet_lost", "quic:packet_lost")
	l.begin("header", '{')
	l.str("packet_type", packetNames[packetInSpace[e.Space]])
	l.uint("packet_number", uint64(e.Number))
	l.end('}')
	if e.MTUProbe {
		l.bool("is_mtu_probe_packet", true)
	}
	l.finish()
}

// metricsUpdated writes the metrics that have changed.
func (l *Log) metricsUpdated(e *core.TraceEvent) {
	l.event("recovery:metrics_updated", "quic:recovery_metrics_updated")
	m, was := &e.Metrics, &l.metrics
	ms := func(key string, v, was time.Duration) {
		if v != was {
			l.ms(key, v)
		}
	}
	number := func(key string, v, was uint64) {
		if v != was {
			l.uint(key, v)
		}
	}
	ms("min_rtt", m.MinRTT, was.MinRTT)
	ms("smoothed_rtt", m.SmoothedRTT, was.SmoothedRTT)
	ms("latest_rtt", m.LatestRTT, was.LatestRTT)
	ms("rtt_variance", m.RTTVariance, was.RTTVariance)
	number("pto_count", uint64(m.PTOCount), uint64(was.PTOCount))
	number("congestion_window", uint64(m.CongestionWindow), uint64(was.CongestionWindow))
	number("bytes_in_flight", uint64(m.BytesInFlight), uint64(was.BytesInFlight))
	number("packets_in_flight", uint64(m.PacketsInFlight), uint64(was.PacketsInFlight))
	number("pacing_rate", 8*uint64(m.PacingRate), 8*uint64(was.PacingRate)) // in bit/s
	l.metrics = *m
	l.finish()
}

func (l *Log) congestion(e *core.TraceEvent) {
	l.event("recovery:congestion_state_updated", "quic:congestion_state_updated")
	if l.state != "" {
		l.str("old", l.state)
	}
	l.str("new", e.State)
	l.state = e.State
	l.finish()
}

// timer writes a change of the timer of loss detection.
func (l *Log) timer(e *core.TraceEvent) {
	l.event("recovery:loss_timer_updated", "quic:timer_updated")
	if e.Kind == core.TraceTimerCancelled {
		l.str("event_type", "cancelled")
		l.finish()
		return
	}
	switch {
	case e.Probe:
		l.str("timer_type", "pto")
	case l.draft:
		l.str("timer_type", "loss_timeout")
	default:
		l.str("timer_type", "ack")
	}
	l.str("packet_number_space", spaceNames[e.Space])
	if e.Kind == core.TraceTimerExpired {
		l.str("event_type", "expired")
	} else {
		l.str("event_type", "set")
		l.ms("delta", e.Delay)
	}
	l.finish()
}

func (l *Log) mtu(e *core.TraceEvent) {
	l.event("recovery:mtu_updated", "quic:mtu_updated")
	if l.size > 0 {
		l.uint("old", uint64(l.size))
	}
	l.uint("new", uint64(e.Size))
	l.size = e.Size
	l.finish()
}
