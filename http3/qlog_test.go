package http3

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/http3/internal/frame"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/quic/qlog"
)

// An object is one of JSON.
type object = map[string]any

// A keptLog keeps a qlog in memory until it is closed.
type keptLog struct {
	bytes.Buffer
	closed chan struct{}
}

func (k *keptLog) Close() error { close(k.closed); return nil }

// events waits for the end of the log, and returns the data of its events by their names.
func (k *keptLog) events(t *testing.T) map[string][]map[string]any {
	t.Helper()
	<-k.closed
	records := bytes.Split(k.Bytes(), []byte{0x1e})[1:]
	var header struct {
		Trace struct {
			EventSchemas []string `json:"event_schemas"`
		}
	}
	require.NoError(t, json.Unmarshal(records[0], &header))
	require.Subset(t, header.Trace.EventSchemas, []string{"urn:ietf:params:qlog:events:quic-14", "urn:ietf:params:qlog:events:http3-13",
		"urn:ietf:params:qlog:events:http-13"})
	events := map[string][]map[string]any{}
	for _, record := range records[1:] {
		var ev struct {
			Name string
			Data map[string]any
		}
		require.NoError(t, json.Unmarshal(record, &ev), "%s", record)
		events[ev.Name] = append(events[ev.Name], ev.Data)
	}
	return events
}

// framesOf returns the frames of a stream in events, in their order.
func framesOf(events []map[string]any, stream float64) (frames []any) {
	for _, e := range events {
		if e["stream_id"] == stream {
			frames = append(frames, e["frame"])
		}
	}
	return frames
}

// The events have the fields of draft-ietf-quic-qlog-h3-events, and no values of fields but harmless ones.
func TestQlog(t *testing.T) {
	kept := &keptLog{closed: make(chan struct{})}
	s := serve(t, nil, http.HandlerFunc(echo), func(s *Server) {
		s.QUIC = &quic.Config{Qlog: &qlog.Config{Open: func(qlog.Conn) (io.WriteCloser, error) { return kept, nil }}}
	})
	c := dialBare(t, s)
	c.uni(frame.StreamControl, settingsFrame(frame.SettingMaxFieldSectionSize, 5000, frame.SettingQPACKBlockedStreams, 7))
	<-s.onlyConn().settingsArrived()
	m := c.open(join(c.headers(post("/secret-path", "cookie", "secret-cookie")...), data("hello"))).end().response()
	require.Equal(t, "200", m.status)
	require.NoError(t, c.CloseWithError(frame.NoError, ""))
	events := kept.events(t)
	require.Contains(t, events["http3:parameters_set"], map[string]any{"initiator": "remote", "max_field_section_size": 5000.,
		"max_table_capacity": 0., "blocked_streams_count": 7., "extended_connect": 0., "h3_datagram": 0.})
	require.Contains(t, events["http3:parameters_set"], map[string]any{"initiator": "local", "max_field_section_size": 1048576.,
		"max_table_capacity": 4096., "blocked_streams_count": 16., "extended_connect": 1., "h3_datagram": 0.})
	require.Contains(t, events["http3:stream_type_set"], map[string]any{"initiator": "local", "stream_id": 3., "stream_type": "control"})
	require.Contains(t, events["http3:stream_type_set"], map[string]any{"initiator": "remote", "stream_id": 2., "stream_type": "control"})
	require.Equal(t, []any{
		object{"frame_type": "headers", "headers": []any{
			object{"name": ":method", "value": "POST"}, object{"name": ":scheme", "value": "https"},
			object{"name": ":authority"}, object{"name": ":path"}, object{"name": "cookie"},
		}},
		object{"frame_type": "data", "raw": object{"payload_length": 5.}},
	}, framesOf(events["http3:frame_parsed"], 0))
	created := framesOf(events["http3:frame_created"], 0)
	require.Len(t, created, 2)
	require.Equal(t, object{"name": ":status", "value": "200"}, created[0].(object)["headers"].([]any)[0])
	require.Equal(t, object{"frame_type": "data", "raw": object{"payload_length": float64(len(m.body))}}, created[1])
	require.NotContains(t, kept.String(), "secret-")
}

