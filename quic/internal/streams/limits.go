package streams

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/recovery"
)

// localType is the state of the streams of one type that we open.
type localType struct {
	opened  int64
	max     int64            // the peer's limit
	blocked recovery.SentVal // STREAMS_BLOCKED
	waiting bool             // Open has returned ErrLimit
	event   bool             // the event that Open may succeed waits to be polled
}

// raise processes a stream limit from the peer.
//
// "MAX_STREAMS frames that do not increase the stream limit MUST be ignored."
// https://www.rfc-editor.org/rfc/rfc9000#section-4.6-4
func (l *localType) raise(limit int64) {
	if limit <= l.max {
		return
	}
	l.max = limit
	l.blocked.Clear()
	if l.waiting {
		l.waiting, l.event = false, true
	}
}

// remoteType is the state of the streams of one type that the peer opens.
//
//	accepted ≤ opened ≤ limit, announced ≤ opened
type remoteType struct {
	opened    int64
	announced int64 // streams reported by EventOpened
	accepted  int64 // streams returned by Accept
	returned  int64 // streams freed whose credit was returned to the peer
	limit     int64 // the last limit sent to the peer
	size      int64 // maximum number of open streams
	wanted    bool  // the peer has reported that the limit blocks it
	update    recovery.SentVal
}

func (r *remoteType) init(size int64) {
	size = min(max(size, 0), maxStreams)
	r.size, r.limit = size, size
}

func (r *remoteType) newLimit() int64 { return min(r.size+r.returned, maxStreams) }

// release gives the peer credit for n streams.
func (r *remoteType) release(n int64) {
	r.returned += n
	r.maybeUpdate()
}

// maybeUpdate makes an update of the limit due if it is worth a frame: if a quarter of the peer's streams
// have been freed, if the peer can open at most half of them, or if it asks. A peer may have used up stream
// numbers without having sent on the streams, which we cannot see.
//
// "An endpoint MUST NOT wait to receive this signal before advertising additional credit"
// https://www.rfc-editor.org/rfc/rfc9000#section-4.6-6
func (r *remoteType) maybeUpdate() {
	more := r.newLimit() - r.limit
	if more > 0 && (more > r.size/4 || r.limit-r.opened <= r.size/2 || r.wanted) {
		r.update.Set()
	}
}

// handleBlocked processes STREAMS_BLOCKED. A frame about a limit that has been raised since has no effect.
func (r *remoteType) handleBlocked(limit int64) {
	r.wanted = r.wanted || limit >= r.limit
	r.maybeUpdate()
}

// sentUpdate records that a MAX_STREAMS frame with this limit is sent.
func (r *remoteType) sentUpdate(limit int64) {
	if limit > r.limit {
		r.limit, r.wanted = limit, false
	}
}

// returnCredit lets the peer open another stream in place of one that is freed.
func (s *Set) returnCredit(st *stream) {
	k := typeIndex(st.id.Uni())
	if st.aborted {
		s.stats.AbortedStreams++
		if !s.aborts.take(s.now) {
			s.stats.WithheldStreams++
			s.aborts.withheld[k]++
			return
		}
	}
	s.remote[k].release(1)
}

// releaseWithheld returns the withheld credit for which there are tokens.
func (s *Set) releaseWithheld() {
	for k := range s.aborts.withheld {
		for s.aborts.withheld[k] > 0 && s.aborts.take(s.now) {
			s.aborts.withheld[k]--
			s.remote[k].release(1)
		}
	}
}

// An abortLimiter limits the rate at which a peer can open streams and abort them. Each such stream costs
// the application work that the peer does not wait for. The peer therefore gets the credit for new streams
// at a bounded rate, from a token bucket. Streams that end normally are not counted.
type abortLimiter struct {
	every    time.Duration // time between two tokens; 0 means no limit
	burst    int64         // size of the bucket
	tokens   int64
	filled   monotime.Time // the time up to which tokens have been added
	withheld [2]int64      // credit that waits for tokens
}

const (
	// abortBurst is the size of the bucket in seconds.
	abortBurst = 5
	// abortBatch is the number of tokens for which a timer is set.
	abortBatch = 10
)

// init sets the limit to a number of streams per second; 0 means no limit.
func (l *abortLimiter) init(rate int64) {
	*l = abortLimiter{}
	if rate > 0 {
		l.every = time.Second / time.Duration(rate)
		l.burst = abortBurst * min(rate, int64(time.Second))
		l.tokens = l.burst
	}
}

// take takes a token if there is one.
func (l *abortLimiter) take(now monotime.Time) bool {
	if l.every == 0 {
		return true
	}
	if l.filled.IsZero() {
		l.filled = now
	}
	if n := int64(now.Sub(l.filled) / l.every); n > 0 {
		l.tokens = min(l.tokens+n, l.burst)
		l.filled = l.filled.Add(time.Duration(n) * l.every)
	}
	if l.tokens == 0 {
		return false
	}
	l.tokens--
	return true
}

func (l *abortLimiter) isWithholding() bool { return l.withheld[0]+l.withheld[1] > 0 }

// next returns when some of the withheld credit can be returned, or zero if there is none.
func (l *abortLimiter) next() monotime.Time {
	if !l.isWithholding() {
		return 0
	}
	return l.filled.Add(time.Duration(min(l.withheld[0]+l.withheld[1], abortBatch)) * l.every)
}
