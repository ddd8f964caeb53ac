package streams

import "github.com/pqquic/pqquic/tlsprovider"

// An ID is a stream identifier. Its two lowest bits are the initiator and the direction, and the others are
// a number (RFC 9000, section 2.1).
type ID uint64

const (
	serverBit = 1
	uniBit    = 2
)

// maxStreams is the maximum number of streams of one type.
const maxStreams = 1 << 60

// MakeID returns the identifier of the nth stream of a type, counted from 0.
func MakeID(side tlsprovider.Side, uni bool, n int64) ID {
	id := ID(n) << 2
	if side == tlsprovider.Server {
		id |= serverBit
	}
	if uni {
		id |= uniBit
	}
	return id
}

// Initiator returns the side that opens the stream.
func (id ID) Initiator() tlsprovider.Side {
	if id&serverBit != 0 {
		return tlsprovider.Server
	}
	return tlsprovider.Client
}

// Uni reports whether only the initiator sends on the stream.
func (id ID) Uni() bool { return id&uniBit != 0 }

// Num returns the number of the stream among those of its type, counted from 0.
func (id ID) Num() int64 { return int64(id >> 2) }

// typeIndex returns 0 for bidirectional and 1 for unidirectional streams.
func typeIndex(uni bool) int {
	if uni {
		return 1
	}
	return 0
}
