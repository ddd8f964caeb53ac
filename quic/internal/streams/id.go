package streams

import "github.com/pqquic/pqquic/tlsprovider"

// ID is a stream ID: its two low bits say who opened the stream and whether it has one direction.
type ID uint64

// MakeID is the ID of the num-th stream, from 0, of a kind.
func MakeID(initiator tlsprovider.Side, uni bool, num int64) ID {
	id := ID(num<<2) | ID(initiator)
	if uni {
		id |= 2
	}
	return id
}

// Initiator is the side that opened the stream.
func (id ID) Initiator() tlsprovider.Side { return tlsprovider.Side(id & 1) }

// Uni reports whether the stream has one direction only.
func (id ID) Uni() bool { return id&2 != 0 }

// Num is the number of the stream among those of its kind.
func (id ID) Num() int64 { return int64(id >> 2) }
