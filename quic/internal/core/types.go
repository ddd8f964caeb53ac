package core

import (
	"net/netip"

	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// A Path is a pair of addresses. Local may be the zero value where the socket does not tell.
type Path struct {
	Local, Remote netip.AddrPort
}

// ECN is the codepoint of a datagram.
type ECN = recovery.ECN

// A Train is a run of datagrams received together on one path: what one read with segmentation
// offload returns. Every datagram is SegmentSize bytes long but the last, which may be shorter.
type Train struct {
	Path        Path
	ECN         ECN
	Data        []byte
	SegmentSize int
}

// next cuts the first datagram off.
func (t *Train) next() (datagram []byte, ok bool) {
	if len(t.Data) == 0 {
		return nil, false
	}
	n := t.SegmentSize
	if n <= 0 || n > len(t.Data) {
		n = len(t.Data)
	}
	datagram, t.Data = t.Data[:n:n], t.Data[n:]
	return datagram, true
}

// A Transmit is a train to be sent: datagrams of SegmentSize bytes, the last possibly shorter, all
// with the same addresses and codepoint. Data lies in the buffer that was given to the poll.
type Transmit struct {
	Path        Path
	ECN         ECN
	Data        []byte
	SegmentSize int
}

// Segments is the number of datagrams.
func (t *Transmit) Segments() int {
	if t.SegmentSize <= 0 || len(t.Data) == 0 {
		return 0
	}
	return (len(t.Data) + t.SegmentSize - 1) / t.SegmentSize
}

// MinInitialSize is the smallest UDP payload that may carry a client's Initial packet, and the
// size that every path is assumed to carry.
const MinInitialSize = 1200

// MaxDatagramSize is the largest UDP payload that a Conn receives or sends.
const MaxDatagramSize = 1472

// ConnIDLen is the length of the connection IDs that we issue.
const ConnIDLen = 8

// ConnRef is the driver's name for a connection, carried by an Endpoint without looking at it.
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
	// Validated: the client's address is known to be its own.
	Validated bool
	// NextInitial is the number of Initial packets, acknowledgements only, that the Endpoint
	// has sent in the connection's name.
	NextInitial wire.PacketNumber
	// Sent is the number of bytes that went into them.
	Sent int
	// Datagrams are all that came, as they came, to be fed to the new Conn in order.
	Datagrams []ReceivedDatagram
}

// ReceivedDatagram is a datagram that was kept.
type ReceivedDatagram struct {
	Data []byte
	ECN  ECN
}
