package recovery

import "github.com/pqquic/pqquic/quic/internal/monotime"

// lostRun is a run of lost ack-eliciting packets of one space and path, in the order in which they were
// sent, with no acknowledged packet between them.
type lostRun struct {
	start  monotime.Time // when the first was sent; zero: no run
	breaks uint64        // lossSpace.breaks when the run began; it ends when that changes
}

// persistentPeriods is kPersistentCongestionThreshold.
const persistentPeriods = 3

// extendLostRun adds a lost packet to the run of its space and path, and reports whether the run has become
// long enough for persistent congestion.
//
// "A sender establishes persistent congestion after the receipt of an acknowledgment if two packets
// that are ack-eliciting are declared lost, and: [...] across all packet number spaces, none of the
// packets sent between the send times of these two packets are acknowledged; [...] the duration
// between the send times of these two packets exceeds the persistent congestion duration (Section
// 7.6.1); and [...] a prior RTT sample existed when these two packets were sent."
// https://www.rfc-editor.org/rfc/rfc9002#section-7.6.2-1
func (l *Loss) extendLostRun(s Space, pa *Path, sent monotime.Time) bool {
	run, breaks := &pa.spaces[s].lostRun, l.spaces[s].breaks
	if pa.firstSample.IsZero() || sent.Before(pa.firstSample) {
		return false
	}
	if run.start.IsZero() || run.breaks != breaks || pa.ackedElsewhereSince(s, run.start) {
		*run = lostRun{start: sent, breaks: breaks}
		return false
	}
	// "(smoothed_rtt + max(4*rttvar, kGranularity) + max_ack_delay) *
	// kPersistentCongestionThreshold"
	// https://www.rfc-editor.org/rfc/rfc9002#section-7.6.1-2
	if sent.Sub(run.start) <= persistentPeriods*(pa.rtt.pto()+l.maxAckDelay) {
		return false
	}
	*run = lostRun{}
	return true
}

// ackedElsewhereSince reports whether a packet of another space, sent at t or later on the path, was
// acknowledged. It may have been sent after the run too, in which case we do not take the run for
// persistent congestion: spaces overlap during the handshake only, where that costs little.
func (p *Path) ackedElsewhereSince(s Space, t monotime.Time) bool {
	for o := range p.spaces {
		if Space(o) != s && p.spaces[o].lastAckedSent >= t {
			return true
		}
	}
	return false
}
