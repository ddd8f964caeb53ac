package core

// DropReason says why an Endpoint dropped a datagram, or a Conn a packet.
type DropReason uint8

const (
	DropNone DropReason = iota
	DropMalformed
	DropTooSmall       // an Initial in less than MinInitialSize
	DropUnknownVersion // on an Endpoint: too small for Version Negotiation
	DropUnknownConnID  // no connection of ours has this destination connection ID

	// Reasons of Endpoints.
	DropNotAccepting    // no server here
	DropShortConnID     // a client's first ID has less than 8 bytes
	DropRateLimit       // too many attempts
	DropOverload        // more attempts than Retry helps against
	DropHelloBytes      // more than a ClientHello may take
	DropHelloTimeout    // a ClientHello that was never completed
	DropBadHello        // not a ClientHello
	DropStatelessReset  // answered by a stateless reset
	DropVersionAnswered // answered by Version Negotiation
	DropRetried         // answered by Retry
	DropInvalidToken    // answered by INVALID_TOKEN
	DropIncompleteHello // kept: part of a ClientHello
	DropResetSuppressed // a stateless reset was due, but for the rate
	DropRetiredConnID   // the peer has retired the connection ID

	// Reasons of both.
	DropUndecryptable // no key opens it
	DropClosedConn    // the connection has closed

	// Reasons of connections.
	DropWrongPath          // from another address than the connection's
	DropDuplicate          // received before, or too old to tell
	DropUnexpectedPacket   // of a type that is not expected here, such as 0-RTT
	DropKeysUnavailable    // came before its keys, and too many such packets are kept
	DropKeysDiscarded      // came after its keys were discarded
	DropSourceConnID       // from another source connection ID than the peer's first
	DropUnexpectedToken    // a server's Initial with a token
	DropInvalidRetry       // a Retry that is late, repeated or does not authenticate
	DropInvalidNegotiation // a Version Negotiation that is late or does not match
	DropNoMemory           // stream data for which the budget has no room

	NumDropReasons
)

var dropNames = [NumDropReasons]string{
	"none", "malformed", "too small", "unknown version", "unknown connection ID",
	"not accepting", "short connection ID", "rate limit", "overload", "hello bytes", "hello timeout",
	"bad hello", "stateless reset", "version negotiation", "retry", "invalid token",
	"incomplete hello", "reset suppressed", "retired connection ID",
	"undecryptable", "closed connection",
	"wrong path", "duplicate", "unexpected packet", "keys unavailable", "keys discarded",
	"source connection ID", "unexpected token", "invalid retry", "invalid version negotiation",
	"no memory",
}

func (r DropReason) String() string {
	if r < NumDropReasons {
		return dropNames[r]
	}
	return "unknown"
}

// DropCounts counts drops by their reason.
type DropCounts [NumDropReasons]uint64

// Total returns the sum over all reasons.
func (d *DropCounts) Total() (n uint64) {
	for _, v := range d {
		n += v
	}
	return n
}

func (e *Endpoint) drop(r DropReason) Routed {
	e.drops[r]++
	return Routed{Kind: RouteDrop, Drop: r}
}

// Drops returns how many datagrams were dropped, by reason.
func (e *Endpoint) Drops() DropCounts { return e.drops }

// drop counts a received packet that is not processed, or a datagram of which no packet was found.
func (c *Conn) drop(r DropReason) { c.dropN(r, 1) }

func (c *Conn) dropN(r DropReason, n int) { c.stats.Drops[r] += uint64(n) }
