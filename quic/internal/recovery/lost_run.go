package recovery

import "github.com/pqquic/pqquic/quic/internal/monotime"

// A lostRun is a run of lost ack-eliciting packets of one space and path, in the order in which they were
// sent, without an acknowledged packet between them.
type lostRun struct {
	start  monotime.Time // when the first packet was sent; zero means that there is no run
	breaks uint64        // lossSpace.breaks when the run began; it ends when that changes
}

// persistentPeriods is kPersistentCongestionThreshold.
const persistentPeriods = 3

// extendLostRun adds a lost packet to the run of its space and path and reports whether the run is long
// enough for persistent congestion.
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

// ackedElsewhereSince reports whether a packet of another space that was sent on the path at t or later has
// been acknowledged. That packet may have been sent after the run, in which case persistent congestion is
// not detected. Spaces overlap only during the handshake, where this costs little.
func (p *Path) ackedElsewhereSince(s Space, t monotime.Time) bool {
	for o := range p.spaces {
		if Space(o) != s && p.spaces[o].lastAckedSent >= t {
			return true
		}
	}
	return false
}
