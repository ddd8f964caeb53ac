package core

// A DropReason is the reason why an Endpoint dropped a datagram or a Conn dropped a packet.
type DropReason uint8

const (
	DropNone           DropReason = iota
	DropMalformed                 // on an Endpoint also: larger than MaxDatagramSize or MaxUnknownSize
	DropTooSmall                  // an Initial packet in a datagram below MinInitialSize
	DropUnknownVersion            // on an Endpoint: too small for an answer with Version Negotiation
	DropUnknownConnID             // the destination connection ID belongs to no connection

	// Reasons of an Endpoint.
	DropNotAccepting    // the Endpoint does not serve clients
	DropShortConnID     // a client's first destination connection ID has less than 8 bytes
	DropRateLimit       // too many connection attempts
	DropOverload        // more connection attempts than Retry helps against
	DropHelloBytes      // larger than a ClientHello may be
	DropHelloTimeout    // a ClientHello that was never completed
	DropBadHello        // not a ClientHello
	DropStatelessReset  // answered with a stateless reset
	DropVersionAnswered // answered with Version Negotiation
	DropRetried         // answered with Retry
	DropInvalidToken    // answered with INVALID_TOKEN
	DropIncompleteHello // kept as part of a ClientHello
	DropResetSuppressed // not answered with a stateless reset because of the rate limit
	DropRetiredConnID   // the peer has retired the connection ID
	DropNoConnID        // no connection ID could be generated
	DropReflectionPort  // sent from a port of a service that attackers make answer: see reflection_port.go

	// Reasons of both.
	DropUndecryptable // failed to authenticate
	DropClosedConn    // the connection has closed

	// Reasons of a Conn.
	DropWrongPath          // received from an address from which the connection expects nothing
	DropDuplicate          // received before, or too old to know
	DropUnexpectedPacket   // of a type that is not expected, such as 0-RTT
	DropKeysUnavailable    // arrived before its keys when too many such packets were kept
	DropKeysDiscarded      // arrived after its keys were discarded
	DropSourceConnID       // the source connection ID differs from the peer's first
	DropUnexpectedToken    // an Initial packet of a server with a token
	DropInvalidRetry       // a Retry packet that is late, repeated or fails to authenticate
	DropInvalidNegotiation // a Version Negotiation packet that is late or does not match
	DropNoMemory           // stream data for which the budget has no room

	NumDropReasons
)

var dropNames = [NumDropReasons]string{
	"none", "malformed", "too small", "unknown version", "unknown connection ID",
	"not accepting", "short connection ID", "rate limit", "overload", "hello bytes", "hello timeout",
	"bad hello", "stateless reset", "version negotiation", "retry", "invalid token",
	"incomplete hello", "reset suppressed", "retired connection ID", "no connection ID", "reflection port",
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

// DropCounts counts drops by reason.
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

// Drops returns the number of dropped datagrams by reason.
func (e *Endpoint) Drops() DropCounts { return e.drops }

// drop counts a received packet that is not processed, or a datagram without a valid packet.
func (c *Conn) drop(r DropReason) { c.dropN(r, 1) }

func (c *Conn) dropN(r DropReason, n int) {
	if n == 0 {
		return
	}
	if c.drops == nil {
		c.drops = new(DropCounts)
	}
	c.drops[r] += uint64(n)
	if c.trace != nil {
		c.traceDrop(r, n)
	}
}
