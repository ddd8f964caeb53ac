//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/qlog"
)

// logged returns the events of a log that have a name.
func logged(t *testing.T, log []byte, name string) (all []map[string]any) {
	t.Helper()
	for _, record := range bytes.Split(log, []byte{0x1e})[1:] {
		var ev struct {
			Time *float64
			Name string
			Data map[string]any
		}
		require.NoError(t, json.Unmarshal(record, &ev), "%s", record)
		if ev.Name == name {
			require.NotNil(t, ev.Time)
			all = append(all, ev.Data)
		}
	}
	return all
}

// lazy is a value that is only computed for a log. It may use the connection.
type lazy struct{ c *Conn }

func (l lazy) LogValue() slog.Value { return slog.StringValue(l.c.ID()) }

// keptWriter keeps what is written to it.
type keptWriter struct {
	bytes.Buffer
	closed chan struct{}
}

func (k *keptWriter) Close() error { close(k.closed); return nil }

// A program's events are in the log between those of the transport. Without a log, and after the end of the connection,
// they cost nothing and change nothing.
func TestLogEvent(t *testing.T) {
	kept := &keptWriter{closed: make(chan struct{})}
	sc, cc := serverConfig(), clientConfig()
	sc.Qlog = new(qlog.Config)
	cc.Qlog = &qlog.Config{Open: func(qlog.Conn) (io.WriteCloser, error) { return kept, nil }}
	inBubble(t, sc, cc, func(t *testing.T, w *world) {
		client, server := w.connect()
		require.True(t, client.LogsEvents())
		require.False(t, server.LogsEvents())
		server.LogEvent("http3:frame_created", slog.String("a", "b"))
		client.LogEvent("http3:frame_created",
			slog.Uint64("stream_id", 4), slog.Int("negative", -3), slog.Uint64("large", math.MaxUint64), slog.Float64("inf", math.Inf(1)),
			slog.Bool("yes", true), slog.Duration("ms", 1500*time.Microsecond), slog.Any("bytes", []byte{1, 0xff}),
			slog.Any("list", []string{"a", `"b"`}), slog.Any("lazy", lazy{client}), slog.Any("err", io.EOF), slog.String("odd \"key", "\xff"),
			slog.Group("frame", slog.String("frame_type", "headers"),
				slog.Any("headers", [][]slog.Attr{{slog.String("name", ":method"), slog.String("value", "GET")}, {}})),
			slog.Group("", slog.Int("inlined", 1)), slog.Attr{})
		client.LogEvent("http3:empty")
		require.NoError(t, client.Close())
		client.LogEvent("http3:late")
		<-kept.closed
		client.LogEvent("http3:later")
		require.Equal(t, []map[string]any{{
			"stream_id": 4., "negative": -3., "large": "18446744073709551615", "inf": "+Inf", "yes": true, "ms": 1.5, "bytes": "01ff",
			"list": []any{"a", `"b"`}, "lazy": client.ID(), "err": "EOF", `odd "key`: "\ufffd",
			"frame": map[string]any{"frame_type": "headers", "headers": []any{
				map[string]any{"name": ":method", "value": "GET"}, map[string]any{}}},
			"inlined": 1.,
		}}, logged(t, kept.Bytes(), "http3:frame_created"))
		require.Equal(t, []map[string]any{{}}, logged(t, kept.Bytes(), "http3:empty"))
		require.NotEmpty(t, logged(t, kept.Bytes(), "transport:packet_sent"))
		require.Empty(t, logged(t, kept.Bytes(), "http3:later"))

		require.Zero(t, testing.AllocsPerRun(100, func() {
			if server.LogsEvents() {
				server.LogEvent("http3:frame_created", slog.Uint64("stream_id", 4))
			}
			server.LogEvent("http3:frame_created", slog.Uint64("stream_id", 4), slog.String("a", "b"))
		}))
	})
}
