package recovery

import (
	"math"
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// lossBased is what NewReno and CUBIC have in common: a window that is reduced once in each recovery period,
// and that grows only while it limits the sender.
//
// All sizes are in bytes. The window is never smaller than two datagrams.
type lossBased struct {
	mds           int // max_datagram_size
	cwnd          int
	ssthresh      int           // math.MaxInt until slow start ends for the first time
	recoveryStart monotime.Time // start of the latest recovery period; zero if there was none or it was undone
	initial       bool          // the window has never been reduced
	losses        lossEpisode
	use           windowUse
}

// initialWindow returns the window of a new connection.
//
// "Endpoints SHOULD use an initial congestion window of ten times the maximum datagram size
// (max_datagram_size), while limiting the window to the larger of 14,720 bytes or twice the maximum
// datagram size."
// https://www.rfc-editor.org/rfc/rfc9002#section-7.2-1
func initialWindow(mds int) int { return min(10*mds, max(14720, 2*mds)) }

func (c *lossBased) init(now monotime.Time, mds int) {
	*c = lossBased{mds: mds, cwnd: initialWindow(mds), ssthresh: math.MaxInt, initial: true}
	c.use.start = now
}

// output returns a pacing rate of N * congestion_window / smoothed_rtt (RFC 9002, section 7.7). N is 2 if
// the window is about to double, and 5/4 otherwise.
func (c *lossBased) output(rtt *RTT, doubling bool) Output {
	o := Output{Window: c.cwnd, RecoveryStart: c.recoveryStart}
	if rtt.Sampled {
		quarters := 5
		if doubling {
			quarters = 8
		}
		// The window has at most 28 bits, so this fits: 28 + 1 + 30.
		o.PacingRate = max(1, int64(c.cwnd)*int64(quarters)/4*int64(time.Second)/int64(rtt.Smoothed))
	}
	return o
}

// minWindow returns kMinimumWindow.
func (c *lossBased) minWindow() int { return 2 * c.mds }

func (c *lossBased) inSlowStart() bool { return c.cwnd < c.ssthresh }

// State returns the name of the state outside recovery periods.
func (c *lossBased) State() string {
	if c.inSlowStart() {
		return "slow_start"
	}
	return "congestion_avoidance"
}

// SetDatagramSize changes the datagram size, the unit in which the window grows.
//
// "If the maximum datagram size changes during the connection, the initial congestion window SHOULD
// be recalculated with the new size."
// https://www.rfc-editor.org/rfc/rfc9002#section-7.2-2
func (c *lossBased) SetDatagramSize(mds int) {
	initial := c.atInitialWindow()
	c.mds = mds
	if initial {
		c.cwnd = initialWindow(mds)
	}
	c.cwnd = max(c.cwnd, c.minWindow())
}

// atInitialWindow reports whether the window has not changed yet.
func (c *lossBased) atInitialWindow() bool { return c.initial && c.cwnd == initialWindow(c.mds) }

// PacketSent records how much of the window is used.
func (c *lossBased) PacketSent(_ monotime.Time, _, inFlight int) {
	c.use.most = max(c.use.most, inFlight)
	if inFlight+c.mds > c.cwnd {
		c.use.full = true
	}
}

// inRecovery reports whether a packet was sent before the recovery period that its acknowledgement could
// end.
func (c *lossBased) inRecovery(sent monotime.Time) bool {
	return !c.recoveryStart.IsZero() && !sent.After(c.recoveryStart)
}

// enterRecovery begins a recovery period. The caller reduces the window.
func (c *lossBased) enterRecovery(now monotime.Time) {
	c.recoveryStart = now
	c.initial = false
}

// collapse handles persistent congestion.
//
// "When persistent congestion is declared, the sender's congestion window MUST be reduced to the
// minimum congestion window (kMinimumWindow)"
// https://www.rfc-editor.org/rfc/rfc9002#section-7.6.2-6
func (c *lossBased) collapse() {
	c.cwnd = c.minWindow()
	c.recoveryStart = 0
	c.losses.valid = false
}

// limits reports whether the window limits the sender: it was full in the last two round trips or, in slow
// start, in which it doubles, at least half of it was used. Packets that the pacer delays by part of a
// round trip still fill the window within that round trip.
//
// "When bytes in flight is smaller than the congestion window and sending is not pacing limited, the
// congestion window is underutilized. [...] the congestion window SHOULD NOT be increased in either
// slow start or congestion avoidance."
// https://www.rfc-editor.org/rfc/rfc9002#section-7.8-1
func (c *lossBased) limits() bool {
	u := &c.use
	return u.full || u.wasOn || c.inSlowStart() && c.cwnd < 2*max(u.most, u.last)
}

// windowUse tracks how much of the window was used during the current and the previous round trip.
type windowUse struct {
	start       monotime.Time // start of the round trip
	most, last  int           // maximum bytes in flight, in the current and the previous round trip
	full, wasOn bool          // the window was full, in the current and the previous round trip
}

// nextRound begins a new round trip when a packet sent in the current one is acknowledged, and reports
// whether it did.
func (u *windowUse) nextRound(now, largestSent monotime.Time, inFlight int) bool {
	if largestSent < u.start {
		return false
	}
	u.start = now
	u.last, u.most = u.most, inFlight
	u.wasOn, u.full = u.full, false
	return true
}

// A lossEpisode counts the losses of the latest recovery period, to find out whether all of them were
// spurious.
type lossEpisode struct {
	valid bool          // the recovery period began with losses and may be undone
	lost  int           // packets declared lost in it and not acknowledged since
	batch uint32        // ID of the loss batch that began it
	after monotime.Time // packets of that batch count if they were sent later
}

// add counts losses and reports whether they begin a recovery period. recoveryStart is the start of the
// latest one.
func (e *lossEpisode) add(b *LossBatch, recoveryStart monotime.Time) (begins bool) {
	if b.NewPackets == 0 {
		e.lost += b.Packets
		return false
	}
	*e = lossEpisode{valid: true, lost: b.NewPackets, batch: b.ID, after: recoveryStart}
	return true
}

// refuted counts the late acknowledgement of a packet, and reports whether it was the last of the losses
// that caused the recovery period. It reports this once.
func (e *lossEpisode) refuted(l *SpuriousLoss) bool {
	if !e.valid || e.lost == 0 || l.ID < e.batch || l.ID == e.batch && l.Sent <= e.after {
		return false
	}
	e.lost--
	e.valid = e.lost > 0
	return !e.valid
}
