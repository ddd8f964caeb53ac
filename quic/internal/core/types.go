package core

import (
	"github.com/pqquic/pqquic/quic/internal/datagram"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// The types that core shares with the socket layer. The Data of a [Transmit] lies in the buffer that was
// passed to the poll. The Slab of a [Train] is not used here.
type (
	Path     = datagram.Path
	ECN      = datagram.ECN
	Train    = datagram.Train
	Transmit = datagram.Transmit
)

// MinInitialSize is the smallest UDP payload that may carry a client's Initial packet. Every path is
// assumed to support it.
const MinInitialSize = 1200

// MaxDatagramSize is the largest UDP payload that a Conn receives or sends: what fits in an IPv4 packet of
// 9000 bytes. An Endpoint's buffers for receiving must have room for it.
const MaxDatagramSize = 9000 - 20 - 8

// MaxUnknownSize is the largest UDP payload with a long header that is processed although it belongs to no
// connection: what fits in an IPv4 packet of 1500 bytes. The limits on the work and the memory for clients
// without a connection rest on it. It is also the size of the buffers for replies.
const MaxUnknownSize = 1500 - 20 - 8

// ConnIDLen is the usual length of the connection IDs that we issue. EndpointConfig.ConnIDLen may be another.
const ConnIDLen = 8

// A ConnRef identifies a connection to the driver. It is not 0.
type ConnRef uint64

// An Incoming is a client's connection attempt that an Endpoint admitted after its ClientHello had arrived
// completely. It owns its bytes.
type Incoming struct {
	Path    Path
	Version wire.Version
	// DstID is the destination connection ID of the client's first packet, or of its first packet after
	// Retry. The Initial keys are derived from it.
	DstID wire.ConnID
	// OriginalDstID is the destination connection ID of the client's very first packet.
	OriginalDstID wire.ConnID
	// RetrySrcID is the source connection ID of our Retry packet. It is valid if Retried is set.
	RetrySrcID wire.ConnID
	Retried    bool
	// PeerID is the client's source connection ID. LocalID is the connection ID that we chose.
	PeerID, LocalID wire.ConnID
	// Validated reports whether the client's address has been validated.
	Validated bool
	// NextInitial is the number of Initial packets that the Endpoint has sent, all of them
	// acknowledgements. The connection continues with this packet number.
	NextInitial wire.PacketNumber
	// Sent is the total size of these packets in bytes.
	Sent int
	// Datagrams are the client's datagrams for the new Conn.
	Datagrams []ReceivedDatagram

	hello *hello           // what the Endpoint knows about the client
	keys  tlsprovider.Keys // the server's Initial keys, if they were derived; NewServerConn takes them
}

func (in *Incoming) closeKeys() {
	in.keys.Close()
	in.keys = tlsprovider.Keys{}
}

// A ReceivedDatagram is a datagram that was kept. Initial packets at its beginning may be open already, which
// means that Data has their header and payload in plaintext.
type ReceivedDatagram struct {
	Data []byte
	ECN  ECN

	opened  [maxInitialPackets]openedInitial
	nOpened int
	rest    int // offset of the first packet that was not tried
}

// An openedInitial is an Initial packet that the Endpoint has opened.
type openedInitial struct {
	pn                    wire.PacketNumber
	offset, size          uint16 // of the packet in its datagram
	headerLen, payloadLen uint16
}
