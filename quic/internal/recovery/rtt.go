package recovery

import "time"

const (
	// DefaultInitialRTT is the round-trip time that is assumed before the first sample.
	//
	// "When no previous RTT is available, the initial RTT SHOULD be set to 333 milliseconds."
	// https://www.rfc-editor.org/rfc/rfc9002#section-6.2.2-1
	DefaultInitialRTT = 333 * time.Millisecond

	// MaxAckDelay is the maximum time by which we delay an acknowledgement, and the default for peers (RFC
	// 9000, section 18.2).
	MaxAckDelay = 25 * time.Millisecond

	// AckDelayExponent is the exponent of the delays in our ACK frames, and the default for peers (RFC
	// 9000, section 18.2).
	AckDelayExponent = 3

	// granularity is kGranularity, the finest timer that is worth arming.
	granularity = time.Millisecond
)

// RTT is the estimate of a path's round-trip time (RFC 9002, section 5). Before the first sample, Smoothed
// and Variance are derived from the initial RTT and the other values are zero.
type RTT struct {
	Latest, Min, Smoothed, Variance time.Duration
	// Sampled reports whether there has been a sample.
	Sampled bool
}

func (r *RTT) init(initial time.Duration) {
	if initial <= 0 {
		initial = DefaultInitialRTT
	}
	*r = RTT{Smoothed: initial, Variance: initial / 2}
}

// update adds a sample. ackDelay is the peer's acknowledgement delay, limited to its max_ack_delay where
// that applies.
func (r *RTT) update(latest, ackDelay time.Duration) {
	// A round-trip time of zero would give an infinite rate.
	r.Latest = max(latest, time.Microsecond)
	if !r.Sampled {
		// "On the first RTT sample after initialization, smoothed_rtt and rttvar are set as
		// follows: [...] smoothed_rtt = latest_rtt [...] rttvar = latest_rtt / 2"
		// https://www.rfc-editor.org/rfc/rfc9002#section-5.3-14
		r.Sampled = true
		r.Min, r.Smoothed, r.Variance = r.Latest, r.Latest, r.Latest/2
		return
	}
	// "min_rtt MUST be set to the lesser of min_rtt and latest_rtt (Section 5.1) on all other
	// samples."
	// https://www.rfc-editor.org/rfc/rfc9002#section-5.2-2
	r.Min = min(r.Min, r.Latest)
	// "[An endpoint] MUST NOT subtract the acknowledgment delay from the RTT sample if the
	// resulting value is smaller than the min_rtt."
	// https://www.rfc-editor.org/rfc/rfc9002#section-5.3-7.4.1
	adjusted := r.Latest
	if r.Latest-ackDelay >= r.Min {
		adjusted -= ackDelay
	}
	// The text of RFC 9002 updates smoothed_rtt before rttvar, and its appendix rttvar first. RFC 6298
	// supports the latter.
	r.Variance = (3*r.Variance + (r.Smoothed - adjusted).Abs()) / 4
	r.Smoothed = (7*r.Smoothed + adjusted) / 8
}

// pto returns the probe timeout without the peer's max_ack_delay and without back-off.
//
// "PTO = smoothed_rtt + max(4*rttvar, kGranularity) + max_ack_delay"
// https://www.rfc-editor.org/rfc/rfc9002#section-6.2.1-2
func (r *RTT) pto() time.Duration { return r.Smoothed + max(4*r.Variance, granularity) }

// larger returns the round-trip time that the time threshold is based on.
func (r *RTT) larger() time.Duration { return max(r.Smoothed, r.Latest) }
