package quic

// TrafficStats are counters that only grow: of one connection, or of all connections of an Endpoint.
type TrafficStats struct {
	DatagramsSent, DatagramsReceived uint64
	BytesSent, BytesReceived         uint64
	PacketsSent, PacketsReceived     uint64
	// PacketsLost is the number of packets that were declared lost, and BytesLost their size. SpuriousLosses is
	// the number of those that were acknowledged later.
	PacketsLost, BytesLost, SpuriousLosses uint64
	SendErrors                             uint64 // trains that the socket failed to send
	// PacketsDropped is the number of packets that were received but not processed. Drops counts them by
	// reason.
	PacketsDropped uint64
	Drops          PacketDrops
	KeyUpdates     uint64
	// PathChanges is the number of changes of the addresses in use, and FailedPaths that of paths that could not be
	// validated. See docs/migration.md.
	PathChanges, FailedPaths uint64
	// ProbeTimeouts counts the expirations of the probe timeout, CongestionEvents how often the congestion
	// window was reduced, and PersistentCongestion how often it was reduced to the minimum.
	ProbeTimeouts, CongestionEvents, PersistentCongestion uint64
	// PacketsMarked is the number of packets sent that a router has marked because of congestion (ECN-CE).
	PacketsMarked uint64
	// HandshakeFlights is the number of flights of both sides in the handshake: 3 without loss, and 2 more for
	// a Retry or a HelloRetryRequest. The bytes are those of Initial and Handshake packets.
	HandshakeFlights                           uint64
	HandshakeBytesSent, HandshakeBytesReceived uint64
	// Datagrams counts the datagrams of the application (RFC 9221).
	Datagrams DatagramStats
}

// Add adds other counters.
func (t *TrafficStats) Add(c *TrafficStats) {
	t.DatagramsSent += c.DatagramsSent
	t.DatagramsReceived += c.DatagramsReceived
	t.BytesSent += c.BytesSent
	t.BytesReceived += c.BytesReceived
	t.PacketsSent += c.PacketsSent
	t.PacketsReceived += c.PacketsReceived
	t.PacketsLost += c.PacketsLost
	t.BytesLost += c.BytesLost
	t.SpuriousLosses += c.SpuriousLosses
	t.SendErrors += c.SendErrors
	if c.PacketsDropped > 0 {
		t.PacketsDropped += c.PacketsDropped
		t.Drops.add(&c.Drops)
	}
	t.KeyUpdates += c.KeyUpdates
	t.PathChanges += c.PathChanges
	t.FailedPaths += c.FailedPaths
	t.ProbeTimeouts += c.ProbeTimeouts
	t.CongestionEvents += c.CongestionEvents
	t.PersistentCongestion += c.PersistentCongestion
	t.PacketsMarked += c.PacketsMarked
	t.HandshakeFlights += c.HandshakeFlights
	t.HandshakeBytesSent += c.HandshakeBytesSent
	t.HandshakeBytesReceived += c.HandshakeBytesReceived
	t.Datagrams.add(&c.Datagrams)
}

func (d *DatagramStats) add(c *DatagramStats) {
	d.Sent += c.Sent
	d.Received += c.Received
	d.Lost += c.Lost
	d.SendTooLarge += c.SendTooLarge
	d.ReceiveOverflows += c.ReceiveOverflows
	d.ReceiveNoMemory += c.ReceiveNoMemory
	d.SendQueueOverflow += c.SendQueueOverflow
}

func (p *PacketDrops) add(c *PacketDrops) {
	p.Duplicate += c.Duplicate
	p.Undecryptable += c.Undecryptable
	p.WrongPath += c.WrongPath
	p.Malformed += c.Malformed
	p.TooSmall += c.TooSmall
	p.WrongVersion += c.WrongVersion
	p.UnknownConnID += c.UnknownConnID
	p.SourceConnID += c.SourceConnID
	p.UnexpectedType += c.UnexpectedType
	p.UnexpectedToken += c.UnexpectedToken
	p.KeysUnavailable += c.KeysUnavailable
	p.KeysDiscarded += c.KeysDiscarded
	p.InvalidRetry += c.InvalidRetry
	p.InvalidVersions += c.InvalidVersions
	p.NoMemory += c.NoMemory
	p.Closed += c.Closed
}

// Traffic returns the sums over all connections that the Endpoint has and has had. It takes the lock of each
// connection for a moment, so it is for metrics that are read every few seconds, not for every request.
func (e *Endpoint) Traffic() TrafficStats {
	var sum TrafficStats
	for _, m := range e.loops {
		m.mu.Lock()
		sum.Add(&m.ended)
		conns := m.listConns()
		m.mu.Unlock()
		for _, c := range conns {
			s := c.Stats()
			sum.Add(&s.TrafficStats)
		}
	}
	return sum
}

// Conns returns the current connections in any state, in no particular order.
func (e *Endpoint) Conns() (conns []*Conn) {
	for _, m := range e.loops {
		m.mu.Lock()
		conns = append(conns, m.listConns()...)
		m.mu.Unlock()
	}
	return conns
}

// listConns returns the connections of a loop. mu is held.
func (e *Endpoint) listConns() []*Conn {
	conns := make([]*Conn, 0, len(e.conns))
	for _, c := range e.conns {
		conns = append(conns, c)
	}
	return conns
}
