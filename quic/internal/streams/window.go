package streams

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/recovery"
)

// streamsPerConn is the minimum number of unread streams that the window of a connection can hold. The
// window grows with the largest window of a stream, so that a few unread streams do not block the others.
const streamsPerConn = 4

// A window is the receiver's side of flow control for a stream or a connection: the peer may send size
// bytes ahead of what was consumed. Consumed data is data that the application has read or will not read any
// more.
//
// The invariant is: consumed ≤ received ≤ limit ≤ consumed + size.
type window struct {
	size, max int64 // in bytes; size never decreases
	received  int64
	consumed  int64
	limit     int64            // the last limit sent to the peer
	update    recovery.SentVal // the frame that updates the limit

	// The time when a measurement began and the value of consumed at that time.
	epoch   monotime.Time
	epochAt int64
}

func (w *window) init(size, most int64) {
	*w = window{size: size, max: max(size, most), limit: size}
}

// consume counts n bytes as consumed and makes an update due when it is worth a frame. ahead is as for newLimit.
func (w *window) consume(n, ahead int64) {
	w.consumed += n
	// "[F]requently sending MAX_STREAM_DATA and MAX_DATA frames with small changes is
	// undesirable. [...] if updates are less frequent, larger increments to limits are necessary
	// to avoid blocking a sender". A quarter of the window is either way no more than that.
	// https://www.rfc-editor.org/rfc/rfc9000#section-4.2-3
	if w.newLimit(ahead)-w.limit >= max(min(w.size, ahead)/4, 1) {
		w.update.Set()
	}
}

// wantsMore measures how fast the application reads and reports whether the window limits the peer, that
// is, whether a quarter of the window is read within a round trip. The window then stays ahead of a peer
// that doubles its rate every round trip. If the application does not read, wantsMore is not called.
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

// grow increases the window to size bytes, or to its maximum.
func (w *window) grow(size int64) {
	w.size = max(w.size, min(size, w.max))
	w.update.Set()
}

// newLimit returns the limit for the next update, if the peer may send ahead bytes that have not arrived.
func (w *window) newLimit(ahead int64) int64 {
	return max(w.limit, min(w.consumed+w.size, w.received+ahead))
}

// space returns how many more bytes the peer may send.
func (w *window) space() int64 { return w.limit - w.received }
