package streams

import "sync/atomic"

// Budget is the memory that receive windows of many connections may grow into. It is safe for
// concurrent use.
type Budget struct {
	free atomic.Int64
}

// NewBudget makes a budget of n bytes.
func NewBudget(n int64) *Budget {
	b := new(Budget)
	b.free.Store(n)
	return b
}

// take reserves n bytes; false if there are not as many.
func (b *Budget) take(n int64) bool {
	if b == nil {
		return true
	}
	if b.free.Add(-n) >= 0 {
		return true
	}
	b.free.Add(n)
	return false
}

func (b *Budget) put(n int64) {
	if b != nil {
		b.free.Add(n)
	}
}

// Free is the number of bytes left.
func (b *Budget) Free() int64 { return b.free.Load() }
