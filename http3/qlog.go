package http3

import (
	"log/slog"
	"slices"
	"strconv"

	"github.com/pqquic/pqquic/http3/internal/frame"
	"github.com/pqquic/pqquic/internal/qpack"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/quic/qlog"
)

// The events of HTTP/3 in a qlog (draft-ietf-quic-qlog-h3-events). Without a log, each costs a comparison.

// eventSchemas are the schemas of these events.
//
// "Implementations of draft versions of the event schema MUST append the string "-" and the corresponding draft number to the
// URI." (Draft 13, sections 2.1 and 5.1.)
var eventSchemas = []string{"urn:ietf:params:qlog:events:http3-13", "urn:ietf:params:qlog:events:http-13"}

// nameSchemas has the logs of a configuration name eventSchemas.
func nameSchemas(c *quic.Config) {
	if c.Qlog == nil {
		c.Qlog = qlog.FromEnvironment()
	}
	if c.Qlog != nil {
		own := *c.Qlog
		own.EventSchemas = slices.Concat(own.EventSchemas, eventSchemas)
		c.Qlog = &own
	}
}

// logSettings logs the settings of a side, "local" or "remote".
func (c *conn) logSettings(initiator string, l *frame.List) {
	if !c.qc.LogsEvents() {
		return
	}
	c.qc.LogEvent("http3:parameters_set", append(settingsFields(l), slog.String("initiator", initiator))...)
}

// logRestored logs settings that a client restores for early data.
func (c *conn) logRestored(l *frame.List) {
	if c.qc.LogsEvents() {
		c.qc.LogEvent("http3:parameters_restored", settingsFields(l)...)
	}
}

func settingsFields(l *frame.List) (fields []slog.Attr) {
	if l.MaxFieldSectionSize != frame.NoLimit {
		fields = append(fields, slog.Uint64("max_field_section_size", l.MaxFieldSectionSize))
	}
	fields = append(fields, slog.Uint64("max_table_capacity", l.QPACKMaxTableCapacity),
		slog.Uint64("blocked_streams_count", l.QPACKBlockedStreams),
		slog.Int("extended_connect", number(l.EnableConnectProtocol)), slog.Int("h3_datagram", number(l.Datagrams)))
	for _, o := range l.Other {
		fields = append(fields, slog.Uint64("0x"+strconv.FormatUint(o.ID, 16), o.Value))
	}
	return fields
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

// logStreamType logs the type of a unidirectional stream that was opened by a side.
func (c *conn) logStreamType(initiator string, id quic.StreamID, typ uint64) {
	if !c.qc.LogsEvents() {
		return
	}
	fields := []slog.Attr{slog.String("initiator", initiator), slog.Uint64("stream_id", uint64(id))}
	name := "unknown"
	switch {
	case typ == frame.StreamControl:
		name = "control"
	case typ == frame.StreamPush:
		name = "push"
	case typ == frame.StreamQPACKEncoder:
		name = "qpack_encode"
	case typ == frame.StreamQPACKDecoder:
		name = "qpack_decode"
	case frame.IsReserved(typ):
		name = "reserved"
	default:
		fields = append(fields, slog.Uint64("stream_type_bytes", typ))
	}
	c.qc.LogEvent("http3:stream_type_set", append(fields, slog.String("stream_type", name))...)
}

// The events about frames.
const (
	frameCreated = "http3:frame_created"
	frameParsed  = "http3:frame_parsed"
)

// logData logs a DATA frame of a length.
func (c *conn) logData(event string, id quic.StreamID, length uint64) {
	if c.qc.LogsEvents() {
		c.logFrame(event, id, slog.String("frame_type", "data"), slog.Group("raw", slog.Uint64("payload_length", length)))
	}
}

// logHeaders logs a HEADERS frame, with the names of its fields. A log has no secrets, so it has the values of :method, :scheme
// and :status only.
func (c *conn) logHeaders(event string, id quic.StreamID, fields []qpack.Field) {
	if !c.qc.LogsEvents() {
		return
	}
	headers := make([][]slog.Attr, 0, len(fields))
	for _, f := range fields {
		attrs := []slog.Attr{slog.String("name", f.Name)}
		switch f.Name {
		case ":method", ":scheme", ":status":
			attrs = append(attrs, slog.String("value", f.Value))
		}
		headers = append(headers, attrs)
	}
	c.logFrame(event, id, slog.String("frame_type", "headers"), slog.Any("headers", headers))
}

// logPriority logs the priority of a request.
func (c *conn) logPriority(id quic.StreamID, p Priority, trigger, reason string) {
	if c.qc.LogsEvents() {
		c.qc.LogEvent("http3:priority_updated", slog.Uint64("stream_id", uint64(id)), slog.String("new", p.String()),
			slog.String("trigger", trigger), slog.String("reason", reason))
	}
}

// logDatagram logs an HTTP datagram of a length, with a payload of another.
func (c *conn) logDatagram(event string, id quic.StreamID, length, payload int) {
	if c.qc.LogsEvents() {
		c.qc.LogEvent(event, slog.Uint64("quarter_stream_id", uint64(id)/4),
			slog.Group("raw", slog.Int("length", length), slog.Int("payload_length", payload)))
	}
}

// logCapsule logs a capsule.
func (c *conn) logCapsule(event string, id quic.StreamID, typ, length uint64) {
	if !c.qc.LogsEvents() {
		return
	}
	fields := []any{slog.String("capsule_type", "datagram")}
	if typ != CapsuleDatagram {
		fields = []any{slog.String("capsule_type", "unknown"), slog.Uint64("capsule_type_value", typ)}
	}
	fields = append(fields, slog.Group("raw", slog.Uint64("payload_length", length)))
	c.qc.LogEvent(event, slog.Uint64("stream_id", uint64(id)), slog.Group("capsule", fields...))
}

func (c *conn) logFrame(event string, id quic.StreamID, fields ...any) {
	c.qc.LogEvent(event, slog.Uint64("stream_id", uint64(id)), slog.Group("frame", fields...))
}
