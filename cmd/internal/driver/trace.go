package driver

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// A Tracer writes a line for each event of a script, in the format of s2n-netbench's drivers:
//
//	H:MM:SS.micros [connection] event
//
// A nil Tracer writes nothing.
type Tracer struct {
	mu    sync.Mutex
	w     []io.Writer
	start time.Time
}

// NewTracer returns a tracer that writes to w, or nil if there are no writers.
func NewTracer(w ...io.Writer) *Tracer {
	if len(w) == 0 {
		return nil
	}
	return &Tracer{w: w, start: time.Now()}
}

func (t *Tracer) on() bool { return t != nil }

func (t *Tracer) event(conn uint64, format string, args ...any) {
	if t == nil {
		return
	}
	line := fmt.Sprintf("%s [%d] ", Clock(time.Since(t.start)), conn) + fmt.Sprintf(format, args...) + "\n"
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, w := range t.w {
		_, _ = io.WriteString(w, line) // a trace that cannot be written does not end the run
	}
}

func (t *Tracer) sent(conn, stream uint64, n int)     { t.event(conn, "send[%d]=%d", stream, n) }
func (t *Tracer) received(conn, stream uint64, n int) { t.event(conn, "recv[%d]=%d", stream, n) }

// Clock formats a time as traces do: H:MM:SS.micros.
func Clock(d time.Duration) string {
	s := int64(d / time.Second)
	text := fmt.Sprintf("%d:%02d:%02d", s/3600, s/60%60, s%60)
	if us := d % time.Second / time.Microsecond; us > 0 {
		text += fmt.Sprintf(".%06d", us)
	}
	return text
}
