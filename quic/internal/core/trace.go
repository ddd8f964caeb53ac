package core

import (
	"encoding/binary"
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// A TraceFunc receives what happens to a connection, for its log. The event and what it refers to are valid
// until the function returns. It must not block and must not call the Conn. A connection without one does
// nothing for it but compare a pointer with nil.
type TraceFunc func(now monotime.Time, e *TraceEvent)

// A TraceKind is the kind of a TraceEvent. The comments name the fields that are set besides Kind.
type TraceKind uint8

const (
	TraceStarted            TraceKind = iota // Path, SrcID, DstID
	TraceVersion                             // Version, and Versions if a Version Negotiation packet offers them
	TraceParams                              // Local, Params
	TracePacketSent                          // Space, Number, Header, Payload, Size, MTUProbe
	TracePacketReceived                      // Space, Number, Header, Payload, Size, ECN
	TraceUnprotected                         // Header: a Retry or Version Negotiation packet that was received
	TracePacketDropped                       // Reason, Count, and Type and Size unless Size is 0
	TracePacketBuffered                      // Type, Size
	TracePacketLost                          // Space, Number, MTUProbe
	TraceMetrics                             // Metrics
	TraceCongestion                          // State
	TraceTimerSet                            // Probe, Space, Delay
	TraceTimerExpired                        // Probe, Space
	TraceTimerCancelled                      //
	TraceMTU                                 // Size
	TracePath                                // Path
	TraceKeyUpdated                          // Space, Local, Phase, Trigger
	TraceKeyDiscarded                        // Space, Local, Phase
	TraceHandshakeComplete                   // TLS
	TraceHandshakeConfirmed                  //
	TraceProgram                             // Name, Fields
	TraceClosed                              // Close
	TraceEnd                                 // nothing follows
)

// Triggers of TraceKeyUpdated, with the names of the qlog schema.
const (
	KeyFromTLS        = "tls"
	KeyUpdateByLocal  = "local_update"
	KeyUpdateByRemote = "remote_update"
)

// A TraceEvent is something that happened to a connection. See TraceKind for the fields that are set.
type TraceEvent struct {
	Kind  TraceKind
	Space recovery.Space
	// Local is set for what belongs to this side: its parameters, or the keys that it sends with.
	Local bool

	// Of packets. Header includes the packet number, which is not protected, and Size includes the tag.
	Number          wire.PacketNumber
	Type            wire.PacketType
	Header, Payload []byte
	Size            int
	ECN             ECN
	MTUProbe        bool
	Reason          DropReason
	Count           int

	Path         Path
	SrcID, DstID wire.ConnID
	Version      wire.Version
	Versions     []wire.Version
	Params       []byte // encoded

	Metrics TraceMetricValues
	State   string
	Probe   bool          // the timer is the probe timeout, not the time threshold
	Delay   time.Duration // until the timer expires

	Phase   uint64
	Trigger string
	TLS     *tlsprovider.State
	Close   *CloseError

	// Of an event of the program. Fields are the fields of a JSON object.
	Name   string
	Fields []byte
}

// TraceMetricValues are the values of congestion control and loss detection on the active path.
type TraceMetricValues struct {
	MinRTT, SmoothedRTT, LatestRTT, RTTVariance time.Duration
	CongestionWindow, BytesInFlight             int // in bytes
	PacketsInFlight, PTOCount                   int
	PacingRate                                  int64 // in bytes per second; 0 means none
}

// tracer is the state of a connection that is traced.
type tracer struct {
	emit TraceFunc
	ev   TraceEvent // reused for each event

	packet []byte // the packet that is being processed, for TracePacketDropped

	// What was traced last.
	metrics TraceMetricValues
	state   string
	timer   monotime.Time
	mtu     int
	path    Path
	version wire.Version
}

// startTrace traces the connection if the configuration asks for it.
func (c *Conn) startTrace() {
	if c.cfg.NewTrace == nil {
		return
	}
	emit := c.cfg.NewTrace(c.now, c.ids.originalDst)
	if emit == nil {
		return
	}
	c.trace = &tracer{emit: emit, path: c.path, mtu: c.loss.Path().MaxDatagramSize(), version: c.version}
	c.traced(TraceEvent{Kind: TraceStarted, Path: c.path, SrcID: c.ids.src(), DstID: c.ids.dst()})
	c.traced(TraceEvent{Kind: TraceVersion, Version: c.version})
}

// traced emits an event. The callers on hot paths check c.trace themselves, so that no event is made.
func (c *Conn) traced(e TraceEvent) {
	if c.trace != nil {
		c.trace.ev = e
		c.trace.emit(c.now, &c.trace.ev)
	}
}

// Traced reports whether the connection is traced.
func (c *Conn) Traced() bool { return c.trace != nil }

// TraceProgram emits an event of the program. fields are the fields of a JSON object.
func (c *Conn) TraceProgram(now monotime.Time, name string, fields []byte) {
	c.clamp(now)
	c.traced(TraceEvent{Kind: TraceProgram, Name: name, Fields: fields})
}

// traceSent emits the packets of a train that is about to be sealed, in the order of the train.
func (c *Conn) traceSent(d *datagramBuilder) {
	var next [recovery.NumSpaces]int
	for {
		s, first := recovery.NumSpaces, uint32(0)
		for i := range d.descs {
			if n := next[i]; n < len(d.descs[i]) && (s == recovery.NumSpaces || d.descs[i][n].Offset < first) {
				s, first = recovery.Space(i), d.descs[i][n].Offset
			}
		}
		if s == recovery.NumSpaces {
			return
		}
		p := &d.descs[s][next[s]]
		next[s]++
		pkt := d.b[p.Offset:][:p.HeaderLen+p.PayloadLen]
		c.traced(TraceEvent{Kind: TracePacketSent, Space: s, Number: wire.PacketNumber(p.PacketNumber),
			Header: pkt[:p.HeaderLen], Payload: pkt[p.HeaderLen:], Size: len(pkt) + tlsprovider.TagLen,
			MTUProbe: d.lastSent != nil && d.lastSent.MTUProbe})
	}
}

// traceReceived emits a packet that is opened and not a duplicate. Like other functions here, it is separate so that
// the event is not a part of the caller's stack frame.
func (c *Conn) traceReceived(s recovery.Space, pn wire.PacketNumber, pkt, payload []byte, ecn ECN) {
	c.traced(TraceEvent{Kind: TracePacketReceived, Space: s, Number: pn,
		Header: pkt[:len(pkt)-len(payload)-tlsprovider.TagLen], Payload: payload, Size: len(pkt), ECN: ecn})
}

// traceLost emits the loss of a packet.
func (c *Conn) traceLost(s recovery.Space, p *recovery.SentPacket) {
	c.traced(TraceEvent{Kind: TracePacketLost, Space: s, Number: p.Num, MTUProbe: p.MTUProbe})
}

// traceDrop emits a drop.
func (c *Conn) traceDrop(r DropReason, n int) {
	e := TraceEvent{Kind: TracePacketDropped, Reason: r, Count: n}
	if p := c.trace.packet; n == 1 && len(p) > 0 {
		e.Type, e.Size = packetTypeOfBytes(p), len(p)
	}
	c.traced(e)
}

// packetTypeOfBytes returns the type of the packet at the beginning of b, which is not empty.
func packetTypeOfBytes(b []byte) wire.PacketType {
	switch {
	case b[0]&0x80 == 0:
		return wire.Packet1RTT
	case len(b) >= 5 && b[1]|b[2]|b[3]|b[4] == 0:
		return wire.PacketVersionNegotiation
	}
	if len(b) < 5 {
		return wire.PacketInitial
	}
	return wire.LongPacketType(b[0], wire.Version(binary.BigEndian.Uint32(b[1:])))
}

// traceKeys emits that the keys of both directions of a space are installed or discarded.
func (c *Conn) traceKeys(kind TraceKind, s recovery.Space) {
	if c.trace == nil {
		return
	}
	for _, local := range [...]bool{true, false} {
		c.traced(TraceEvent{Kind: kind, Space: s, Local: local, Trigger: KeyFromTLS})
	}
}

// traceChanges emits what has changed since it was called last: the metrics, the state of congestion
// control, the timer of loss detection, the datagram size, the path and the version.
func (c *Conn) traceChanges() {
	t := c.trace
	t.packet = nil
	if c.closing.state != stateOpen {
		return
	}
	if c.version != t.version {
		t.version = c.version
		c.traced(TraceEvent{Kind: TraceVersion, Version: c.version})
	}
	if c.path != t.path {
		t.path = c.path
		c.traced(TraceEvent{Kind: TracePath, Path: c.path})
	}
	path := c.loss.Path()
	if size := path.MaxDatagramSize(); size != t.mtu {
		t.mtu = size
		c.traced(TraceEvent{Kind: TraceMTU, Size: size})
	}
	rtt := path.RTT()
	m := TraceMetricValues{CongestionWindow: path.CongestionWindow(), BytesInFlight: path.BytesInFlight(),
		PacketsInFlight: c.loss.PacketsInFlight(), PTOCount: c.loss.PTOCount(), PacingRate: path.PacingRate()}
	if rtt.Sampled {
		m.MinRTT, m.SmoothedRTT, m.LatestRTT, m.RTTVariance = rtt.Min, rtt.Smoothed, rtt.Latest, rtt.Variance
	}
	if m != t.metrics {
		t.metrics = m
		c.traced(TraceEvent{Kind: TraceMetrics, Metrics: m})
	}
	if state := path.CongestionState(); state != t.state {
		t.state = state
		c.traced(TraceEvent{Kind: TraceCongestion, State: state})
	}
	at, space, probe := c.loss.Timer()
	switch {
	case at == t.timer:
		return
	case at.IsZero():
		c.traced(TraceEvent{Kind: TraceTimerCancelled})
	default:
		c.traced(TraceEvent{Kind: TraceTimerSet, Space: space, Probe: probe, Delay: at.Sub(c.now)})
	}
	t.timer = at
}

// traceTimeout emits that the timer of loss detection has expired, if it has.
func (c *Conn) traceTimeout() {
	if at, space, probe := c.loss.Timer(); due(at, c.now) {
		c.trace.timer = 0
		c.traced(TraceEvent{Kind: TraceTimerExpired, Space: space, Probe: probe})
	}
}
