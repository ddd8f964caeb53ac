// Package eventlog writes what happens to a connection in the format qlog (JSON text sequences). See
// docs/observability.md.
package eventlog

import (
	"encoding/hex"
	"io"
	"time"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/quic/qlog"
)

// A Log is the log of one connection. Trace is called with the connection's lock held and does not block.
type Log struct {
	encoder
	sink   *sink
	draft  bool
	server bool
	start  monotime.Time
	now    monotime.Time // of the event that is being written
	atEnd  bool          // the connection has ended

	metrics      core.TraceMetricValues // the values that were written last
	state        string                 // of congestion control
	size         int                    // of datagrams
	paths        int                    // number of paths that were written
	peerExponent uint64                 // the peer's ack_delay_exponent
}

// defaultBuffer is the default of qlog.Config.Buffer.
const defaultBuffer = 1 << 20

// Hooks are called on the goroutine that writes.
type Hooks struct {
	Failed func(error) // the log cannot be written
	Done   func()      // the log is written, or dropped after an error
}

// New returns a log for a connection that begins now, or nil if cfg does not want one. wall is the time of
// day.
func New(cfg *qlog.Config, conn qlog.Conn, now monotime.Time, wall time.Time, hooks Hooks) *Log {
	if cfg == nil || cfg.Open == nil || cfg.Select != nil && !cfg.Select(conn) {
		return nil
	}
	limit := cfg.Buffer
	if limit <= 0 {
		limit = defaultBuffer
	}
	l := &Log{draft: cfg.Schema == qlog.Draft, server: conn.Server, start: now, now: now,
		peerExponent: recovery.AckDelayExponent,
		sink: &sink{limit: limit, hooks: hooks,
			open: func() (io.WriteCloser, error) { return cfg.Open(conn) }}}
	l.header(conn, wall, cfg.EventSchemas)
	return l
}

// schemas are the schemas of the events. A Compatible log names them as well, as the logs of quic-go do.
const schemas = `"urn:ietf:params:qlog:events:quic-14","urn:ietf:params:qlog:events:loglevel-14"`

// recordSeparator begins each record of a JSON text sequence (RFC 7464).
const recordSeparator = 0x1e

// header writes the first record of the file. more are the schemas of the program's events.
func (l *Log) header(conn qlog.Conn, wall time.Time, more []string) {
	l.b = append(l.b[:0], recordSeparator, '{')
	l.str("file_schema", "urn:ietf:params:qlog:file:sequential")
	l.str("serialization_format", "application/qlog+json-seq")
	if !l.draft { // qvis needs these
		l.str("qlog_format", "JSON-SEQ")
		l.str("qlog_version", "0.3")
	}
	l.str("title", "pqquic")
	l.begin("trace", '{')
	l.begin("vantage_point", '{')
	l.str("type", side(conn.Server))
	l.end('}')
	l.begin("event_schemas", '[')
	l.b = append(l.b, schemas...)
	for _, uri := range more {
		l.b = append(l.b, ',')
		l.quote(uri)
	}
	l.end(']')
	l.begin("common_fields", '{')
	l.str("group_id", hex.EncodeToString(conn.ID))
	l.begin("reference_time", '{')
	l.str("clock_type", "monotonic")
	l.str("epoch", "unknown")
	l.str("wall_clock_time", wall.UTC().Format("2006-01-02T15:04:05.000Z"))
	l.end('}')
	l.end('}')
	l.end('}')
	l.b = append(l.b, "}\n"...)
	l.sink.add(l.b, false, l.dropped)
}

func side(server bool) string {
	if server {
		return "server"
	}
	return "client"
}

// event begins an event. Its names are those of the two schemas.
func (l *Log) event(compatible, draft string) {
	if l.draft {
		compatible = draft
	}
	l.b = append(l.b[:0], recordSeparator, '{')
	l.ms("time", l.now.Sub(l.start))
	l.str("name", compatible)
	l.begin("data", '{')
}

// finish ends an event and passes it to the writer.
func (l *Log) finish() {
	l.b = append(l.b, "}}\n"...)
	l.sink.add(l.b, l.atEnd, l.dropped)
}

// dropped appends the event that reports n dropped events.
func (l *Log) dropped(b []byte, n uint64) []byte {
	e := encoder{append(b, recordSeparator, '{')}
	e.ms("time", l.now.Sub(l.start))
	e.str("name", "loglevel:warning")
	e.begin("data", '{')
	e.uint("code", n)
	e.str("message", "events were dropped because the log was not written fast enough; code is their number")
	return append(e.b, "}}\n"...)
}

// Trace writes an event. It is a core.TraceFunc.
func (l *Log) Trace(now monotime.Time, e *core.TraceEvent) {
	l.now = now
	switch e.Kind {
	case core.TraceStarted:
		l.started(e)
	case core.TraceVersion:
		l.versions(e)
	case core.TraceParams:
		l.params(e)
	case core.TracePacketSent:
		l.packet("transport:packet_sent", "quic:packet_sent", e)
	case core.TracePacketReceived:
		l.packet("transport:packet_received", "quic:packet_received", e)
	case core.TraceUnprotected:
		l.unprotected(e)
	case core.TracePacketDropped:
		l.packetDropped(e)
	case core.TracePacketBuffered:
		l.packetBuffered(e)
	case core.TracePacketLost:
		l.packetLost(e)
	case core.TraceMetrics:
		l.metricsUpdated(e)
	case core.TraceCongestion:
		l.congestion(e)
	case core.TraceTimerSet, core.TraceTimerExpired, core.TraceTimerCancelled:
		l.timer(e)
	case core.TraceMTU:
		l.mtu(e)
	case core.TracePath:
		l.path(e)
	case core.TraceKeyUpdated:
		l.key("security:key_updated", "quic:key_updated", e)
	case core.TraceKeyDiscarded:
		l.key("security:key_discarded", "quic:key_discarded", e)
	case core.TraceHandshakeComplete:
		l.complete(e)
	case core.TraceHandshakeConfirmed:
		l.connectionState("handshake_confirmed")
	case core.TraceProgram:
		l.program(e)
	case core.TraceClosed:
		l.atEnd = true
		l.closed(e)
	case core.TraceEnd:
		l.sink.end(l.dropped)
	}
}

// spaceNames are the packet number spaces in qlog, and packetNames the types of packets.
var (
	spaceNames  = [recovery.NumSpaces]string{"initial", "handshake", "application_data"}
	packetNames = [...]string{
		wire.PacketInitial: "initial", wire.Packet0RTT: "0RTT", wire.PacketHandshake: "handshake",
		wire.PacketRetry: "retry", wire.Packet1RTT: "1RTT", wire.PacketVersionNegotiation: "version_negotiation",
	}
	packetInSpace = [recovery.NumSpaces]wire.PacketType{wire.PacketInitial, wire.PacketHandshake, wire.Packet1RTT}
)
