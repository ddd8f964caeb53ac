package quic

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// A clock counts from its start, so that it works with the fake clock of package testing/synctest, where
// time.Now has no monotonic reading.
type clock struct{ start time.Time }

func newClock() clock { return clock{start: time.Now()} }

// now returns the time. It never returns the zero Time, which means "none".
func (c clock) now() monotime.Time { return monotime.Time(time.Since(c.start) + 1) }
