package recovery

import (
	"math"
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// newReno is the congestion controller of RFC 9002, section 7, with two additions. It undoes a reduction if
// all losses that caused it turn out to be reordering. The window grows only while it limits the sender.
//
// All sizes are in bytes. The window is never smaller than two datagrams.
type newReno struct {
	mds           int // max_datagram_size
	cwnd          int
	ssthresh      int
	ackedBytes    int           // bytes acknowledged in congestion avoidance since the window last grew
	recoveryStart monotime.Time // start of the latest recovery period; zero if there was none or it was undone
	initial       bool          // the window has never been reduced
	undo          undoState
	use           windowUse
}

// undoState records what the latest recovery period changed and the losses that caused it.
type undoState struct {
	valid          bool
	cwnd, ssthresh int
	lost           int           // packets declared lost in it and not acknowledged since
	batch          uint32        // ID of the loss batch that began it
	after          monotime.Time // packets of that batch count if they were sent later
}

// windowUse tracks how much of the window was used during the current and the previous round trip.
type windowUse struct {
	start       monotime.Time // start of the round trip
	most, last  int           // maximum bytes in flight, in the current and the previous round trip
	full, wasOn bool          // the window was full, in the current and the previous round trip
}

// initialWindow returns the window of a new connection.
//
// "Endpoints SHOULD use an initial congestion window of ten times the maximum datagram size
// (max_datagram_size), while limiting the window to the larger of 14,720 bytes or twice the maximum
// datagram size."
// https://www.rfc-editor.org/rfc/rfc9002#section-7.2-1
func initialWindow(mds int) int { return min(10*mds, max(14720, 2*mds)) }

// NewReno returns the congestion controller of RFC 9002.
func NewReno() Controller { return new(newReno) }

func (c *newReno) Reset(now monotime.Time, mds int) {
	*c = newReno{mds: mds, cwnd: initialWindow(mds), ssthresh: math.MaxInt, initial: true}
	c.use.start = now
}

// Output returns a pacing rate of N * congestion_window / smoothed_rtt (RFC 9002, section 7.7). N is 2 in
// slow start, in which the window is about to double, and 5/4 otherwise.
func (c *newReno) Output(rtt *RTT) Output {
	o := Output{Window: c.cwnd, RecoveryStart: c.recoveryStart}
	if rtt.Sampled {
		quarters := 5
		if c.inSlowStart() {
			quarters = 8
		}
		// The window has at most 24 bits, so this fits: 24 + 1 + 30.
		o.PacingRate = max(1, int64(c.cwnd)*int64(quarters)/4*int64(time.Second)/int64(rtt.Smoothed))
	}
	return o
}

// minWindow returns kMinimumWindow.
func (c *newReno) minWindow() int { return 2 * c.mds }

func (c *newReno) inSlowStart() bool { return c.cwnd < c.ssthresh }

// SetDatagramSize changes the datagram size, the unit in which the window grows.
//
// "If the maximum datagram size changes during the connection, the initial congestion window SHOULD
// be recalculated with the new size."
// https://www.rfc-editor.org/rfc/rfc9002#section-7.2-2
func (c *newReno) SetDatagramSize(mds int) {
	initial := c.cwnd == initialWindow(c.mds) && c.initial
	c.mds = mds
	if initial {
		c.cwnd = initialWindow(mds)
	}
	c.cwnd = max(c.cwnd, c.minWindow())
}

// PacketSent records how much of the window is used.
func (c *newReno) PacketSent(_ monotime.Time, _, inFlight int) {
	c.use.most = max(c.use.most, inFlight)
	if inFlight+c.mds > c.cwnd {
		c.use.full = true
	}
}

// inRecovery reports whether a packet was sent before the recovery period that its acknowledgement could
// end.
func (c *newReno) inRecovery(sent monotime.Time) bool {
	return !c.recoveryStart.IsZero() && !sent.After(c.recoveryStart)
}

// Acked increases the window for the bytes that were sent outside recovery, or reduces it for ECN-CE marks.
func (c *newReno) Acked(b *AckBatch) (reduced bool) {
	if b.CE > 0 {
		reduced = c.congested(b.Now, b.LatestSent)
	}
	if reduced || b.Reduced {
		return reduced // all of the packets were sent before recovery
	}
	c.grow(b.NewBytes)
	c.nextRound(b.Now, b.LatestSent, b.InFlight)
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

// limits reports whether the window limits the sender: it was full in the last two round trips or, in slow
// start, in which it doubles, at least half of it was used. Packets that the pacer delays by part of a
// round trip still fill the window within that round trip.
//
// "When bytes in flight is smaller than the congestion window and sending is not pacing limited, the
// congestion window is underutilized. [...] the congestion window SHOULD NOT be increased in either
// slow start or congestion avoidance."
// https://www.rfc-editor.org/rfc/rfc9002#section-7.8-1
func (c *newReno) limits() bool {
	u := &c.use
	return u.full || u.wasOn || c.inSlowStart() && c.cwnd < 2*max(u.most, u.last)
}

// nextRound begins a new round trip when a packet sent in the current one is acknowledged.
func (c *newReno) nextRound(now, largestSent monotime.Time, inFlight int) {
	u := &c.use
	if largestSent < u.start {
		return
	}
	u.start = now
	u.last, u.most = u.most, inFlight
	u.wasOn, u.full = u.full, false
}

// Lost begins a recovery period, unless all packets were sent before the current one.
//
// "A sender that is already in a recovery period stays in it and does not reenter it."
// https://www.rfc-editor.org/rfc/rfc9002#section-7.3.2-1
func (c *newReno) Lost(b *LossBatch) (reduced bool) {
	if b.NewPackets > 0 {
		c.undo = undoState{valid: true, cwnd: c.cwnd, ssthresh: c.ssthresh, lost: b.NewPackets, batch: b.ID,
			after: c.recoveryStart}
		c.reduce(b.Now)
		reduced = true
	} else {
		c.undo.lost += b.Packets
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
	c.undo.valid = false
	return reduced
}

// reduce begins a recovery period.
//
// "On entering a recovery period, a sender MUST set the slow start threshold to half the value of the
// congestion window when loss is detected. [...] If the congestion window is reduced immediately, a
// single packet can be sent prior to reduction."
// https://www.rfc-editor.org/rfc/rfc9002#section-7.3.2-2
func (c *newReno) reduce(now monotime.Time) {
	c.recoveryStart = now
	c.initial = false
	c.ssthresh = max(c.cwnd/2, c.minWindow())
	c.cwnd = c.ssthresh
	c.ackedBytes = 0
}

// Spurious undoes the reduction if the packet was the last of the losses that caused it.
func (c *newReno) Spurious(l *SpuriousLoss) (undone bool) {
	u := &c.undo
	if !u.valid || u.lost == 0 || l.ID < u.batch || l.ID == u.batch && l.Sent <= u.after {
		return false
	}
	u.lost--
	if u.lost > 0 {
		return false
	}
	c.cwnd = max(c.cwnd, u.cwnd)
	c.ssthresh = max(c.ssthresh, u.ssthresh)
	c.recoveryStart = 0
	u.valid = false
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
