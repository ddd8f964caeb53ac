package streams

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/recovery"
)

// localType is the streams of one type that we open.
type localType struct {
	opened  int64
	max     int64            // the peer's limit
	blocked recovery.SentVal // STREAMS_BLOCKED
	waiting bool             // Open has returned ErrLimit
	event   bool             // to be polled: Open is worth another try
}

// raise takes a limit of the peer's.
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

// remoteType is the streams of one type that the peer opens.
//
//	accepted ≤ opened ≤ limit, announced ≤ opened
type remoteType struct {
	opened    int64
	announced int64 // by EventOpened
	accepted  int64 // by Accept
	returned  int64 // freed, and their credit given back
	limit     int64 // as told to the peer
	size      int64 // how many may be open
	wanted    bool  // the peer has said that the limit blocks it
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

// maybeUpdate tells the peer of its credit when that is worth a frame: when a quarter of its streams
// have come back, when it has not many left, or when it asks. It may have used up the numbers without
// sending on them, which we do not see.
func (r *remoteType) maybeUpdate() {
	more := r.newLimit() - r.limit
	if more > 0 && (more > r.size/4 || r.limit-r.opened <= r.size/2 || r.wanted) {
		r.update.Set()
	}
}

// handleBlocked takes a STREAMS_BLOCKED, unless it speaks of a limit that was raised since.
func (r *remoteType) handleBlocked(limit int64) {
	r.wanted = r.wanted || limit >= r.limit
	r.maybeUpdate()
}

// sentUpdate notes that the peer is told of a limit.
func (r *remoteType) sentUpdate(limit int64) {
	if limit > r.limit {
		r.limit, r.wanted = limit, false
	}
}

// returnCredit lets the peer open another stream for one that is freed.
func (s *Set) returnCredit(st *stream) {
	k := typeIndex(st.id.Uni())
	if st.aborted && !s.churn.take(s.now) {
		s.churn.withheld[k]++
		return
	}
	s.remote[k].release(1)
}

func (s *Set) giveWithheld() {
	for k := range s.churn.withheld {
		for s.churn.withheld[k] > 0 && s.churn.take(s.now) {
			s.churn.withheld[k]--
			s.remote[k].release(1)
		}
	}
}

// churn slows a peer down that opens streams only to abort them. Each such stream costs the
// application work that the peer does not wait for, so the credit for a new one comes at a bounded
// rate: a bucket of tokens. Streams that end as they should are not counted.
type churn struct {
	tokens   int64
	filled   monotime.Time // the time up to which tokens have been added
	withheld [2]int64      // credit that waits for tokens
}

// An application that cancels requests, as a browser does when a page is left, stays below these.
const (
	churnBurst = 1000
	churnEvery = 5 * time.Millisecond
	// churnBatch is how many tokens are worth a timer.
	churnBatch = 10
)

func (c *churn) init() { *c = churn{tokens: churnBurst} }

// take takes a token if there is one.
func (c *churn) take(now monotime.Time) bool {
	if c.filled.IsZero() {
		c.filled = now
	}
	if n := int64(now.Sub(c.filled) / churnEvery); n > 0 {
		c.tokens = min(c.tokens+n, churnBurst)
		c.filled = c.filled.Add(time.Duration(n) * churnEvery)
	}
	if c.tokens == 0 {
		return false
	}
	c.tokens--
	return true
}

func (c *churn) isWithholding() bool { return c.withheld[0]+c.withheld[1] > 0 }

// next is when some of the withheld credit can be given; zero if there is none.
func (c *churn) next() monotime.Time {
	if !c.isWithholding() {
		return 0
	}
	return c.filled.Add(time.Duration(min(c.withheld[0]+c.withheld[1], churnBatch)) * churnEvery)
}
