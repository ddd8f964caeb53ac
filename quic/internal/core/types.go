package core

import (
	"github.com/pqquic/pqquic/quic/internal/datagram"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// The types that the core shares with the socket layer. A [Transmit]'s Data lies in the buffer that was
// given to the poll; a [Train]'s Slab is not used here.
type (
	Path     = datagram.Path
	ECN      = datagram.ECN
	Train    = datagram.Train
	Transmit = datagram.Transmit
)

// MinInitialSize is the smallest UDP payload that may carry a client's Initial packet, and the
// size that every path is assumed to carry.
const MinInitialSize = 1200

// MaxDatagramSize is the largest UDP payload that a Conn receives or sends.
const MaxDatagramSize = 1472

// ConnIDLen is the length of the connection IDs that we issue.
const ConnIDLen = 8

// ConnRef is the driver's name for a connection.
type ConnRef uint64

// Incoming is a client's connection attempt that an Endpoint admitted: a whole ClientHello has
// arrived. It owns its bytes.
type Incoming struct {
	Path    Path
	Version wire.Version
	// DstID is the destination connection ID of the client's first packet after Retry, if any:
	// the Initial keys follow from it.
	DstID wire.ConnID
	// OriginalDstID is that of its very first packet.
	OriginalDstID wire.ConnID
	// RetrySrcID is the source connection ID of our Retry; valid when Retried.
	RetrySrcID wire.ConnID
	Retried    bool
	// PeerID is the client's source connection ID, LocalID the one that we chose.
	PeerID, LocalID wire.ConnID
	// Validated is set if the client's address is validated.
	Validated bool
	// NextInitial is the number of Initial packets that the Endpoint has sent, with acknowledgements
	// only. The connection goes on with this packet number.
	NextInitial wire.PacketNumber
	// Sent is the size of these packets in bytes.
	Sent int
	// Datagrams are the datagrams of the client, as they arrived, for the new Conn.
	Datagrams []ReceivedDatagram

	hello *hello           // what the Endpoint knows about the client
	keys  tlsprovider.Keys // the server's Initial keys, if they were needed; NewServerConn takes them
}

func (in *Incoming) closeKeys() {
	in.keys.Close()
	in.keys = tlsprovider.Keys{}
}

// ReceivedDatagram is a datagram that was kept.
type ReceivedDatagram struct {
	Data []byte
	ECN  ECN
}
