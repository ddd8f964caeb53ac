package recovery

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// ptoState is the state of the probe timeout (RFC 9002, section 6.2).
type ptoState struct {
	count  int // timeouts since the last progress
	probes int // datagrams that may still be sent as probes
	space  Space
	fired  monotime.Time // the last timeout; zero means none since the last progress
	// restart is when a client's timer was last reset while no packet was outstanding. Zero means that
	// nothing was sent yet and nothing is expected.
	restart   monotime.Time
	firstSent monotime.Time

	handshakeKeys bool // Handshake packets can be sent
	peerValidated bool // the server is known to have validated our address
	confirmed     bool // the handshake is confirmed (RFC 9001, 4.1.2)
}

// probeDatagrams is how many datagrams may be sent for one timeout.
//
// "An endpoint MAY send up to two full-sized datagrams containing ack-eliciting packets to avoid an
// expensive consecutive PTO expiration due to a single lost datagram or to transmit data from
// multiple packet number spaces."
// https://www.rfc-editor.org/rfc/rfc9002#section-6.2.4-1
const probeDatagrams = 2

// The maximum of the period, which doubles with each timeout. This deviates from RFC 9002, which has no
// maximum. Without one, a connection that loses several probes in a row waits longer than its idle timeout.
// During the handshake the maximum is lower: with a loss of 30 % in both directions, every second probe
// fails, and users wait only some seconds. docs/recovery-paths.md describes the cost of the deviation.
//
// "When a PTO timer expires, the PTO backoff MUST be increased, resulting in the PTO period being set to
// twice its current value."
// https://www.rfc-editor.org/rfc/rfc9002#section-6.2.1-9
const (
	maxHandshakePTO = 2 * time.Second
	maxPTO          = 10 * time.Second
)

// period returns the probe timeout of a space with back-off. The maximum does not apply if the probe
// timeout without back-off exceeds it.
func (l *Loss) period(s Space) time.Duration {
	// "When the PTO is armed for Initial or Handshake packet number spaces, the max_ack_delay in
	// the PTO period computation is set to 0".
	// https://www.rfc-editor.org/rfc/rfc9002#section-6.2.1-4
	d := l.active.rtt.pto()
	if s == SpaceApp {
		d += l.maxAckDelay
	}
	limit := maxPTO
	if !l.pto.confirmed {
		limit = maxHandshakePTO
	}
	return min(d<<min(l.pto.count, 16), max(d, limit))
}

// PTO returns the active path's probe timeout of the App space, without back-off.
func (l *Loss) PTO() time.Duration { return l.active.rtt.pto() + l.maxAckDelay }

// NextTimeout returns when HandleTimeout must be called, which may be in the past, or zero for never.
//
// "The PTO timer MUST NOT be set if a timer is set for time threshold loss detection".
// https://www.rfc-editor.org/rfc/rfc9002#section-6.2.1-12
func (l *Loss) NextTimeout() monotime.Time {
	if t, _ := l.lossTimer(); !t.IsZero() {
		return t
	}
	t, _ := l.probeTimer()
	return t
}

// Timer returns NextTimeout's time, the space that it concerns, and whether it is the probe timeout instead
// of the time threshold of loss detection.
func (l *Loss) Timer() (at monotime.Time, s Space, probe bool) {
	if at, s = l.lossTimer(); !at.IsZero() {
		return at, s, false
	}
	at, s = l.probeTimer()
	return at, s, true
}

// PTOCount returns how often the probe timeout has expired since the last progress.
func (l *Loss) PTOCount() int { return l.pto.count }

// HandleTimeout handles the timer that has expired, if any: it declares packets lost or requests probes.
func (l *Loss) HandleTimeout(now monotime.Time, fate FateFunc) {
	if t, s := l.lossTimer(); !t.IsZero() {
		if !now.Before(t) {
			l.detectLost(now, s, fate)
			l.prune(now, l.spaces[s])
		}
		return
	}
	t, s := l.probeTimer()
	if t.IsZero() || now.Before(t) {
		return
	}
	// "When a PTO timer expires, the PTO backoff MUST be increased, resulting in the PTO period
	// being set to twice its current value."
	// https://www.rfc-editor.org/rfc/rfc9002#section-6.2.1-9
	l.pto.count++
	l.pto.fired, l.pto.restart = now, now
	l.pto.probes, l.pto.space = probeDatagrams, s
	l.counters.ProbeTimeouts++
	l.active.ecn.timeout(l.pto.count)
}

// lossTimer returns the earliest time at which a packet exceeds the time threshold, and its space.
func (l *Loss) lossTimer() (at monotime.Time, space Space) {
	for s := range l.spaces {
		if t := l.spaces[s].lossTime; !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at, space = t, Space(s)
		}
	}
	return at, space
}

