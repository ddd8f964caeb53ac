package core

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// ackFrequency is what we request of a peer that announces min_ack_delay (draft-ietf-quic-ack-frequency). A connection
// has one if both sides use the extension.
type ackFrequency struct {
	minDelay time.Duration // the peer's min_ack_delay
	maxDelay time.Duration // the peer's max_ack_delay, which applies until it has received our first request
	request  recovery.SentVal
	frame    wire.AckFrequency
	current  time.Duration // the delay that the peer is known to use
	at       monotime.Time // when the request was last changed
}

// The requests follow section "Determining Acknowledgment Frequency" of the draft. At least acksPerWindow ACK frames
// arrive in each round trip, as HyStart++ needs 8 samples in a round. A request is repeated only if the threshold has
// changed by a factor of two.
const (
	acksPerWindow    = 8
	maxAckThreshold  = 32
	reorderThreshold = 3 // kPacketThreshold of RFC 9002
	maxAckDelayField = 1 << 14 * time.Millisecond
)

// setPeerAckFrequency notes the peer's min_ack_delay.
func (c *Conn) setPeerAckFrequency(p *wire.TransportParameters) {
	if p.HasMinAckDelay && c.cfg.AckFrequency {
		c.extend().ackFreq = &ackFrequency{minDelay: p.MinAckDelay, maxDelay: p.MaxAckDelay, current: p.MaxAckDelay}
		c.ext.ackFreq.frame.Threshold = 1 // the default
	}
}

// pending reports whether a request waits to be sent.
func (q *ackFrequency) pending() bool { return q != nil && q.request.ShouldSend(false) }

// updateAckFrequency changes the request if the congestion window or the round-trip time has changed much. It is called
// when an ACK frame has arrived.
func (c *Conn) updateAckFrequency() {
	q := c.ext.ackFreq
	if q == nil || !c.tls.confirmed {
		return
	}
	path := c.loss.Path()
	rtt := path.RTT()
	if !rtt.Sampled || !q.at.IsZero() && c.now.Sub(q.at) < rtt.Smoothed {
		return // "Usually, it is not necessary to send an ACK_FREQUENCY frame more than once per RTT"
	}
	threshold := uint64(min(max(path.CongestionWindow()/path.MaxDatagramSize()/acksPerWindow, 1), maxAckThreshold))
	if old := q.frame.Threshold; threshold < 2*old && old < 2*threshold {
		return
	}
	delay := min(max(rtt.Smoothed/4, q.minDelay, time.Millisecond), max(q.maxDelay, q.minDelay))
	q.at = c.now
	q.frame.Threshold, q.frame.Reordering = threshold, reorderThreshold
	q.frame.MaxDelay = uint64(delay / time.Microsecond)
	q.request.Set()
}

// appendAckFrequency appends ACK_FREQUENCY if it is due, and IMMEDIATE_ACK to probes.
//
// "Until the packet carrying the ACK_FREQUENCY frame is acknowledged, the endpoint MUST use the greater of the current
// max_ack_delay and the value that is in flight when computing the PTO period." (draft-ietf-quic-ack-frequency,
// Computation of Probe Timeout Period)
func (c *Conn) appendAckFrequency(d *datagramBuilder, probe bool) {
	q := c.ext.ackFreq
	if q == nil {
		return
	}
	if q.request.ShouldSend(probe) && q.frame.Size() < d.room() {
		d.payload = q.frame.Append(d.payload)
		q.frame.Seq++
		c.send.rec = appendRecord0(c.send.rec, recAckFrequency)
		q.request.SetSent(d.pn)
		q.current = max(q.current, time.Duration(q.frame.MaxDelay)*time.Microsecond)
		c.loss.SetMaxAckDelay(q.current)
	}
	if probe && q.request.IsReceived() && d.room() > 1 {
		// "When sending PTO packets, one can include an IMMEDIATE_ACK frame to elicit an immediate acknowledgment."
		// (draft-ietf-quic-ack-frequency, Computation of Probe Timeout Period)
		d.payload = append(d.payload, byte(wire.FrameImmediateAck))
		c.send.rec = appendRecord0(c.send.rec, recPing)
	}
}

// fate handles the fate of a packet with ACK_FREQUENCY. Once the newest request is acknowledged, the peer uses its
// delay.
func (q *ackFrequency) fate(c *Conn, pn wire.PacketNumber, fate recovery.Fate) {
	q.request.AckOrLoss(pn, fate)
	if q.request.IsReceived() {
		q.current = time.Duration(q.frame.MaxDelay) * time.Microsecond
		c.loss.SetMaxAckDelay(q.current)
	}
}

// handleAckFrequency handles ACK_FREQUENCY.
//
// "Receipt of an invalid value MUST be treated as a connection error of type PROTOCOL_VIOLATION."
// (draft-ietf-quic-ack-frequency, ACK_FREQUENCY Frame)
func (c *Conn) handleAckFrequency(f *wire.AckFrequency) {
	switch {
	case !c.cfg.AckFrequency:
		c.abortf(wire.FrameEncodingError, wire.FrameAckFrequency, "ACK_FREQUENCY received without support for it")
	case f.MaxDelay < uint64(recovery.MinAckDelay/time.Microsecond) || f.MaxDelay >= uint64(maxAckDelayField/time.Microsecond):
		c.abortf(wire.ProtocolViolation, wire.FrameAckFrequency, "the requested delay of acknowledgements is out of range")
	default:
		c.app.acks.SetAckFrequency(f)
	}
}

// handleImmediateAck handles IMMEDIATE_ACK.
func (c *Conn) handleImmediateAck() {
	if !c.cfg.AckFrequency {
		c.abortf(wire.FrameEncodingError, wire.FrameImmediateAck, "IMMEDIATE_ACK received without support for it")
		return
	}
	c.app.acks.AckAtOnce()
}
