package quic

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/core"
)

// ConnStats are the counters and the state of a connection.
type ConnStats struct {
	TrafficStats

	// The state of the path in use. RTTVariance is the mean deviation of the round-trip time.
	SmoothedRTT, LatestRTT, MinRTT, RTTVariance time.Duration
	CongestionWindow, BytesInFlight             int // in bytes
	PacketsInFlight                             int
	PacingRate                                  int64 // in bytes per second; 0 means that packets are not paced
	// CongestionState is slow_start, congestion_avoidance or recovery; with BBR its state, such as probe_bw_up; and with
	// a controller of the program its name.
	CongestionState string
	// DatagramSize is the largest UDP payload that is sent now, in bytes. See Config.DisablePathMTUDiscovery.
	DatagramSize int
	// ECNCapable reports whether packets are marked as ECN-capable now, because the marks have been found to arrive. See
	// Config.DisableECN.
	ECNCapable bool

	// HandshakeTime is the time from the first byte to the completed handshake.
	HandshakeTime time.Duration
	// Streams shows what blocks the streams of both sides.
	Streams StreamStats
}

// DatagramStats count the datagrams of a connection's application. DatagramsSent and DatagramsReceived of ConnStats
// count UDP datagrams instead.
type DatagramStats struct {
	Sent, Received uint64
	// Lost is the number of datagrams in packets that were declared lost. They are not sent again. A few of them
	// may have arrived all the same.
	Lost uint64
	// SendTooLarge is the number of datagrams that were accepted and then dropped, because the path's MTU had
	// shrunk below their size before they were sent.
	SendTooLarge uint64
	// ReceiveOverflows is the number of datagrams that arrived and were dropped before ReceiveDatagram, because
	// more than Config.DatagramReceiveQueue were waiting. ReceiveNoMemory is the number of those for which
	// Config.MaxReceiveMemory had no room.
	ReceiveOverflows, ReceiveNoMemory uint64
	// SendQueueOverflow is the number of attempts to send a datagram that found the queue full.
	SendQueueOverflow uint64
}

// StreamStats are the counters of a connection's streams and of flow control.
type StreamStats struct {
	// BlockedByStream, BlockedByConn and BlockedByStreamLimit count how often a limit of the peer has
	// blocked this side: from sending on a stream, from sending at all, or from opening a stream.
	BlockedByStream, BlockedByConn, BlockedByStreamLimit uint64
	// PeerBlockedByStream, PeerBlockedByConn and PeerBlockedByStreamLimit count how often the peer has
	// reported that one of our limits blocks it: Config.StreamWindow, Config.ConnWindow, or
	// Config.MaxIncomingStreams and MaxIncomingUniStreams. The usual cause of the first two is an
	// application that does not read.
	PeerBlockedByStream, PeerBlockedByConn, PeerBlockedByStreamLimit uint64
	// AbortedStreams is the number of streams that the peer has opened and aborted. WithheldStreams is the
	// number of those for which Config.MaxAbortedStreams has delayed the credit for a new stream.
	AbortedStreams, WithheldStreams uint64

	// BytesUnread is the part of ReceiveWindow, the connection's current window, that the peer has used.
	BytesUnread, ReceiveWindow int64
	// BytesUnacknowledged is the number of bytes that were written but not acknowledged. SendCredit is the
	// number of new bytes that the peer's connection window allows.
	BytesUnacknowledged, SendCredit int64
	// OpenStreams is the number of streams of both sides that are open. LocalStreams and PeerStreams are the
	// numbers of streams that this side and the peer have opened so far.
	OpenStreams, LocalStreams, PeerStreams int64
	// BidiCredit and UniCredit are the numbers of streams that the peer allows this side to open now.
	BidiCredit, UniCredit int64
}

// Stats returns the current counters. It may also be called on a closed connection.
func (c *Conn) Stats() ConnStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return connStats(c.core.Stats())
}