// probeTimer returns when the next probe timeout expires and for which space. The time is zero for never.
func (l *Loss) probeTimer() (at monotime.Time, space Space) {
	// "If no additional data can be sent, the server's PTO timer MUST NOT be armed until
	// datagrams have been received from the client because packets sent on PTO count against the
	// anti-amplification limit."
	// https://www.rfc-editor.org/rfc/rfc9002#section-6.2.2.1-1
	if l.active.AmplificationCredit() < l.probeCost() {
		return 0, 0
	}
	for s := range l.spaces {
		sp := l.spaces[s]
		if sp.eliciting == 0 || !l.timesProbes(Space(s)) {
			continue
		}
		// If no probe could be sent after a timeout, the next timeout is counted from that one.
		t := max(sp.lastEliciting, l.pto.fired).Add(l.period(Space(s)))
		if at.IsZero() || t.Before(at) {
			at, space = t, Space(s)
		}
	}
	if !at.IsZero() || l.pto.peerValidated || l.pto.restart.IsZero() {
		return at, space
	}
	// "[T]he client MUST set the PTO timer if the client has not received an acknowledgment for
	// any of its Handshake packets and the handshake is not confirmed (see Section 4.1.2 of
	// [QUIC-TLS]), even if there are no packets in flight. When the PTO fires, the client MUST
	// send a Handshake packet if it has Handshake keys, otherwise it MUST send an Initial packet".
	// https://www.rfc-editor.org/rfc/rfc9002#section-6.2.2.1-3
	space = SpaceInitial
	if l.pto.handshakeKeys || l.spaces[SpaceInitial].discarded {
		space = SpaceHandshake
	}
	return l.pto.restart.Add(l.period(space)), space
}

// timesProbes reports whether outstanding packets of a space have a probe timeout.
//
// "An endpoint MUST NOT set its PTO timer for the Application Data packet number space until the
// handshake is confirmed."
// https://www.rfc-editor.org/rfc/rfc9002#section-6.2.1-7
func (l *Loss) timesProbes(s Space) bool { return s != SpaceApp || l.pto.confirmed }

// probeCost returns the amplification credit that a server needs for a probe. If Initial packets are
// outstanding, it is a datagram of full size (RFC 9000, section 14.1).
func (l *Loss) probeCost() int {
	if l.spaces[SpaceInitial].eliciting > 0 {
		return 1200
	}
	return minCredit
}

// ProbesPending returns how many datagrams may still be sent as probes, regardless of the window and the
// pacer.
//
// "Probe packets MUST NOT be blocked by the congestion controller."
// https://www.rfc-editor.org/rfc/rfc9002#section-7.5-1
func (l *Loss) ProbesPending() int { return l.pto.probes }

// ProbeSpace returns the space of which a probe must contain an ack-eliciting packet: the earliest one with
// outstanding packets. This holds for the timer of any space, because a peer that lacks half of a
// ServerHello cannot use Handshake packets.
func (l *Loss) ProbeSpace() Space {
	for s := range l.spaces {
		if l.spaces[s].eliciting > 0 && l.timesProbes(Space(s)) {
			return Space(s)
		}
	}
	return l.pto.space
}

// ProbeSent subtracts an ack-eliciting datagram from the pending probes.
func (l *Loss) ProbeSent() { l.pto.probes = max(0, l.pto.probes-1) }

// SetHandshakeKeys records that Handshake packets can be sent from now on.
func (l *Loss) SetHandshakeKeys() { l.pto.handshakeKeys = true }

// ConfirmHandshake records that the handshake is confirmed (RFC 9001, section 4.1.2).
func (l *Loss) ConfirmHandshake(now monotime.Time) {
	l.pto.confirmed, l.pto.peerValidated = true, true
	l.resetPTO(now)
}

// ptoAcked resets the back-off if the acknowledgement of a packet of space s shows progress.
//
// "The PTO backoff factor is reset when an acknowledgment is received, except in the following case.
// [...] [A] client does not reset the PTO backoff factor on receiving acknowledgments in Initial
// packets."
// https://www.rfc-editor.org/rfc/rfc9002#section-6.2.1-9
func (l *Loss) ptoAcked(now monotime.Time, s Space) {
	if s != SpaceInitial {
		l.pto.peerValidated = true
	}
	if l.pto.peerValidated {
		l.pto.count, l.pto.fired = 0, 0
	}
	l.pto.probes = 0
	l.pto.restart = now
}

// resetPTO restarts the timer without back-off.
func (l *Loss) resetPTO(now monotime.Time) {
	l.pto.count, l.pto.probes, l.pto.fired = 0, 0, 0
	if !l.pto.restart.IsZero() {
		l.pto.restart = now
	}
}
