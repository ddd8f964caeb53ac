package streams

import (
	"github.com/pqquic/pqquic/quic/internal/recovery"
)

// stream is one stream. A half that does not exist, or is over, is not open.
type stream struct {
	set   *Set
	id    ID
	index int // in Set.order
	send  sendHalf
	recv  recvHalf

	queued   bool // in Set.queue
	waits    bool // in Set.waiting
	gone     bool
	reported uint8 // events that wait to be polled
}

// sendHalf is the sending half: bytes below acked are forgotten, those below next were sent once.
type sendHalf struct {
	open    bool
	buf     chunks
	written int64
	next    int64
	max     int64 // the peer's limit
	fin     bool  // nothing will be written any more
	finVal  recovery.SentVal
	lost    recovery.RangeSet[int64] // to be sent again
	acked   recovery.RangeSet[int64] // beyond buf.base
	blocked recovery.SentVal         // STREAM_DATA_BLOCKED
	at      int64                    // the limit that blocked
	reset   recovery.SentVal
	code    uint64
	stopped bool // by the peer
	full    bool // a Write was cut short: tell when there is room
}

// recvHalf is the receiving half: bytes below buf.base were read.
type recvHalf struct {
	open    bool
	buf     chunks
	have    recovery.RangeSet[int64]
	highest int64
	final   int64 // -1 while unknown
	win     window
	reset   bool
	code    uint64
	stop    recovery.SentVal
	stopped bool // by us: what comes is thrown away
	stopFor uint64
}

func (st *stream) release() {
	st.send.buf.release()
	st.recv.buf.release()
	st.recv.win.release(st.set.cfg.Budget)
}

// enqueue notes that the stream has something to send.
func (st *stream) enqueue() {
	if !st.queued && !st.gone {
		st.queued = true
		st.set.queue = append(st.set.queue, st)
	}
}