// config returns the configuration of a connection's log.
func (k *keptLog) config() *qlog.Config {
	k.closed = make(chan struct{})
	return &qlog.Config{Open: func(qlog.Conn) (io.WriteCloser, error) { return k, nil }}
}

// Frames of the control streams are logged, and the priorities that they change.
func TestQlogControlFrames(t *testing.T) {
	kept := new(keptLog)
	s := serve(t, nil, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Priority", "u=1") }),
		func(s *Server) { s.QUIC = &quic.Config{Qlog: kept.config()} })
	c := dialBare(t, s)
	c.uni(frame.StreamControl, join(
		settingsFrame(frame.SettingMaxFieldSectionSize, 5000, 0x21, 3, 0x4242, 4),
		frameBytes(frame.PriorityUpdateRequest, append([]byte{0}, "u=5, i"...)),
		frame.AppendInt(nil, frame.MaxPushID, 9), frame.AppendInt(nil, frame.GoAway, 0),
		frameBytes(0x40, []byte("x")), frameBytes(0x4242, []byte("secret-payload"))))
	s.awaitUpdates(map[uint64]string{1: "", 2: "", 3: "", 4: "", 5: ""}) // junk is counted after each frame but SETTINGS
	m := c.open(join(frameBytes(0x4242, []byte("x")), c.headers(get("/")...))).end().response()
	require.Equal(t, "200", m.status)
	require.NoError(t, s.Shutdown(t.Context()))
	events := kept.events(t)
	raw := func(n float64) object { return object{"payload_length": n} }
	require.Equal(t, []any{
		object{"frame_type": "settings", "settings": []any{
			object{"name": "settings_max_field_section_size", "value": 5000.},
			object{"name": "reserved", "name_bytes": 33., "value": 3.},
			object{"name": "unknown", "name_bytes": float64(0x4242), "value": 4.},
		}, "raw": raw(10)},
		object{"frame_type": "priority_update", "stream_id": 0., "priority_field_value": "u=5, i", "raw": raw(7)},
		object{"frame_type": "max_push_id", "push_id": 9., "raw": raw(1)},
		object{"frame_type": "goaway", "id": 0., "raw": raw(1)},
		object{"frame_type": "reserved", "frame_type_bytes": 64.},
		object{"frame_type": "unknown", "frame_type_bytes": float64(0x4242)},
	}, framesOf(events["http3:frame_parsed"], 2))
	require.Equal(t, object{"frame_type": "unknown", "frame_type_bytes": float64(0x4242), "raw": raw(1)}, framesOf(events["http3:frame_parsed"], 0)[0])
	sent := framesOf(events["http3:frame_created"], 3)
	require.Len(t, sent, 3)
	settings := sent[0].(object)["settings"].([]any)
	require.Contains(t, settings, object{"name": "settings_qpack_max_table_capacity", "value": 4096.})
	require.Contains(t, settings, object{"name": "settings_enable_connect_protocol", "value": 1.})
	require.Equal(t, "goaway", sent[1].(object)["frame_type"])
	require.Equal(t, object{"frame_type": "goaway", "id": 4., "raw": raw(1)}, sent[2])
	require.Equal(t, []map[string]any{
		{"stream_id": 0., "new": "u=5, i", "trigger": "client_signal_received", "reason": "client_signal_only"},
		{"stream_id": 0., "new": "u=5, i", "trigger": "client_signal_received", "reason": "client_signal_only"},
		{"stream_id": 0., "new": "u=1, i", "trigger": "local", "reason": "client_server_merged"},
	}, events["http3:priority_updated"])
	require.NotContains(t, kept.String(), "secret-")
}

