package streams

import "time"

// What a peer sends ahead of the reader waits in the socket's receive buffer if it arrives faster than it is read. Bulk
// data needs a long queue there: a reader that has lost its processor for some milliseconds must find work when it comes
// back (bulk-down-1 of bench/peers shows it). But small messages wait behind that queue (h3-beside).
//
// Therefore the limits of streams stay low while new streams are opened beside bulk data: the peer may send at most
// mixedAhead beyond what has arrived. The windows keep their sizes, and apply again when no stream was opened for some
// time. Bytes that have arrived do not count, so that a stream that the application does not read delays no other one.
//
// On longer paths the queue is in a router, and its length is a matter of congestion control.

const (
	// bulkSize is the number of bytes from which on a stream carries bulk data.
	bulkSize = 1 << 20
	// mixedAhead is what the peer may send ahead on a stream. On a path of nearRTT, it permits 4 Gbit/s.
	mixedAhead = 128 << 10
	// mixedTime is for how long limits stay low after a stream was opened.
	mixedTime = time.Second
	// nearRTT is the longest round-trip time for which limits stay low: that of one host, or of a few switches.
	nearRTT = 250 * time.Microsecond
	// unlimited is what the peer may send ahead otherwise. Adding it to an offset does not overflow.
	unlimited = 1 << 62
)

// isBulk reports whether a stream receives bulk data and has not ended.
func (r *recvHalf) isBulk() bool { return r.final < 0 && r.win.received >= bulkSize }

// countBulk counts a stream for which isBulk has changed.
func (s *Set) countBulk(isBulk bool) {
	if isBulk {
		s.bulkStreams++
	} else {
		s.bulkStreams--
	}
}

// noteOpened is called when a stream was opened.
func (s *Set) noteOpened() {
	if s.bulkStreams > 0 {
		s.mixedUntil = s.now.Add(mixedTime)
	}
}

// ahead returns how many bytes the peer may send on a stream beyond those that have arrived.
func (s *Set) ahead() int64 {
	if s.isNear && s.now.Before(s.mixedUntil) {
		return mixedAhead
	}
	return unlimited
}
