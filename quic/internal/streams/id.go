package streams

import "github.com/pqquic/pqquic/tlsprovider"

// ID is a stream's identifier. Its two lowest bits say who opened the stream and whether it has one
// direction or two; the others count (RFC 9000, 2.1).
type ID uint64

const (
	serverBit = 1
	uniBit    = 2
)

// maxStreams is the number of streams of one type that identifiers suffice for.
const maxStreams = 1 << 60

// MakeID is the identifier of the nth stream, counted from 0, of a type.
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

// Initiator is the side that opens the stream.
func (id ID) Initiator() tlsprovider.Side {
	if id&serverBit != 0 {
		return tlsprovider.Server
	}
	return tlsprovider.Client
}

// Uni reports whether only the initiator sends on the stream.
func (id ID) Uni() bool { return id&uniBit != 0 }

// Num counts the streams of a type from 0.
func (id ID) Num() int64 { return int64(id >> 2) }

// typeIndex is 0 for a bidirectional and 1 for a unidirectional stream.
func typeIndex(uni bool) int {
	if uni {
		return 1
	}
	return 0
}
