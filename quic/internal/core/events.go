package core

import (
	"github.com/pqquic/pqquic/quic/internal/streams"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// An EventKind is the kind of an Event.
type EventKind uint8

const (
	// EventConnected means that the handshake is complete and streams can be used.
	EventConnected EventKind = iota + 1
	// EventEarlyData means that streams can be used although the handshake is not complete: a client can send early
	// data, or a server has accepted them, or it can send because of Config.HalfRTT. It is returned once at most.
	EventEarlyData
	// EventStream means that the state of a stream has changed; see Event.Stream.
	EventStream
	// EventFlushed means that all data written has been acknowledged and no datagram waits to be sent. It is returned each time that this
	// becomes true.
	EventFlushed
	// EventDatagram means that ReceiveDatagram, which has returned nothing, will return a datagram.
	EventDatagram
	// EventDatagramRoom means that SendDatagram, which has returned ErrDatagramQueueFull, may succeed.
	EventDatagramRoom
	// EventToken means that a client can use a token for its next connection: see Conn.TakeToken.
	EventToken
	// EventPathValidated means that the path with the number Event.Path, which AddPath has returned, works.
	EventPathValidated
	// EventPathGone means that such a path has been given up.
	EventPathGone
	// EventClosed means that the connection has ended for the application; Conn.Err returns why. It is
	// returned once.
	EventClosed
	// EventDrained means that nothing is left of the connection and the Conn can be dropped. It is returned
	// once, as the last event.
	EventDrained
)

// An Event informs the application about a change.
type Event struct {
	Kind   EventKind
	Stream streams.Event // set for EventStream
	Path   uint32        // set for EventPathValidated and EventPathGone
}

// An EndpointEventKind is the kind of an EndpointEvent.
type EndpointEventKind uint8

const (
	// AddConnID means that packets to ConnID belong to this connection.
	AddConnID EndpointEventKind = iota + 1
	// RetireConnID means that packets to ConnID no longer belong to this connection.
	RetireConnID
	// AddResetToken means that a datagram from Path.Remote that ends in Token is a stateless reset. It replaces an
	// earlier event with the same Token.
	AddResetToken
	// RemoveResetToken undoes AddResetToken.
	RemoveResetToken
	// HandshakeComplete means that the connection no longer counts as an incomplete handshake.
	HandshakeComplete
	// ConnClosed means that the connection has closed. Packets to its IDs are answered from Remnant until
	// it expires.
	ConnClosed
)

// An EndpointEvent carries a change of a Conn to its Endpoint.
type EndpointEvent struct {
	Kind   EndpointEventKind
	ConnID wire.ConnID
	Token  [16]byte
	Path   Path
	// Remnant is set for ConnClosed.
	Remnant Remnant
}
