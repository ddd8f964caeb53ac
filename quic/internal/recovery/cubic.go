package recovery

import (
	"math"
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// cubic is the congestion controller of RFC 9438, with HyStart++ (RFC 9406) in the first slow start. See
// docs/congestion-control.md.
//
// RFC 9438 measures windows in segments and time in seconds. Here, sizes are in bytes and a segment is a
// datagram of full size. All arithmetic is on integers, so that every platform computes the same windows.
type cubic struct {
	lossBased
	hystart hystart
	last    monotime.Time // the latest acknowledgement, or the packet that ended an idle period after it

	avoidance avoidance
	// saved is the state before the latest reduction.
	saved struct {
		cwnd, ssthresh int
		avoidance      avoidance
	}
}

// avoidance is the state of congestion avoidance.
type avoidance struct {
	begun   bool // there is a stage: the window has grown since the reduction
	prior   int  // cwnd_prior: the window when slow start ended or before the reduction
	max     int  // W_max: where the curve is level; 0 means undefined
	elapsed time.Duration
	level   time.Duration // K: when the curve reaches max
	reno    int           // W_est: the window that Reno would have

	// What the divisions have left over. Windows grow by a few bytes with each acknowledgement, so dropping
	// the remainders would slow the growth.
	renoRest, cubicRest int64
}

// NewCubic returns the congestion controller of RFC 9438 with HyStart++.
func NewCubic() Controller { return new(cubic) }

func (c *cubic) Reset(now monotime.Time, mds int) {
	*c = cubic{last: now}
	c.init(now, mds)
}

// minTrains is the minimum number of trains for each window in slow start. A receiver may acknowledge a
// train once, and HyStart++ needs 8 samples in each round trip.
const minTrains = sampleCount

// Output returns twice the window's rate in slow start, in which the window is about to double, except
// during its conservative phase. Trains are short only while HyStart++ needs the samples: the window grows,
// and it is not the initial one.
func (c *cubic) Output(rtt *RTT) Output {
	o := c.output(rtt, c.inSlowStart() && !c.conservative())
	if c.firstSlowStart() && c.limits() && !c.atInitialWindow() {
		o.MaxTrain = c.cwnd / minTrains
	}
	return o
}

// firstSlowStart reports whether the connection is in its first slow start, which uses HyStart++.
func (c *cubic) firstSlowStart() bool { return c.ssthresh == math.MaxInt }

// conservative reports whether the connection is in HyStart++'s conservative phase.
func (c *cubic) conservative() bool { return c.firstSlowStart() && c.hystart.conservative() }

// SetDatagramSize changes the datagram size. The curve depends on it, so a new stage begins.
func (c *cubic) SetDatagramSize(mds int) {
	c.lossBased.SetDatagramSize(mds)
	c.avoidance.begun = false
}

// PacketSent records how much of the window is used, and that an idle period ends.
func (c *cubic) PacketSent(now monotime.Time, size, inFlight int) {
	if inFlight == size {
		c.last = now
	}
	c.lossBased.PacketSent(now, size, inFlight)
}

// Acked increases the window for the bytes that were sent outside recovery, or reduces it for ECN-CE marks.
func (c *cubic) Acked(b *AckBatch) (reduced bool) {
	passed := b.Now.Sub(c.last)
	c.last = b.Now
	if b.CE > 0 {
		reduced = c.congested(b.Now, b.LatestSent)
	}
	if reduced || b.Reduced {
		return reduced // all of the packets were sent before recovery
	}
	// "CUBIC does not increase its congestion window if a flow is application-limited."
	// https://www.rfc-editor.org/rfc/rfc9438#section-5.8-2
	limits := c.limits()
	switch {
	case b.NewBytes == 0 || !limits:
	case c.conservative():
		c.cwnd = min(c.cwnd+b.NewBytes/conservativeGrowth, maxWindow)
	case c.inSlowStart():
		c.cwnd = min(c.cwnd+b.NewBytes, c.ssthresh, maxWindow)
	default:
		c.avoid(b.NewBytes, passed, b.SmoothedRTT)
	}
	began := c.use.nextRound(b.Now, b.LatestSent, b.InFlight)
	if c.firstSlowStart() && c.hystart.acked(began, b.RTT, limits) {
		c.leaveSlowStart()
	}
	return false
}

// leaveSlowStart begins congestion avoidance although nothing was lost.
//
// "When CUBIC uses HyStart++ [...], it may exit the first slow start without incurring any packet loss
// and thus W_max is undefined. In this special case, CUBIC sets cwnd_prior = cwnd and switches to
// congestion avoidance."
// https://www.rfc-editor.org/rfc/rfc9438#section-4.10-2
func (c *cubic) leaveSlowStart() {
	c.ssthresh = c.cwnd
	c.avoidance = avoidance{prior: c.cwnd}
}

// avoid increases the window in congestion avoidance. passed is the time since the previous
// acknowledgement.
//
// "To summarize, CUBIC computes both W_cubic(t) and W_est [...] on receiving a new ACK in congestion
// avoidance and chooses the larger of the two values."
// https://www.rfc-editor.org/rfc/rfc9438#section-4.2-17
func (c *cubic) avoid(bytes int, passed, rtt time.Duration) {
	a := &c.avoidance
	if !a.begun {
		a.begin(c.cwnd, c.mds)
	} else {
		// "The elapsed time t [...] MUST NOT include periods during which cwnd has not been updated due to
		// application-limited behavior".
		// https://www.rfc-editor.org/rfc/rfc9438#section-4.2-12
		a.elapsed += passed
	}
	a.growReno(bytes, c.cwnd, c.mds)
	if a.window(a.elapsed, c.mds) < int64(a.reno) {
		c.cwnd = min(max(c.cwnd, a.reno), maxWindow)
		a.cubicRest = 0
		return
	}
	// The window approaches the target by (target - cwnd) / cwnd for each byte acknowledged.
	cwnd := int64(c.cwnd)
	target := min(max(a.window(a.elapsed+rtt, c.mds), cwnd), cwnd+cwnd/2)
	a.cubicRest += (target - cwnd) * int64(bytes)
	c.cwnd = min(c.cwnd+int(a.cubicRest/cwnd), maxWindow)
	a.cubicRest %= cwnd
}

// begin begins a stage of congestion avoidance with the given window. If W_max is undefined, or has been
// reached already, the curve begins at its level point.
func (a *avoidance) begin(cwnd, mds int) {
	a.begun, a.elapsed, a.level = true, 0, 0
	a.reno, a.renoRest, a.cubicRest = cwnd, 0, 0
	if a.max > cwnd {
		a.level = cubeRoot(int64(a.max-cwnd), mds)
	} else {
		a.max = cwnd
	}
}

// window returns W_cubic(t) = C * (t - K)^3 + W_max (RFC 9438, section 4.2), which may exceed the largest
// window.
func (a *avoidance) window(t time.Duration, mds int) int64 {
	return int64(a.max) + cube(t-a.level, mds)
}

// growReno increases W_est by alpha * segments_acked / cwnd segments. alpha is 9/17, which with CUBIC's
// weaker reduction gives Reno's average window.
//
// "Once W_est has grown to reach the cwnd at the time of most recently setting ssthresh, that is, W_est >=
// cwnd_prior, the sender SHOULD set alpha_cubic to 1".
// https://www.rfc-editor.org/rfc/rfc9438#section-4.3-11
func (a *avoidance) growReno(bytes, cwnd, mds int) {
	alpha := int64(9) // in units of 1/17
	if a.reno >= a.prior {
		alpha = 17
	}
	a.renoRest += alpha * int64(bytes) * int64(mds)
	a.reno = min(a.reno+int(a.renoRest/(17*int64(cwnd))), maxWindow)
	a.renoRest %= 17 * int64(cwnd)
}

// maxCube bounds the time for which cube computes the curve. In this time it rises above the largest window
// from any smaller one.
const maxCube = 67 * time.Second

// cube returns C * t^3 in bytes, where C is 0.4 segments per second cubed.
func cube(t time.Duration, mds int) int64 {
	us := int64(min(max(t, -maxCube), maxCube) / time.Microsecond) // 26 bits and a sign
	// Divide early, so that nothing overflows. What is lost is far less than a byte.
	ppm := us * us / 1e6 * us / 1e6 // t^3 in millionths of a second cubed: 39 bits
	return ppm * int64(mds) * 2 / 5 / 1e6
}

// cubeRoot returns the smallest t, in whole microseconds, for which cube is at least size. It searches instead
// of computing the root, so that it is the exact inverse of cube. It is called once for each reduction.
func cubeRoot(size int64, mds int) time.Duration {
	lo, hi := time.Duration(0), maxCube/time.Microsecond
	for lo < hi {
		if mid := (lo + hi) / 2; cube(mid*time.Microsecond, mds) < size {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo * time.Microsecond
}
