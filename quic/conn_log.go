package quic

import (
	"log/slog"
	"slices"

	"github.com/pqquic/pqquic/quic/internal/eventlog"
)

// LogsEvents reports whether the connection has a qlog: see Config.Qlog and LogEvent.
func (c *Conn) LogsEvents() bool { return c.logged }

// LogEvent adds an event of the program to the connection's qlog, between the events of the transport. The name consists
// of a namespace and a type, such as "http3:frame_created". Groups become objects, values of the types []string and
// [][]slog.Attr become arrays, a []byte hexadecimal text, and a time.Duration a number of milliseconds.
//
// Without a log, or once the connection has ended, LogEvent does nothing. A program that logs much asks LogsEvents first,
// so that it makes no fields for nothing:
//
//	if conn.LogsEvents() {
//		conn.LogEvent("http3:frame_created", slog.Uint64("stream_id", id), slog.Group("frame", "frame_type", "headers"))
//	}
func (c *Conn) LogEvent(name string, fields ...slog.Attr) {
	if !c.logged {
		return
	}
	// The copy keeps a caller's fields on its stack, which is what a connection without a log costs. They are encoded
	// before the lock, because they may call code of the program.
	data := eventlog.AppendFields(nil, slices.Clone(fields))
	c.mu.Lock()
	c.core.TraceProgram(c.ep.clock.now(), name, data)
	c.mu.Unlock()
}