func connStats(s core.Stats) ConnStats {
	return ConnStats{
		TrafficStats: TrafficStats{
			DatagramsSent: s.DatagramsSent, DatagramsReceived: s.DatagramsReceived,
			BytesSent: s.BytesSent, BytesReceived: s.BytesReceived,
			PacketsSent: s.PacketsSent, PacketsReceived: s.PacketsReceived,
			PacketsLost: s.PacketsLost, BytesLost: s.BytesLost, SpuriousLosses: s.SpuriousLosses,
			SendErrors:     s.SendErrors,
			PacketsDropped: s.Drops.Total(), Drops: packetDrops(&s.Drops),
			KeyUpdates:  s.KeyUpdates,
			PathChanges: s.PathChanges, FailedPaths: s.FailedPaths,
			ProbeTimeouts: s.ProbeTimeouts, CongestionEvents: s.CongestionEvents, PersistentCongestion: s.PersistentCongestion,
			PacketsMarked:    s.PacketsMarked,
			HandshakeFlights: s.HandshakeFlights, HandshakeBytesSent: s.HandshakeBytesSent, HandshakeBytesReceived: s.HandshakeBytesReceived,
			Datagrams: DatagramStats(s.Datagrams),
		},
		SmoothedRTT: s.SmoothedRTT, LatestRTT: s.LatestRTT, MinRTT: s.MinRTT, RTTVariance: s.RTTVariance,
		CongestionWindow: s.CongestionWindow, BytesInFlight: s.BytesInFlight,
		PacketsInFlight: s.PacketsInFlight, PacingRate: s.PacingRate, CongestionState: s.CongestionState,
		DatagramSize: s.DatagramSize, ECNCapable: s.ECNCapable,
		HandshakeTime: s.HandshakeTime,
		Streams:       StreamStats(s.Streams),
	}
}

// PacketDrops counts packets that a connection received but did not process, by reason.
type PacketDrops struct {
	Duplicate       uint64 // received before, or too old to know
	Undecryptable   uint64 // failed to authenticate
	WrongPath       uint64 // received from an address from which the connection expects nothing
	Malformed       uint64
	TooSmall        uint64 // Initial packets in datagrams of less than 1200 bytes
	WrongVersion    uint64 // of another QUIC version than the connection's
	UnknownConnID   uint64 // to a connection ID that is not this connection's
	SourceConnID    uint64 // the source connection ID differs from the peer's first
	UnexpectedType  uint64 // of a type that is not expected, such as 0-RTT
	UnexpectedToken uint64 // Initial packets of a server with a token
	KeysUnavailable uint64 // arrived before their keys when too many such packets were kept
	KeysDiscarded   uint64 // arrived after their keys were discarded
	InvalidRetry    uint64 // Retry packets that are late, repeated or not authentic
	InvalidVersions uint64 // Version Negotiation packets that are late or do not match
	NoMemory        uint64 // stream data for which Config.MaxReceiveMemory has no room
	Closed          uint64 // arrived after the end of the connection
}

func packetDrops(d *core.DropCounts) PacketDrops {
	return PacketDrops{
		Duplicate: d[core.DropDuplicate], Undecryptable: d[core.DropUndecryptable],
		WrongPath: d[core.DropWrongPath], Malformed: d[core.DropMalformed],
		TooSmall: d[core.DropTooSmall], WrongVersion: d[core.DropUnknownVersion],
		UnknownConnID: d[core.DropUnknownConnID], SourceConnID: d[core.DropSourceConnID],
		UnexpectedType: d[core.DropUnexpectedPacket], UnexpectedToken: d[core.DropUnexpectedToken],
		KeysUnavailable: d[core.DropKeysUnavailable], KeysDiscarded: d[core.DropKeysDiscarded],
		InvalidRetry: d[core.DropInvalidRetry], InvalidVersions: d[core.DropInvalidNegotiation],
		NoMemory: d[core.DropNoMemory], Closed: d[core.DropClosedConn],
	}
}
