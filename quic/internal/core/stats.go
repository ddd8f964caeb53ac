package core

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/streams"
)

// Stats are the statistics of one connection.
type Stats struct {
	Counts
	PathChanges                                           uint64 // changes of the path in use
	FailedPaths                                           uint64 // paths that could not be validated
	PacketsLost, SpuriousLosses, BytesLost                uint64
	ProbeTimeouts, CongestionEvents, PersistentCongestion uint64
	PacketsMarked                                         uint64     // packets sent that arrived with ECN-CE
	Drops                                                 DropCounts // packets received but not processed

	// Of the active path.
	SmoothedRTT, LatestRTT, MinRTT, RTTVariance time.Duration
	CongestionWindow, BytesInFlight             int
	PacketsInFlight                             int // on all paths
	PacingRate                                  int64
	CongestionState                             string
	ECNCapable                                  bool // packets are marked with ECT(0), and the marks arrive
	DatagramSize                                int  // the largest UDP payload to send now

	Streams   streams.Stats
	Datagrams DatagramStats
}

// Counts are the counters that a connection keeps itself.
type Counts struct {
	DatagramsSent, DatagramsReceived uint64
	BytesSent, BytesReceived         uint64
	PacketsSent, PacketsReceived     uint64
	SendErrors                       uint64 // trains that the socket failed to send
	KeyUpdates                       uint64
	// HandshakeFlights is the number of flights of both sides in the handshake, and the bytes are those of
	// Initial and Handshake packets.
	HandshakeFlights                           uint64
	HandshakeBytesSent, HandshakeBytesReceived uint64
	// HandshakeTime is the time from the first byte to the completed handshake.
	HandshakeTime time.Duration
}

// A flight is what one side sends in Initial and Handshake packets until it receives something from the
// other side that advances the handshake.
type flight uint8

const (
	noFlight flight = iota
	ourFlight
	peerFlight
)

// countFlight counts a packet of the handshake. Packets that only acknowledge do not begin a flight.
func (c *Conn) countFlight(f flight, eliciting bool) {
	if eliciting && c.tls.flight != f {
		c.tls.flight = f
		c.stats.HandshakeFlights++
	}
}
