package http3

import (
	"log/slog"
	"strconv"

	"github.com/pqquic/pqquic/http3/internal/frame"
	"github.com/pqquic/pqquic/internal/qpack"
	"github.com/pqquic/pqquic/quic"
)

// The events of HTTP/3 in a qlog (draft-ietf-quic-qlog-h3-events). Without a log, each costs a comparison.

// logSettings logs the settings of a side, "local" or "remote".
func (c *conn) logSettings(initiator string, l *frame.List) {
	if !c.qc.LogsEvents() {
		return
	}
	fields := []slog.Attr{slog.String("initiator", initiator)}
	if l.MaxFieldSectionSize != frame.NoLimit {
		fields = append(fields, slog.Uint64("max_field_section_size", l.MaxFieldSectionSize))
	}
	fields = append(fields, slog.Uint64("max_table_capacity", l.QPACKMaxTableCapacity),
		slog.Uint64("blocked_streams_count", l.QPACKBlockedStreams),
		slog.Int("extended_connect", number(l.EnableConnectProtocol)), slog.Int("h3_datagram", number(l.Datagrams)))
	for _, o := range l.Other {
		fields = append(fields, slog.Uint64("0x"+strconv.FormatUint(o.ID, 16), o.Value))
	}
	c.qc.LogEvent("http3:parameters_set", fields...)
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

func (c *conn) logFrame(event string, id quic.StreamID, fields ...any) {
	c.qc.LogEvent(event, slog.Uint64("stream_id", uint64(id)), slog.Group("frame", fields...))
}
