package core

// DropReason says why a datagram was dropped by an Endpoint.
type DropReason uint8

const (
	DropNone DropReason = iota
	DropMalformed
	DropTooSmall        // an Initial in less than MinInitialSize
	DropUnknownVersion  // too small for Version Negotiation
	DropUnknownConnID   // a long header for no connection of ours
	DropNotAccepting    // no server here
	DropShortConnID     // a client's first ID has less than 8 bytes
	DropRateLimit       // too many attempts
	DropUndecryptable   // an Initial that does not open
	DropOverload        // more attempts than Retry helps against
	DropHelloBytes      // more than a ClientHello may take
	DropHelloTimeout    // a ClientHello that was never completed
	DropBadHello        // not a ClientHello
	DropClosedConn      // for a connection that has closed
	DropStatelessReset  // answered by a stateless reset
	DropVersionAnswered // answered by Version Negotiation
	DropRetried         // answered by Retry
	DropInvalidToken    // answered by INVALID_TOKEN
	DropIncompleteHello // kept: part of a ClientHello
	DropResetSuppressed // deserved a stateless reset, but for the rate
	numDropReasons
)

var dropNames = [numDropReasons]string{
	"none", "malformed", "too small", "unknown version", "unknown connection ID", "not accepting",
	"short connection ID", "rate limit", "undecryptable", "overload", "hello bytes", "hello timeout",
	"bad hello", "closed connection", "stateless reset", "version negotiation", "retry",
	"invalid token", "incomplete hello", "reset suppressed",
}

func (r DropReason) String() string {
	if r < numDropReasons {
		return dropNames[r]
	}
	return "unknown"
}

func (e *Endpoint) drop(r DropReason) Routed {
	e.drops[r]++
	return Routed{Kind: RouteDrop, Drop: r}
}

// Drops calls yield with the count of each reason that has occurred.
func (e *Endpoint) Drops(yield func(DropReason, uint64) bool) {
	for r, n := range e.drops {
		if n > 0 && !yield(DropReason(r), n) {
			return
		}
	}
}
