package streams

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/recovery"
)

// streamsPerConn is the number of unread streams that the window of a connection holds at least: it grows
// with the largest window of a stream, so that a few streams that are not read do not stop the others.
const streamsPerConn = 4

// A window is the receiver's side of flow control, of a stream or of the connection: the peer may
// send size bytes ahead of what was consumed. Consumed is what the application has read, and what
// nobody will read any more.
//
// consumed ≤ received ≤ limit ≤ consumed + size
type window struct {
	size, max int64 // in bytes; size does not fall
	received  int64
	consumed  int64
	limit     int64            // the last one sent to the peer
	update    recovery.SentVal // of the limit

	// The time when a measurement began, and what was consumed then.
	epoch   monotime.Time
	epochAt int64
}

func (w *window) init(size, most int64) {
	*w = window{size: size, max: max(size, most), limit: size}
}

// consume counts n bytes as consumed, and makes an update due when it is worth a frame.
func (w *window) consume(n int64) {
	w.consumed += n
	// "[F]requently sending MAX_STREAM_DATA and MAX_DATA frames with small changes is
	// undesirable. [...] if updates are less frequent, larger increments to limits are necessary
	// to avoid blocking a sender". A quarter of the window is either way no more than that.
	// https://www.rfc-editor.org/rfc/rfc9000#section-4.2-3
	if w.consumed+w.size-w.limit >= max(w.size/4, 1) {
		w.update.Set()
	}
}

// wantsMore measures how fast the application reads, and reports whether the window is what holds
// the peer back: a quarter of it is read within a round trip. A peer that doubles its rate every
// round trip is met by a window that stays ahead. An application that does not read never gets here.
func (w *window) wantsMore(now monotime.Time, rtt time.Duration) bool {
	if w.epoch.IsZero() {
		w.epoch, w.epochAt = now, 0
	}
	if w.consumed-w.epochAt < w.size/4 {
		return false
	}
	fast := now.Sub(w.epoch) < rtt
	w.epoch, w.epochAt = now, w.consumed
	return fast && w.size < w.max
}

// grow makes the window size bytes large, or as large as it may be.
func (w *window) grow(size int64) {
	w.size = max(w.size, min(size, w.max))
	w.update.Set()
}

// newLimit is what the next update says.
func (w *window) newLimit() int64 { return max(w.limit, w.consumed+w.size) }

// space is how much more the peer may send.
func (w *window) space() int64 { return w.limit - w.received }
