package core

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/streams"
)

// Stats are the statistics of one connection.
type Stats struct {
	Counts
	PacketsLost, SpuriousLosses     uint64
	Drops                           DropCounts // packets received but not processed
	SmoothedRTT, LatestRTT, MinRTT  time.Duration
	CongestionWindow, BytesInFlight int
	DatagramSize                    int // the largest UDP payload to send now

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
	// HandshakeTime is the time from the first byte to the completed handshake.
	HandshakeTime time.Duration
}
