package http3

import (
	"log/slog"

	"github.com/pqquic/pqquic/http3/internal/frame"
	"github.com/pqquic/pqquic/internal/varint"
	"github.com/pqquic/pqquic/quic"
)

// logControlFrame logs a frame of a control stream.
func (c *conn) logControlFrame(event string, id quic.StreamID, typ uint64, payload []byte) {
	if !c.qc.LogsEvents() {
		return
	}
	fields := controlFields(typ, payload)
	if payload != nil { // that of a frame of an unknown type is not kept
		fields = append(fields, slog.Group("raw", slog.Int("payload_length", len(payload))))
	}
	c.logFrame(event, id, fields...)
}

// logSentFrame logs a complete frame that this side writes to its control stream.
func (c *conn) logSentFrame(id quic.StreamID, b []byte) {
	if h, n := frame.ParseHeader(b); n > 0 {
		c.logControlFrame(frameCreated, id, h.Type, b[n:])
	}
}

// logUnknownFrame logs a frame of an unknown type on the stream of a request.
func (c *conn) logUnknownFrame(id quic.StreamID, h frame.Header) {
	if c.qc.LogsEvents() {
		c.logFrame(frameParsed, id, append(unknownFields(h.Type), slog.Group("raw", slog.Uint64("payload_length", h.Length)))...)
	}
}

// controlFields returns the fields of a frame of a control stream. A frame whose payload cannot be parsed has only its type.
func controlFields(typ uint64, payload []byte) []any {
	switch typ {
	case frame.Settings:
		return []any{slog.String("frame_type", "settings"), slog.Any("settings", settingsList(payload))}
	case frame.GoAway:
		return integerFields("goaway", "id", payload)
	case frame.MaxPushID:
		return integerFields("max_push_id", "push_id", payload)
	case frame.CancelPush:
		return integerFields("cancel_push", "push_id", payload)
	case frame.PriorityUpdateRequest:
		return priorityFields("stream_id", payload)
	case frame.PriorityUpdatePush:
		return priorityFields("push_id", payload)
	case frame.Data:
		return []any{slog.String("frame_type", "data")}
	case frame.Headers:
		return []any{slog.String("frame_type", "headers")}
	case frame.PushPromise:
		return []any{slog.String("frame_type", "push_promise")}
	}
	return unknownFields(typ)
}

func unknownFields(typ uint64) []any {
	name := "unknown"
	if frame.IsReserved(typ) {
		name = "reserved"
	}
	return []any{slog.String("frame_type", name), slog.Uint64("frame_type_bytes", typ)}
}

func integerFields(name, field string, payload []byte) []any {
	fields := []any{slog.String("frame_type", name)}
	if v, err := frame.ParseInt(payload); err == nil {
		fields = append(fields, slog.Uint64(field, v))
	}
	return fields
}

func priorityFields(field string, payload []byte) []any {
	fields := []any{slog.String("frame_type", "priority_update")}
	if id, value, err := frame.ParsePriorityUpdate(payload); err == nil {
		fields = append(fields, slog.Uint64(field, id), slog.String("priority_field_value", string(value)))
	}
	return fields
}

// settingNames are the names of settings in a qlog.
var settingNames = map[uint64]string{
	frame.SettingQPACKMaxTableCapacity: "settings_qpack_max_table_capacity",
	frame.SettingMaxFieldSectionSize:   "settings_max_field_section_size",
	frame.SettingQPACKBlockedStreams:   "settings_qpack_blocked_streams",
	frame.SettingEnableConnectProtocol: "settings_enable_connect_protocol",
	frame.SettingDatagram:              "settings_h3_datagram",
}

// settingsList returns the settings of a frame in their order.
func settingsList(payload []byte) [][]slog.Attr {
	list := [][]slog.Attr{}
	for len(payload) > 0 {
		id, n := varint.Consume(payload)
		if n <= 0 {
			break
		}
		value, m := varint.Consume(payload[n:])
		if m <= 0 {
			break
		}
		payload = payload[n+m:]
		name, known := settingNames[id]
		switch {
		case known:
			list = append(list, []slog.Attr{slog.String("name", name), slog.Uint64("value", value)})
		case frame.IsReserved(id):
			list = append(list, []slog.Attr{slog.String("name", "reserved"), slog.Uint64("name_bytes", id), slog.Uint64("value", value)})
		default:
			list = append(list, []slog.Attr{slog.String("name", "unknown"), slog.Uint64("name_bytes", id), slog.Uint64("value", value)})
		}
	}
	return list
}
