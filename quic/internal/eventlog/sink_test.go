package eventlog_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/eventlog"
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/qlog"
)

// slowWriter blocks in its first Write until released is closed.
type slowWriter struct {
	bytes.Buffer
	writing, released chan struct{}
	closed            bool
}

func (w *slowWriter) Write(b []byte) (int, error) {
	if w.Len() == 0 {
		close(w.writing)
		<-w.released
	}
	return w.Buffer.Write(b)
}

func (w *slowWriter) Close() error {
	w.closed = true
	return nil
}

// A writer that blocks does not block the connection. The events that its buffer has no room for are dropped,
// the log says how many, and the end of the connection is in it.
func TestSlowWriter(t *testing.T) {
	w := &slowWriter{writing: make(chan struct{}), released: make(chan struct{})}
	done := make(chan struct{})
	const limit = 10_000
	log := eventlog.New(&qlog.Config{Buffer: limit, Schema: qlog.Draft, Open: func(qlog.Conn) (io.WriteCloser, error) { return w, nil }},
		qlog.Conn{ID: []byte{1, 2}}, monotime.Time(1), wall, eventlog.Hooks{Done: func() { close(done) }})
	mtu := func(n int) {
		for i := range n {
			log.Trace(monotime.Time(time.Second)+monotime.Time(i), &core.TraceEvent{Kind: core.TraceMTU, Size: 1200 + i})
		}
	}
	mtu(100) // the first half of the buffer is written at once
	<-w.writing
	mtu(1000)
	log.Trace(monotime.Time(2*time.Second), &core.TraceEvent{Kind: core.TraceClosed, Close: &core.CloseError{Code: 1}})
	log.Trace(monotime.Time(2*time.Second), &core.TraceEvent{Kind: core.TraceEnd})
	close(w.released)
	<-done
	require.True(t, w.closed)
	require.Less(t, w.Len(), 3*limit)
	_, events := parse(t, w.Bytes())
	n := count(events)
	require.Less(t, n["quic:mtu_updated"], uint64(400))
	require.Equal(t, uint64(1), n["loglevel:warning"])
	for _, e := range events {
		if e.name == "loglevel:warning" {
			require.Equal(t, 1100.0, e.data["code"].(float64)+float64(n["quic:mtu_updated"]))
		}
	}
	require.Equal(t, "quic:connection_closed", events[len(events)-1].name)
}

// failingWriter fails at its second Write.
type failingWriter struct{ writes int }

var errDisk = errors.New("no space left on device")

func (w *failingWriter) Write(b []byte) (int, error) {
	if w.writes++; w.writes > 1 {
		return 0, errDisk
	}
	return len(b), nil
}

func (w *failingWriter) Close() error { return nil }

// A log that cannot be opened or written is dropped, and the error is reported once.
func TestFailingWriter(t *testing.T) {
	for name, open := range map[string]func(qlog.Conn) (io.WriteCloser, error){
		"open":  func(qlog.Conn) (io.WriteCloser, error) { return nil, errDisk },
		"nil":   func(qlog.Conn) (io.WriteCloser, error) { return nil, nil },
		"write": func(qlog.Conn) (io.WriteCloser, error) { return new(failingWriter), nil },
	} {
		t.Run(name, func(t *testing.T) {
			errs, done := make(chan error, 10), make(chan struct{})
			log := eventlog.New(&qlog.Config{Buffer: 2000, Open: open}, qlog.Conn{}, monotime.Time(1), wall,
				eventlog.Hooks{Failed: func(err error) { errs <- err }, Done: func() { close(done) }})
			for ended := false; !ended; {
				log.Trace(monotime.Time(2), &core.TraceEvent{Kind: core.TraceMTU, Size: 1200})
				select {
				case <-done:
					ended = true
				default:
				}
			}
			log.Trace(monotime.Time(2), &core.TraceEvent{Kind: core.TraceEnd})
			require.Error(t, <-errs)
			require.Empty(t, errs)
		})
	}
}

// A connection that is not selected, or a Config without a destination, has no log.
func TestNoLog(t *testing.T) {
	open := qlog.Dir(t.TempDir())
	for _, cfg := range []*qlog.Config{nil, {}, {Open: open, Select: func(c qlog.Conn) bool { return c.Server }}} {
		require.Nil(t, eventlog.New(cfg, qlog.Conn{}, 1, wall, eventlog.Hooks{}))
	}
}
