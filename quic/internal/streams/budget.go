package streams

import (
	"math"
	"sync/atomic"
)

// A Budget is an amount of memory, in bytes, that all connections of an endpoint share. It is safe for
// concurrent use.
//
// A connection may hold as much as is free, or MinShare if that is more. So a single connection gets at
// most half of the budget, and n connections that together want more than the total get 1/(n+1) each. The
// memory in use exceeds the budget by at most MinShare for each connection, plus a chunk for each stream
// that writes at the same time.
type Budget struct {
	total   int64
	used    atomic.Int64
	refused atomic.Uint64
}

// MinShare is what a connection may hold even if the budget is used up. It is enough to make progress:
// several packets, and a chunk of each size.
const MinShare = 64 << 10

// NewBudget returns a budget of total bytes.
func NewBudget(total int64) *Budget { return &Budget{total: total} }

// Used returns the number of bytes in use.
func (b *Budget) Used() int64 { return b.used.Load() }

// Refused returns how often a connection was refused memory.
func (b *Budget) Refused() uint64 { return b.refused.Load() }

// A share is the part of a Budget that one connection holds. If the Budget is nil, there is no limit.
type share struct {
	b    *Budget
	held int64
}

// room returns how many more bytes may be held now. It is negative if the limit has fallen below what is
// held.
func (s *share) room() int64 {
	if s.b == nil {
		return math.MaxInt64 - s.held
	}
	// If a connection takes its room, it holds as much as is then free.
	free := s.b.total - s.b.used.Load()
	return max((free-s.held)/2, MinShare-s.held)
}

// limit returns how many bytes may be held now.
func (s *share) limit() int64 { return s.held + s.room() }

// add changes what is held by n bytes, whether or not there is room.
func (s *share) add(n int64) {
	s.held += n
	if s.b != nil {
		s.b.used.Add(n)
	}
}

// release gives everything back.
func (s *share) release() { s.add(-s.held) }

// refuse counts a refusal.
func (s *share) refuse() {
	if s.b != nil {
		s.b.refused.Add(1)
	}
}
