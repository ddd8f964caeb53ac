package core

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/streams"
)

// Stats are the counters of one connection.
type Stats struct {
	DatagramsSent, DatagramsReceived uint64
	BytesSent, BytesReceived         uint64
	PacketsSent, PacketsReceived     uint64
	PacketsLost, SpuriousLosses      uint64
	SendErrors                       uint64     // trains that the socket failed to send
	Drops                            DropCounts // packets received but not processed
	KeyUpdates                       uint64
	SmoothedRTT, LatestRTT, MinRTT   time.Duration
	CongestionWindow, BytesInFlight  int
	DatagramSize                     int // the largest UDP payload to send now
	// HandshakeTime is the time from the first byte to the completed handshake.
	HandshakeTime time.Duration

	Streams streams.Stats
}
