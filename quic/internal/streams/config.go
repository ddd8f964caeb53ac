package streams

import "sync/atomic"

// Config sets the limits of a connection's streams. Windows and buffers are in bytes. It is not
// changed while a Set uses it, and can be shared.
type Config struct {
	// RecvWindow is how far the peer may send ahead of what was read of a stream, at first;
	// the window grows to MaxRecvWindow at most. ConnWindow and MaxConnWindow are the same for
	// the sum over all streams.
	RecvWindow, MaxRecvWindow int64
	ConnWindow, MaxConnWindow int64
	// SendBuffer is how much of a stream may be written and not acknowledged.
	SendBuffer int64
	// MaxBidi and MaxUni are the numbers of streams that the peer may have open at a time.
	MaxBidi, MaxUni int64
	// AbortRate is the number of streams per second that the peer may open and abort; 0 means no
	// limit. It may exceed the rate for a few seconds. What we asked it to abort does not count.
	AbortRate int64
	// Budget, if set, bounds what connection windows may grow to, over all its users.
	Budget *Budget
}

// Budget is the number of bytes by which the windows of all connections of an endpoint may exceed
// their initial sizes. Its methods may be called concurrently.
type Budget struct {
	left atomic.Int64
}

// NewBudget returns a budget of n bytes.
func NewBudget(n int64) *Budget {
	b := new(Budget)
	b.left.Store(n)
	return b
}

// Free is what is not in use.
func (b *Budget) Free() int64 { return b.left.Load() }

// take takes n bytes, or none. A nil Budget is without bounds.
func (b *Budget) take(n int64) bool {
	if b == nil {
		return true
	}
	for {
		left := b.left.Load()
		if left < n {
			return false
		}
		if b.left.CompareAndSwap(left, left-n) {
			return true
		}
	}
}

func (b *Budget) put(n int64) {
	if b != nil {
		b.left.Add(n)
	}
}
