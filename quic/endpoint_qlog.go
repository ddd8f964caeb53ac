package quic

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/eventlog"
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/quic/qlog"
	"github.com/pqquic/pqquic/tlsprovider"
)

// qlogs counts the logs of connections that are not written yet. No other lock is taken while its mutex is
// held.
type qlogs struct {
	mu      sync.Mutex
	pending int
	none    waitList
}

// newTrace returns a function that begins the log of a connection, or nil if cfg logs none.
func (e *Endpoint) newTrace(cfg *qlog.Config, side tlsprovider.Side) func(monotime.Time, wire.ConnID) core.TraceFunc {
	if cfg == nil || cfg.Open == nil {
		return nil
	}
	return func(now monotime.Time, odcid wire.ConnID) core.TraceFunc {
		if !e.qlogs.begin(e.cfg.MaxConns) {
			e.logFault(faultQlog, slog.LevelWarn, "quic: connections have no qlog because those of earlier ones are not written", "limit", e.cfg.MaxConns)
			return nil
		}
		conn := qlog.Conn{ID: append([]byte(nil), odcid.Bytes()...), Server: side == tlsprovider.Server}
		var l *eventlog.Log
		panicked := tlsprovider.Guard("Config.Qlog.Select", func() error {
			l = eventlog.New(cfg, conn, now, time.Now(), eventlog.Hooks{
				Failed: func(err error) {
					e.logFault(faultQlog, slog.LevelWarn, "quic: the qlog of a connection cannot be written", "err", err)
				},
				Done: e.qlogs.done,
			})
			return nil
		})
		e.notePanic(nil, panicked)
		if l == nil {
			e.qlogs.done()
			return nil
		}
		return l.Trace
	}
}

// begin counts a log. It returns false if limit logs are not written yet: those of connections that are open, and of others
// whose writers are slow.
func (q *qlogs) begin(limit int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.pending >= limit {
		return false
	}
	q.pending++
	return true
}

func (q *qlogs) done() {
	var w wakeSet
	q.mu.Lock()
	if q.pending--; q.pending == 0 {
		q.none.addAll(&w)
	}
	q.mu.Unlock()
	w.wake()
}

// wait waits until the logs of all connections are written or ctx ends.
func (q *qlogs) wait(ctx context.Context) {
	for {
		q.mu.Lock()
		if q.pending == 0 {
			q.mu.Unlock()
			return
		}
		w := q.none.enter()
		q.mu.Unlock()
		if w.sleep(ctx) != nil {
			q.mu.Lock()
			q.none.leave(w)
			q.mu.Unlock()
			return
		}
	}
}
