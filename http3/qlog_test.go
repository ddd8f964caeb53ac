//go:build !pqquic_fips && !pqquic_fips4

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

// A keptLog keeps a qlog in memory until it is closed.
type keptLog struct {
	bytes.Buffer
	closed chan struct{}
}

func (k *keptLog) Close() error { close(k.closed); return nil }

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
	<-kept.closed
	events := map[string][]map[string]any{}
	for _, record := range bytes.Split(kept.Bytes(), []byte{0x1e})[1:] {
		var ev struct {
			Name string
			Data map[string]any
		}
		require.NoError(t, json.Unmarshal(record, &ev), "%s", record)
		events[ev.Name] = append(events[ev.Name], ev.Data)
	}
	require.Contains(t, events["http3:parameters_set"], map[string]any{"initiator": "remote", "max_field_section_size": 5000.,
		"max_table_capacity": 0., "blocked_streams_count": 7., "extended_connect": 0., "h3_datagram": 0.})
	require.Contains(t, events["http3:parameters_set"], map[string]any{"initiator": "local", "max_field_section_size": 1048576.,
		"max_table_capacity": 4096., "blocked_streams_count": 16., "extended_connect": 1., "h3_datagram": 0.})
	require.Contains(t, events["http3:stream_type_set"], map[string]any{"initiator": "local", "stream_id": 3., "stream_type": "control"})
	require.Contains(t, events["http3:stream_type_set"], map[string]any{"initiator": "remote", "stream_id": 2., "stream_type": "control"})
	require.Equal(t, []map[string]any{
		{"stream_id": 0., "frame": map[string]any{"frame_type": "headers", "headers": []any{
			map[string]any{"name": ":method", "value": "POST"}, map[string]any{"name": ":scheme", "value": "https"},
			map[string]any{"name": ":authority"}, map[string]any{"name": ":path"}, map[string]any{"name": "cookie"},
		}}},
		{"stream_id": 0., "frame": map[string]any{"frame_type": "data", "raw": map[string]any{"payload_length": 5.}}},
	}, events["http3:frame_parsed"])
	created := events["http3:frame_created"]
	require.Len(t, created, 2)
	require.Equal(t, map[string]any{"name": ":status", "value": "200"}, created[0]["frame"].(map[string]any)["headers"].([]any)[0])
	require.Equal(t, map[string]any{"frame_type": "data", "raw": map[string]any{"payload_length": float64(len(m.body))}}, created[1]["frame"])
	require.NotContains(t, kept.String(), "secret-")
}
