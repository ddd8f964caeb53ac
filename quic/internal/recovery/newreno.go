package recovery

import (
	"math"

	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// newReno is the congestion controller of RFC 9002, section 7, with two things added: a reduction is
// undone when every loss that it was for turns out to have been reordering, and the window grows only
// while it is what limits the sender.
//
// All sizes are in bytes. The window is never below two datagrams.
type newReno struct {
	mds           int // max_datagram_size
	cwnd          int
	ssthresh      int
	ackedBytes    int           // in congestion avoidance, since the window last grew
	recoveryStart monotime.Time // of the latest recovery period; zero: none, or undone
	epoch         uint32        // number of that period
	undo          undoState
	use           windowUse
	// oneMore lets one packet pass when a recovery period begins.
	oneMore bool
}

// undoState is what the recovery period of the same epoch has changed, and what speaks for it.
type undoState struct {
	valid          bool
	cwnd, ssthresh int
	lost           int // packets declared lost in it and not acknowledged since
}

// windowUse follows how much of the window was in use, over the current and the last round trip.
type windowUse struct {
	start       monotime.Time // of the round
	most, last  int           // largest number of bytes in flight
	full, wasOn bool          // the window was full
}

// maxWindow bounds the window: with full-size datagrams, to what maxInFlight packets can use.
const maxWindow = 16 << 20

// initialWindow is the window of a new connection.
//
// "Endpoints SHOULD use an initial congestion window of ten times the maximum datagram size
// (max_datagram_size), while limiting the window to the larger of 14,720 bytes or twice the maximum
// datagram size."
// https://www.rfc-editor.org/rfc/rfc9002#section-7.2-1
func initialWindow(mds int) int { return min(10*mds, max(14720, 2*mds)) }

func (c *newReno) init(now monotime.Time, mds int) {
	*c = newReno{mds: mds, cwnd: initialWindow(mds), ssthresh: math.MaxInt}
	c.use.start = now
}

// minWindow is kMinimumWindow.
func (c *newReno) minWindow() int { return 2 * c.mds }

func (c *newReno) inSlowStart() bool { return c.cwnd < c.ssthresh }

// setMaxDatagramSize changes the unit that the window counts in.
//
// "If the maximum datagram size changes during the connection, the initial congestion window SHOULD
// be recalculated with the new size."
// https://www.rfc-editor.org/rfc/rfc9002#section-7.2-2
func (c *newReno) setMaxDatagramSize(mds int) {
	initial := c.cwnd == initialWindow(c.mds) && c.epoch == 0
	c.mds = mds
	if initial {
		c.cwnd = initialWindow(mds)
	}
	c.cwnd = max(c.cwnd, c.minWindow())
}

// sent notes a packet in flight; inFlight includes it.
func (c *newReno) sent(inFlight int) {
	c.oneMore = false
	c.use.most = max(c.use.most, inFlight)
	if inFlight+c.mds > c.cwnd {
		c.use.full = true
	}
}

// inRecovery reports whether a packet was sent before the recovery period that it could end.
func (c *newReno) inRecovery(sent monotime.Time) bool {
	return !c.recoveryStart.IsZero() && !sent.After(c.recoveryStart)
}

// acked grows the window for bytes newly acknowledged, all of packets sent outside of recovery.
// largestSent is when the latest of them was sent, inFlight what remains in flight.
func (c *newReno) acked(now, largestSent monotime.Time, bytes, inFlight int) {
	defer c.nextRound(now, largestSent, inFlight)
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

// limits reports whether it is the window that limits the sender: in the last two round trips it was
// full, or, as it doubles in slow start, at least half of it was in use. What the pacer holds back
// for a part of a round trip still fills the window within it.
//
// "When bytes in flight is smaller than the congestion window and sending is not pacing limited, the
// congestion window is underutilized. [...] the congestion window SHOULD NOT be increased in either
// slow start or congestion avoidance."
// https://www.rfc-editor.org/rfc/rfc9002#section-7.8-1
func (c *newReno) limits() bool {
	u := &c.use
	return u.full || u.wasOn || c.inSlowStart() && c.cwnd < 2*max(u.most, u.last)
}

// nextRound begins another round trip when a packet sent in the current one is acknowledged.
func (c *newReno) nextRound(now, largestSent monotime.Time, inFlight int) {
	u := &c.use
	if largestSent < u.start {
		return
	}
	u.start = now
	u.last, u.most = u.most, inFlight
	u.wasOn, u.full = u.full, false
}

// lost handles the loss of a packet in flight and returns the recovery period that it belongs to.
func (c *newReno) lost(now, sent monotime.Time) uint32 {
	// "A sender that is already in a recovery period stays in it and does not reenter it."
	// https://www.rfc-editor.org/rfc/rfc9002#section-7.3.2-1
	if !c.inRecovery(sent) {
		c.undo = undoState{valid: true, cwnd: c.cwnd, ssthresh: c.ssthresh}
		c.reduce(now)
	}
	c.undo.lost++
	return c.epoch
}

// congested handles a reported ECN-CE mark on a packet sent at the given time. No later
// acknowledgement can take that back.
func (c *newReno) congested(now, sent monotime.Time) {
	if !c.inRecovery(sent) {
		c.reduce(now)
	}
	c.undo.valid = false
}

// reduce begins a recovery period.
//
// "On entering a recovery period, a sender MUST set the slow start threshold to half the value of the
// congestion window when loss is detected. [...] If the congestion window is reduced immediately, a
// single packet can be sent prior to reduction."
// https://www.rfc-editor.org/rfc/rfc9002#section-7.3.2-2
func (c *newReno) reduce(now monotime.Time) {
	c.recoveryStart = now
	c.epoch++
	c.ssthresh = max(c.cwnd/2, c.minWindow())
	c.cwnd = c.ssthresh
	c.ackedBytes = 0
	c.oneMore = true
}

// refuted handles the acknowledgement of a packet that was declared lost in period epoch. It returns
// true when it was the last of the period's losses: nothing was lost, so the reduction is undone.
func (c *newReno) refuted(epoch uint32) bool {
	if epoch != c.epoch || c.undo.lost == 0 {
		return false
	}
	c.undo.lost--
	if c.undo.lost > 0 || !c.undo.valid {
		return false
	}
	c.cwnd = max(c.cwnd, c.undo.cwnd)
	c.ssthresh = max(c.ssthresh, c.undo.ssthresh)
	c.recoveryStart = 0
	c.undo.valid = false
	return true
}

// persistent handles persistent congestion.
//
// "When persistent congestion is declared, the sender's congestion window MUST be reduced to the
// minimum congestion window (kMinimumWindow)"
// https://www.rfc-editor.org/rfc/rfc9002#section-7.6.2-6
func (c *newReno) persistent() {
	c.cwnd = c.minWindow()
	c.recoveryStart = 0
	c.ackedBytes = 0
	c.undo.valid = false
}
