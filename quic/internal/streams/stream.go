package streams

import "github.com/pqquic/pqquic/quic/internal/recovery"

// A stream is a stream of either type. A half that does not exist or has ended is done.
type stream struct {
	id    ID
	index int  // index in Set.all
	gone  bool // freed, but a queue may still contain it
	// aborted reports whether the peer has aborted the stream while our application was working for it.
	aborted bool
	// withheld is set while the peer does not allow the stream, which was opened before it lowered its limit: see
	// ReplacePeerParams.
	withheld bool
	events   uint8 // events to be polled, one bit for each kind
	queued   uint8 // queues that contain the stream, one bit for each
	urgency  uint8
	turnLeft uint8 // what is left of the turn in qFresh, in units of turnUnit; 0 if it has not begun
	ordered  bool  // not incremental: see priority.go
	next     [numQueues]*stream
	place    [2]int32 // in the turnHeaps of qResend and qFresh, if it is there

	send sendHalf
	recv recvHalf
}

// sendHalf is the sending part of a stream.
//
//	acked ≤ sent ≤ end, sent ≤ max, end-acked ≤ Config.SendBuffer
//
// buf contains the data from acked to end.
type sendHalf struct {
	done bool // both the peer and the application know the outcome

	buf     sendBuffer
	charged int64 // bytes charged to Set.sendShare
	acked   int64 // data below was acknowledged
	sent    int64 // data below was sent at least once
	end     int64 // data below was written
	max     int64 // the peer's limit
	above   recovery.RangeSet[int64]
	lost    recovery.RangeSet[int64] // ranges to send again, disjoint from the above
	// Every second probe repeats the oldest unacknowledged data. The others repeat data from probed on.
	probed      int64
	probeOldest bool // the last probe repeated the oldest data

	fin    bool // the application will write no more
	finVal recovery.SentVal

	resetting bool // reset by the application or because of STOP_SENDING
	reset     recovery.SentVal
	code      uint64 // code of RESET_STREAM or RESET_STREAM_AT

	resettingAt bool  // RESET_STREAM_AT is sent in place of the end: see reset_at.go
	reliable    int64 // its reliable size

	stopped  bool   // the peer has sent STOP_SENDING
	stopCode uint64 // code of STOP_SENDING
	isKnown  bool   // the application has ended this half or knows that it was stopped

	blocked   recovery.SentVal // STREAM_DATA_BLOCKED
	blockedAt int64
	waiting   bool // Write, WriteChunk or Lend has returned ErrBlocked
	copies    bool // it was Write or WriteChunk, which obey unsentLimit
	starved   bool // waits for the budget in qStarved
	promised  bool // counted in Set.promised
	unflushed bool // counted in Set.unflushed
}

// recvHalf is the receiving part of a stream.
//
//	win.consumed ≤ next ≤ win.received ≤ final
//
// buf contains the data from win.consumed to next, and the ranges in later.
type recvHalf struct {
	done bool // the application has read the end

	buf     recvBuffer
	charged int64 // bytes charged to Set.recvShare
	win     window
	next    int64 // data below has arrived
	later   recovery.RangeSet[int64]
	final   int64 // final size, or -1

	reset bool // the peer has sent RESET_STREAM, or RESET_STREAM_AT has taken effect
	code  uint64

	resettingAt bool  // the peer has sent RESET_STREAM_AT
	reliable    int64 // its smallest reliable size; data beyond is not kept

	stopped  bool // the application has called StopSending; data is discarded
	stop     recovery.SentVal
	stopCode uint64

	wants int64 // unread bytes for which the application waits, or 0
}
