package recovery

import (
	"math"

	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// reno is NewReno (RFC 9002, 7), with the undoing of reductions that turn out to be unfounded.
type reno struct {
	mds           int
	cwnd          int
	ssthresh      int
	recoveryStart monotime.Time // start of the latest recovery period
	epoch         reduction
}

// reduction remembers what the last congestion event changed, and its evidence.
type reduction struct {
	cwnd, ssthresh int
	lost, spurious int
}

func (r *reno) init(mds int) {
	// "Endpoints SHOULD use an initial congestion window of ten times the maximum datagram size
	// (max_datagram_size), while limiting the window to the larger of 14,720 bytes or twice the
	// maximum datagram size."
	// https://www.rfc-editor.org/rfc/rfc9002#section-7.2-1
	*r = reno{mds: mds, cwnd: min(10*mds, max(14720, 2*mds)), ssthresh: math.MaxInt}
}

func (r *reno) minimum() int { return 2 * r.mds }

func (r *reno) inRecovery(sent monotime.Time) bool {
	return !r.recoveryStart.IsZero() && !sent.After(r.recoveryStart)
}

func (r *reno) slowStart() bool { return r.cwnd < r.ssthresh }

// acked grows the window for an acknowledged packet. inFlight is from before the acknowledgement.
func (r *reno) acked(sent monotime.Time, size, inFlight int) {
	if r.inRecovery(sent) || !r.limiting(inFlight) {
		return
	}
	if r.slowStart() {
		r.cwnd += size
		return
	}
	r.cwnd += max(1, r.mds*size/r.cwnd)
}

// limiting reports whether it was the window that held the sender back.
//
// "When bytes in flight is smaller than the congestion window and sending is not pacing limited, the
// congestion window is underutilized. [...] the congestion window SHOULD NOT be increased".
// https://www.rfc-editor.org/rfc/rfc9002#section-7.8-1
func (r *reno) limiting(inFlight int) bool {
	return inFlight+3*r.mds >= r.cwnd || r.slowStart() && 2*inFlight >= r.cwnd
}

// lost handles the loss of a packet in flight.
func (r *reno) lost(now, sent monotime.Time) {
	if r.inRecovery(sent) {
		r.epoch.lost++
		return
	}
	r.epoch = reduction{cwnd: r.cwnd, ssthresh: r.ssthresh, lost: 1}
	r.recoveryStart = now
	r.ssthresh = r.cwnd / 2
	r.cwnd = max(r.ssthresh, r.minimum())
}

// spurious handles the acknowledgement of a packet that was declared lost. When all the losses of
// the last reduction are refuted, so is the reduction.
func (r *reno) spurious(sent monotime.Time) {
	if !r.inRecovery(sent) || r.epoch.lost == 0 {
		return
	}
	if r.epoch.spurious++; r.epoch.spurious >= r.epoch.lost {
		r.cwnd, r.ssthresh = max(r.cwnd, r.epoch.cwnd), max(r.ssthresh, r.epoch.ssthresh)
		r.epoch = reduction{}
		r.recoveryStart = 0
	}
}

// persistent handles persistent congestion.
//
// "When persistent congestion is declared, the sender's congestion window MUST be reduced to the
// minimum congestion window (kMinimumWindow)".
// https://www.rfc-editor.org/rfc/rfc9002#section-7.6.2-6
func (r *reno) persistent() {
	r.cwnd = r.minimum()
	r.recoveryStart = 0
	r.epoch = reduction{}
}
