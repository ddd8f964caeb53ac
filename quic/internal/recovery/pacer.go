package recovery

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// pacer is a token bucket that fills at a little more than the rate of the congestion window
// (RFC 9002, 7.7). It holds what accrues in two milliseconds, or ten packets: trains survive, and
// timers shorter than a millisecond do not exist.
type pacer struct {
	tokens float64
	last   monotime.Time
	rate   float64 // bytes a nanosecond
	mds    int
}

const (
	burstPackets = 10
	maxQuantum   = 64 << 10
)

func (p *pacer) init(now monotime.Time, mds int) {
	p.last, p.mds = now, mds
	p.tokens = float64(burstPackets * mds)
}

// setRate follows the window.
func (p *pacer) setRate(cwnd int, slowStart bool, srtt time.Duration) {
	gain := 1.25
	if slowStart {
		gain = 2
	}
	p.rate = gain * float64(cwnd) / float64(max(srtt, 10*time.Microsecond))
}

func (p *pacer) capacity() float64 {
	return max(float64(burstPackets*p.mds), p.rate*float64(2*time.Millisecond))
}

func (p *pacer) refill(now monotime.Time) {
	if d := now.Sub(p.last); d > 0 {
		p.tokens = min(p.capacity(), p.tokens+p.rate*float64(d))
		p.last = now
	}
}

func (p *pacer) sent(n int) { p.tokens = max(p.tokens-float64(n), -p.capacity()) }

// blocked reports whether the next packet has to wait.
func (p *pacer) blocked(now monotime.Time) bool {
	p.refill(now)
	return p.tokens < float64(p.mds)
}

// quantum is how much may leave in one train.
func (p *pacer) quantum(now monotime.Time) int {
	p.refill(now)
	q := min(maxQuantum, max(float64(burstPackets*p.mds), p.rate*float64(time.Millisecond)))
	return int(max(float64(p.mds), min(q, p.tokens)))
}

// until is when the next packet may leave, at least a millisecond from now; zero is at once.
func (p *pacer) until(now monotime.Time) monotime.Time {
	if !p.blocked(now) {
		return 0
	}
	wait := time.Duration((float64(p.mds) - p.tokens) / p.rate)
	return now.Add(min(max(wait, granularity), time.Second))
}
