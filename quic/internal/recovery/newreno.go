package recovery

import (
	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// newReno is the congestion controller of RFC 9002, section 7, with two additions. It undoes a reduction if
// all losses that caused it turn out to be reordering. The window grows only while it limits the sender.
//
// It is the simplest controller and the reference for the tests of RFC 9002. Connections use CUBIC.
type newReno struct {
	lossBased
	ackedBytes int // bytes acknowledged in congestion avoidance since the window last grew
	saved      struct{ cwnd, ssthresh int }
}

// NewReno returns the congestion controller of RFC 9002.
func NewReno() Controller { return new(newReno) }

func (c *newReno) Reset(now monotime.Time, mds int) {
	*c = newReno{}
	c.init(now, mds)
}

// Output returns the window and twice its rate in slow start, in which the window is about to double.
func (c *newReno) Output(rtt *RTT) Output { return c.output(rtt, c.inSlowStart()) }

// Acked increases the window for the bytes that were sent outside recovery, or reduces it for ECN-CE marks.
func (c *newReno) Acked(b *AckBatch) (reduced bool) {
	if b.CE > 0 {
		reduced = c.congested(b.Now, b.LatestSent)
	}
	if reduced || b.Reduced {
		return reduced // all of the packets were sent before recovery
	}
	c.grow(b.NewBytes)
	c.use.nextRound(b.Now, b.LatestSent, b.InFlight)
	return false
}

func (c *newReno) grow(bytes int) {
	if bytes == 0 || !c.limits() {
		return
	}
	if c.inSlowStart() {
		// "While a sender is in slow start, the congestion window increases by the number of
		// bytes acknowledged when each acknowledgment is processed."
		// https://www.rfc-editor.org/rfc/rfc9002#section-7.3.1-2
		c.cwnd = min(c.cwnd+bytes, maxWindow)
		return
	}
	// "[...] limit the increase to the congestion window to at most one maximum datagram size for
	// each congestion window that is acknowledged."
	// https://www.rfc-editor.org/rfc/rfc9002#section-7.3.3-2
	if c.ackedBytes += bytes; c.ackedBytes >= c.cwnd {
		c.ackedBytes -= c.cwnd
		c.cwnd = min(c.cwnd+c.mds, maxWindow)
	}
}

// Lost begins a recovery period, unless all packets were sent before the current one.
//
// "A sender that is already in a recovery period stays in it and does not reenter it."
// https://www.rfc-editor.org/rfc/rfc9002#section-7.3.2-1
func (c *newReno) Lost(b *LossBatch) (reduced bool) {
	reduced = c.losses.add(b, c.recoveryStart)
	if reduced {
		c.saved.cwnd, c.saved.ssthresh = c.cwnd, c.ssthresh
		c.reduce(b.Now)
	}
	if b.Persistent {
		c.persistent()
	}
	return reduced
}

// congested begins a recovery period for an ECN-CE mark on a packet sent at the given time. Later
// acknowledgements cannot undo it.
func (c *newReno) congested(now, sent monotime.Time) (reduced bool) {
	if !c.inRecovery(sent) {
		c.reduce(now)
		reduced = true
	}
	c.losses.valid = false
	return reduced
}

// reduce begins a recovery period.
//
// "On entering a recovery period, a sender MUST set the slow start threshold to half the value of the
// congestion window when loss is detected. [...] If the congestion window is reduced immediately, a
// single packet can be sent prior to reduction."
// https://www.rfc-editor.org/rfc/rfc9002#section-7.3.2-2
func (c *newReno) reduce(now monotime.Time) {
	c.enterRecovery(now)
	c.ssthresh = max(c.cwnd/2, c.minWindow())
	c.cwnd = c.ssthresh
	c.ackedBytes = 0
}

// Spurious undoes the reduction if the packet was the last of the losses that caused it.
func (c *newReno) Spurious(l *SpuriousLoss) (undone bool) {
	if !c.losses.refuted(l) {
		return false
	}
	c.cwnd = max(c.cwnd, c.saved.cwnd)
	c.ssthresh = max(c.ssthresh, c.saved.ssthresh)
	c.recoveryStart = 0
	return true
}

// persistent handles persistent congestion.
func (c *newReno) persistent() {
	c.collapse()
	c.ackedBytes = 0
}
