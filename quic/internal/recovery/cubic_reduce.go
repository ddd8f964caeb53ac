package recovery

import "github.com/pqquic/pqquic/quic/internal/monotime"

// Lost begins a recovery period, unless all packets were sent before the current one.
func (c *cubic) Lost(b *LossBatch) (reduced bool) {
	reduced = c.losses.add(b, c.recoveryStart)
	if reduced {
		c.saved.cwnd, c.saved.ssthresh, c.saved.avoidance = c.cwnd, c.ssthresh, c.avoidance
		c.reduce(b.Now)
	}
	if b.Persistent {
		c.persistent()
	}
	return reduced
}

// congested begins a recovery period for an ECN-CE mark on a packet sent at the given time. Later
// acknowledgements cannot undo it.
func (c *cubic) congested(now, sent monotime.Time) (reduced bool) {
	if !c.inRecovery(sent) {
		c.reduce(now)
		reduced = true
	}
	c.losses.valid = false
	return reduced
}

// reduce begins a recovery period. It multiplies the window by beta, 0.7. RFC 9438 multiplies the bytes in
// flight; a QUIC sender may use the window, because the window grows only while it is used (section 4.6).
func (c *cubic) reduce(now monotime.Time) {
	c.enterRecovery(now)
	a := avoidance{prior: c.cwnd, max: c.cwnd}
	// "At a congestion event, if the current cwnd is less than W_max, this indicates that the saturation
	// point experienced by this flow is getting reduced because of a change in available bandwidth. This
	// flow can then release more bandwidth by reducing W_max further."
	// https://www.rfc-editor.org/rfc/rfc9438#section-4.7-4
	if c.cwnd < c.avoidance.max {
		a.max = c.cwnd * 17 / 20 // (1 + beta) / 2
	}
	c.avoidance = a
	c.ssthresh = max(c.cwnd*7/10, c.minWindow())
	c.cwnd = c.ssthresh
}

// Spurious undoes the reduction if the packet was the last of the losses that caused it.
//
// "Once the previously declared packet loss is confirmed to be spurious, CUBIC MAY restore the original
// values of the above-mentioned variables as follows if the current cwnd is lower than cwnd_prior."
// https://www.rfc-editor.org/rfc/rfc9438#section-4.9.2-5
func (c *cubic) Spurious(l *SpuriousLoss) (undone bool) {
	if !c.losses.refuted(l) || c.cwnd >= c.avoidance.prior {
		return false
	}
	elapsed := c.avoidance.elapsed
	c.cwnd, c.ssthresh, c.avoidance = c.saved.cwnd, c.saved.ssthresh, c.saved.avoidance
	c.avoidance.elapsed += elapsed // the restored stage has been running
	c.recoveryStart = 0
	return true
}

// persistent handles persistent congestion. Slow start follows, up to the threshold, and then a stage whose
// curve begins at its level point.
//
// "During the first congestion avoidance stage after a timeout, CUBIC increases its congestion window size
// using [the cubic function], where t is the elapsed time since the beginning of the current congestion
// avoidance, K is set to 0, and W_max is set to the congestion window size at the beginning of the current
// congestion avoidance stage."
// https://www.rfc-editor.org/rfc/rfc9438#section-4.8-2
func (c *cubic) persistent() {
	c.collapse()
	c.avoidance.begun, c.avoidance.max = false, 0
}
