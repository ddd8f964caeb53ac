package recovery

import "time"

// DefaultInitialRTT is assumed before there is a sample (RFC 9002, 6.2.2).
const DefaultInitialRTT = 333 * time.Millisecond

// MaxAckDelay is the longest that we delay an acknowledgement.
const MaxAckDelay = 25 * time.Millisecond

// granularity is the finest timer that is worth arming.
const granularity = time.Millisecond

// rttState estimates the round-trip time (RFC 9002, 5).
type rttState struct {
	latest, min, smoothed, variance time.Duration
	sampled                         bool
}

func (r *rttState) init(initial time.Duration) {
	if initial <= 0 {
		initial = DefaultInitialRTT
	}
	r.smoothed, r.variance = initial, initial/2
}

// update takes a sample. ackDelay is the peer's, already limited to its max_ack_delay.
func (r *rttState) update(latest, ackDelay time.Duration) {
	latest = max(latest, time.Microsecond)
	r.latest = latest
	if !r.sampled {
		// "On the first RTT sample in a network path, [...] min_rtt [...] smoothed_rtt
		// = latest_rtt, rttvar = latest_rtt / 2".
		// https://www.rfc-editor.org/rfc/rfc9002#section-5.3-10
		r.sampled = true
		r.min, r.smoothed, r.variance = latest, latest, latest/2
		return
	}
	r.min = min(r.min, latest)
	// "[...] MUST NOT subtract the acknowledgment delay from the RTT sample if the resulting
	// value is smaller than the min_rtt."
	// https://www.rfc-editor.org/rfc/rfc9002#section-5.3-7.5.1
	adjusted := latest
	if latest-ackDelay >= r.min {
		adjusted = latest - ackDelay
	}
	d := r.smoothed - adjusted
	if d < 0 {
		d = -d
	}
	r.variance = (3*r.variance + d) / 4
	r.smoothed = (7*r.smoothed + adjusted) / 8
}

// pto is the probe timeout without back-off and without the peer's acknowledgement delay.
func (r *rttState) pto() time.Duration { return r.smoothed + max(4*r.variance, granularity) }