// Both sides log the frames, datagrams and capsules of a RequestStream.
func TestQlogRequestStream(t *testing.T) {
	server, client := new(keptLog), new(keptLog)
	s := serve(t, nil, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		st, err := TakeStream(w)
		must(err)
		capsules := NewCapsuleReader(st)
		_, _, err = capsules.Next()
		must(err)
		value, err := capsules.ReadAll(100)
		must(err)
		must(st.WriteCapsule(0x4242, value))
		_, err = st.Settings(r.Context()) // which permit datagrams
		must(err)
		b, err := st.ReceiveDatagram(r.Context())
		must(err)
		must(st.SendDatagram(b))
		must(st.CloseWrite())
		if _, _, err := capsules.Next(); err != io.EOF { // until the client has received the datagram
			panic(err)
		}
	}), func(s *Server) { s.EnableDatagrams, s.QUIC = true, &quic.Config{Qlog: server.config()} })
	tr := newTransport(t, nil, func(tr *Transport) { tr.EnableDatagrams, tr.QUIC = true, &quic.Config{Qlog: client.config()} })
	tr.prepare()
	cfg, err := tr.dialConfig(route{origin: s.addr, dial: s.addr})
	require.NoError(t, err)
	qc, err := quic.Dial(t.Context(), "udp", s.addr, cfg)
	require.NoError(t, err)
	cc, err := tr.NewClientConn(qc)
	require.NoError(t, err)
	_, err = cc.Settings(t.Context())
	require.NoError(t, err)
	st, err := cc.OpenRequestStream(t.Context())
	require.NoError(t, err)
	require.NoError(t, st.SendRequest(extendedRequest(t, s.url("/"))))
	require.NoError(t, st.WriteCapsule(CapsuleDatagram, []byte("hidden")))
	_, err = st.ReadResponse()
	require.NoError(t, err)
	require.NoError(t, st.SendDatagram([]byte("hidden too")))
	_, err = st.ReceiveDatagram(t.Context())
	require.NoError(t, err)
	capsules := NewCapsuleReader(st)
	_, _, err = capsules.Next()
	require.NoError(t, err)
	_, _, err = capsules.Next()
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, st.Close())
	require.NoError(t, cc.Close())

	datagram := object{"quarter_stream_id": 0., "raw": object{"length": 11., "payload_length": 10.}}
	request := object{"stream_id": 0., "capsule": object{"capsule_type": "datagram", "raw": object{"payload_length": 6.}}}
	response := object{"stream_id": 0., "capsule": object{"capsule_type": "unknown", "capsule_type_value": float64(0x4242),
		"raw": object{"payload_length": 6.}}}
	atServer, atClient := server.events(t), client.events(t)
	for name, want := range map[string][2]object{ // by the client and by the server
		"http3:datagram_created": {datagram, datagram}, "http3:datagram_parsed": {datagram, datagram},
		"http:capsule_created": {request, response}, "http:capsule_parsed": {response, request},
	} {
		require.Equal(t, []map[string]any{want[0]}, atClient[name], name)
		require.Equal(t, []map[string]any{want[1]}, atServer[name], name)
	}
	for _, events := range []map[string][]map[string]any{atClient, atServer} {
		for _, name := range []string{"http3:frame_created", "http3:frame_parsed"} {
			frames := framesOf(events[name], 0)
			require.Len(t, frames, 2, name)
			require.Equal(t, "headers", frames[0].(object)["frame_type"])
			require.Equal(t, "data", frames[1].(object)["frame_type"])
		}
	}
	require.NotContains(t, server.String()+client.String(), "hidden")
}

// A client logs the settings that it restores for early data, on that connection only.
func TestQlogRestoredSettings(t *testing.T) {
	s := serve(t, earlyProvider, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), func(s *Server) {
		s.EarlyData, s.MaxHeaderBytes = true, 5000
	})
	logs := make(chan *keptLog, 2)
	tr, _ := earlyTransport(t, func(tr *Transport) {
		tr.QUIC = &quic.Config{Qlog: &qlog.Config{Open: func(qlog.Conn) (io.WriteCloser, error) {
			kept := &keptLog{closed: make(chan struct{})}
			logs <- kept
			return kept, nil
		}}}
		do(t, tr, newRequest(t, "GET", s.url("/"), nil))
		_, err := tr.cached()[0].Settings(t.Context()) // which may follow the response
		require.NoError(t, err)
	})
	const restored = "http3:parameters_restored"
	require.NotContains(t, (<-logs).events(t), restored)
	do(t, tr, newRequest(t, MethodGet0RTT, s.url("/"), nil))
	require.NoError(t, tr.Close())
	require.Equal(t, []map[string]any{{"max_field_section_size": 5000., "max_table_capacity": 4096., "blocked_streams_count": 16.,
		"extended_connect": 1., "h3_datagram": 0.}}, (<-logs).events(t)[restored])
}
