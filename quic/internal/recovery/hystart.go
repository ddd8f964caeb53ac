package recovery

import "time"

// hystart is HyStart++ (RFC 9406). It slows the growth of slow start down before it overflows the queue of
// the bottleneck: when the round-trip time rises above that of the previous round trip, a queue is growing.
// The window then grows at a quarter of the speed, in a phase called conservative slow start. If the
// round-trip time falls again, the rise had another cause, and slow start resumes. If it does not, slow
// start ends after five round trips.
//
// There is one difference. RFC 9406 compares the shortest round-trip time since the start of the round trip.
// With pacing, the packets at the start of a round trip find an empty queue until the window exceeds the
// path's capacity twice over. Here, eight samples in a row must show the rise, wherever they are in the round
// trip. docs/congestion-control.md has the effect.
//
// The round-trip time of 0 stands for no sample.
type hystart struct {
	last     time.Duration // the minimum of the previous round trip
	current  time.Duration // the minimum of this round trip
	samples  int           // in this round trip
	high     int           // samples in a row that show a rise
	highMin  time.Duration // the minimum of these
	baseline time.Duration // highMin when the conservative phase began; 0 outside of it
	rounds   int           // round trips that ended in the conservative phase
}

// The constants of RFC 9406, section 4.3. Packets are paced, so there is no limit L on the growth for one
// acknowledgement.
const (
	minRise            = 4 * time.Millisecond  // MIN_RTT_THRESH
	maxRise            = 16 * time.Millisecond // MAX_RTT_THRESH
	riseDivisor        = 8                     // MIN_RTT_DIVISOR
	sampleCount        = 8                     // N_RTT_SAMPLE
	conservativeGrowth = 4                     // CSS_GROWTH_DIVISOR
	conservativeRounds = 5                     // CSS_ROUNDS
)

// conservative reports whether the phase is conservative slow start.
func (h *hystart) conservative() bool { return h.baseline > 0 }

// acked handles an ACK frame during slow start and reports whether slow start ends. began reports whether
// the frame begins a round trip, and rtt is its sample, or 0. limits reports whether the window limits the
// sender: if not, the window does not grow, a rise of the round-trip time has another cause, and the
// conservative phase does not run out.
func (h *hystart) acked(began bool, rtt time.Duration, limits bool) (ends bool) {
	if began && h.nextRound(limits) {
		return true
	}
	if rtt <= 0 {
		return false
	}
	if h.samples++; h.samples == 1 || rtt < h.current {
		h.current = rtt
	}
	if h.conservative() {
		if h.samples >= sampleCount && h.current < h.baseline {
			h.baseline, h.high = 0, 0
		}
		return false
	}
	if !limits || h.last == 0 || rtt < h.last+rise(h.last) {
		h.high = 0
		return false
	}
	if h.high++; h.high == 1 || rtt < h.highMin {
		h.highMin = rtt
	}
	if h.high >= sampleCount {
		h.baseline, h.rounds = h.highMin, 0
		h.samples = 0 // those before the rise do not show that it has ended
	}
	return false
}

// nextRound begins a round trip and reports whether the conservative phase has lasted long enough. The round
// trip in which it began counts.
func (h *hystart) nextRound(limits bool) (ends bool) {
	if h.samples > 0 {
		h.last, h.current, h.samples, h.high = h.current, 0, 0, 0
	}
	if !h.conservative() || !limits {
		return false
	}
	h.rounds++
	return h.rounds >= conservativeRounds
}

// rise returns by how much the round-trip time must exceed that of the previous round trip.
func rise(last time.Duration) time.Duration {
	return max(minRise, min(last/riseDivisor, maxRise))
}
