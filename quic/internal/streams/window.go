package streams

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/recovery"
)

// window is a receive window: how far beyond what the application has read the peer may send. It
// doubles when the application reads half of it within two round trips, for then the window, not the
// application, is what limits the peer. An application that does not read never grows it.
type window struct {
	size, limit int64 // of the window, and how large it may become
	read        int64 // by the application
	max         int64 // as the peer was told
	val         recovery.SentVal
	epoch       monotime.Time // when epochRead was read
	epochRead   int64
	grown       int64 // taken from the budget
}

func (w *window) init(size, limit int64) { w.size, w.limit, w.max = size, max(size, limit), size }

// consume counts n bytes that the application has read, or that nobody will. It makes an update due
// when half of the window is used up.
func (w *window) consume(now monotime.Time, rtt time.Duration, n int64, budget *Budget) {
	w.read += n
	if w.epoch.IsZero() {
		w.epoch, w.epochRead = now, w.read-n
	}
	if w.read-w.epochRead >= w.size/2 {
		if now.Sub(w.epoch) < 2*rtt {
			w.grow(budget)
		}
		w.epoch, w.epochRead = now, w.read
	}
	if w.read+w.size-w.max >= w.size/4 {
		w.max = w.read + w.size
		w.val.Set()
	}
}

func (w *window) grow(budget *Budget) {
	if more := min(w.size, w.limit-w.size); more > 0 && budget.take(more) {
		w.size += more
		w.grown += more
	}
}

func (w *window) release(budget *Budget) {
	budget.put(w.grown)
	w.grown = 0
}
