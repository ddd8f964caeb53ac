package quic

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// A clock counts from its own beginning, so that it is right on a fake clock as well (package
// testing/synctest), where time.Now tells no monotonic time.
type clock struct{ start time.Time }

func newClock() clock { return clock{start: time.Now()} }

// now is never the zero Time, which means "none".
func (c clock) now() monotime.Time { return monotime.Time(time.Since(c.start) + 1) }
