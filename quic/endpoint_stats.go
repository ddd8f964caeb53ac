package quic

import (
	"sync/atomic"

	"github.com/pqquic/pqquic/quic/internal/core"
)

// EndpointStats are the counters of an Endpoint.
type EndpointStats struct {
	Conns    int    // current number of connections, in any state
	Accepted uint64 // connections that were delivered to the Listener
	// Refused is the number of clients that were refused: by Config.Accept, because the backlog was full,
	// because there was no Listener, because of Config.MaxConns, or because they would have waited too long
	// for TLS.
	Refused uint64
	// TooManyConns is the number of clients that were refused because of Config.MaxConns, and BacklogFull
	// the number of those that were refused because of Config.AcceptBacklog.
	TooManyConns, BacklogFull uint64
	Ignored                   uint64 // clients that Config.Accept dropped without an answer, with ErrIgnore
	// Postponed counts how often a client had to wait because too many TLS jobs were queued.
	Postponed uint64
	// Panics is the number of handshakes that ended with a panic: in a callback of Config,
	// tlsprovider.Config or tls.Config, in a Certificate.Signer, or in the provider. Panics of a program's
	// congestion controller, which end nothing, count as well. Each is logged at Error.
	Panics uint64
	// Signing is the number of handshakes that wait for a Certificate.Signer now. SignTimeouts is the number of those
	// that failed because of Config.SignTimeout, and StuckSigners the number of calls of theirs that have not returned.
	Signing, StuckSigners int
	SignTimeouts          uint64
	// ValidatedByToken is the number of clients whose address was validated by the token of an earlier
	// connection.
	ValidatedByToken uint64
	// Handshakes counts the handshakes of the Endpoint's connections.
	Handshakes HandshakeStats
	// SendMemory and ReceiveMemory are the bytes in use of Config.MaxSendMemory and MaxReceiveMemory.
	SendMemory, ReceiveMemory int64
	// SendMemoryWaits counts how often a stream had to wait for send memory. ReceiveMemoryDrops is the
	// number of packets that were dropped for lack of receive memory.
	SendMemoryWaits, ReceiveMemoryDrops uint64
	// Forwarded is the number of datagrams that arrived at the socket of one loop (Config.Loops) for a
	// connection of another, and were passed to it. ForwardDrops is the number of those that were dropped
	// because too many waited.
	Forwarded, ForwardDrops uint64
	// NonQUICReceived is the number of packets of other protocols that were queued for ReadNonQUICPacket, and
	// NonQUICDropped the number of those that were dropped because Config.NonQUICQueue packets were waiting.
	NonQUICReceived, NonQUICDropped uint64
	// Drops counts datagrams that belonged to no connection, by reason.
	Drops DatagramDrops
}

// DatagramDrops counts datagrams that belonged to no connection of an Endpoint, by the action taken.
type DatagramDrops struct {
	// Answered.
	Retried            uint64 // with Retry
	VersionNegotiation uint64 // with Version Negotiation
	InvalidToken       uint64 // with CONNECTION_CLOSE and INVALID_TOKEN
	StatelessReset     uint64 // with a stateless reset

	// IncompleteHello counts datagrams that were kept until the rest of their ClientHello arrives.
	IncompleteHello uint64

	// Dropped.
	Malformed       uint64 // also those of more than 8972 bytes, or 1472 with a long header
	TooSmall        uint64 // Initial packets in datagrams of less than 1200 bytes
	UnknownVersion  uint64 // too small for an answer with Version Negotiation
	UnknownConnID   uint64 // long headers whose connection ID belongs to no connection
	NotAccepting    uint64 // received by a server without a Listener
	ShortConnID     uint64 // a client's first connection ID has less than 8 bytes
	RateLimit       uint64 // too many connection attempts per second
	Overload        uint64 // more connection attempts than Retry helps against
	Undecryptable   uint64 // Initial packets that failed to authenticate
	HelloTooLarge   uint64 // larger than a ClientHello may be
	HelloTimeout    uint64 // ClientHellos that were never completed
	BadHello        uint64 // not a ClientHello
	ClosedConn      uint64 // for a connection that has closed
	RetiredConnID   uint64 // for a connection ID that the peer has retired
	NoConnID        uint64 // clients that got no connection ID: see Config.GenerateConnID
	SuppressedReset uint64 // not answered with a stateless reset because of the rate limit
	ReflectionPort  uint64 // from a port that clients do not use: see Config.AllowReflectionPorts
}

func datagramDrops(d core.DropCounts) DatagramDrops {
	return DatagramDrops{
		Retried: d[core.DropRetried], VersionNegotiation: d[core.DropVersionAnswered],
		InvalidToken: d[core.DropInvalidToken], StatelessReset: d[core.DropStatelessReset],
		IncompleteHello: d[core.DropIncompleteHello],
		Malformed:       d[core.DropMalformed], TooSmall: d[core.DropTooSmall],
		UnknownVersion: d[core.DropUnknownVersion], UnknownConnID: d[core.DropUnknownConnID],
		NotAccepting: d[core.DropNotAccepting], ShortConnID: d[core.DropShortConnID],
		RateLimit: d[core.DropRateLimit], Overload: d[core.DropOverload],
		Undecryptable: d[core.DropUndecryptable], HelloTooLarge: d[core.DropHelloBytes],
		HelloTimeout: d[core.DropHelloTimeout], BadHello: d[core.DropBadHello],
		ClosedConn: d[core.DropClosedConn], SuppressedReset: d[core.DropResetSuppressed],
		RetiredConnID: d[core.DropRetiredConnID], NoConnID: d[core.DropNoConnID],
		ReflectionPort: d[core.DropReflectionPort],
	}
}

// counters are the Endpoint's own part of its stats.
type counters struct {
	accepted, refused, ignored, postponed, panics, tooMany, backlogFull atomic.Uint64
	forwarded, forwardDrops                                             atomic.Uint64 // datagrams
}

// Stats returns the current counters.
func (e *Endpoint) Stats() EndpointStats {
	s := EndpointStats{
		Accepted: e.counters.accepted.Load(), Refused: e.counters.refused.Load(),
		Ignored: e.counters.ignored.Load(), Postponed: e.counters.postponed.Load(),
		Panics: e.counters.panics.Load(), Handshakes: e.handshakes.stats(),
		TooManyConns: e.counters.tooMany.Load(), BacklogFull: e.counters.backlogFull.Load(),
		Forwarded: e.counters.forwarded.Load(), ForwardDrops: e.counters.forwardDrops.Load(),
		NonQUICReceived: e.nonQUIC.received.Load(), NonQUICDropped: e.nonQUIC.dropped.Load(),
		SendMemory: e.sendMemory.Used(), ReceiveMemory: e.recvMemory.Used(),
		SendMemoryWaits: e.sendMemory.Refused(), ReceiveMemoryDrops: e.recvMemory.Refused(),
	}
	s.Conns = int(e.numConns.Load())
	e.pool.signers.fillStats(&s)
	var drops core.DropCounts
	for _, m := range e.loops {
		m.mu.Lock()
		for reason, n := range m.core.Drops() {
			drops[reason] += n
		}
		s.ValidatedByToken += m.core.ValidatedByToken()
		m.mu.Unlock()
	}
	s.Drops = datagramDrops(drops)
	return s
}
