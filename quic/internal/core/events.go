package core

import (
	"github.com/pqquic/pqquic/quic/internal/streams"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// EventKind says what the application should know.
type EventKind uint8

const (
	// EventConnected: the handshake is complete; streams can be used.
	EventConnected EventKind = iota + 1
	// EventStream: something about streams changed; see Event.Stream.
	EventStream
	// EventFlushed: everything that was written has been acknowledged. Comes once for each
	// time that it becomes true.
	EventFlushed
	// EventClosed: the connection is over for the application; Conn.Err says why. Comes once.
	EventClosed
	// EventDrained: nothing of the connection is left; the Conn can be dropped. Comes once, last.
	EventDrained
)

// An Event is news for the application.
type Event struct {
	Kind   EventKind
	Stream streams.Event // of EventStream
}

// EndpointEventKind says what an Endpoint should know about a connection.
type EndpointEventKind uint8

const (
	// AddConnID: packets to ConnID belong to this connection.
	AddConnID EndpointEventKind = iota + 1
	// RetireConnID: they no longer do.
	RetireConnID
	// AddResetToken: a datagram from Path.Remote that ends in Token is a stateless reset.
	AddResetToken
	// RemoveResetToken undoes it.
	RemoveResetToken
	// HandshakeDone: the connection no longer counts as an unfinished handshake.
	HandshakeDone
	// ConnClosed: the connection is gone. Packets to its IDs meet Remnant until Expires.
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
