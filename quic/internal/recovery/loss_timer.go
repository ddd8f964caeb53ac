package recovery

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// The probe timeout backs off exponentially, but not without end: under 30 % loss an uncapped one
// reaches the idle timeout, and the connection starves although every other packet gets through.
// During the handshake, where little is in flight, probes stay more frequent.
const (
	maxHandshakePTO = 2 * time.Second
	maxPTO          = 10 * time.Second
)

// minProbeCredit is the least amplification credit with which a server's probe timer makes sense.
const minProbeCredit = 1200

// ptoFor is the probe timeout of a space with back-off.
func (l *Loss) ptoFor(s Space) time.Duration {
	base := l.rtt.pto()
	if s == SpaceApp {
		base += l.maxAckDelay
	}
	limit := maxPTO
	if !l.confirmed {
		limit = maxHandshakePTO
	}
	return min(base<<min(l.ptoCount, 16), max(base, limit))
}

// ptoTime is when the probe timer fires, and for which space; zero if it is not armed.
func (l *Loss) ptoTime() (monotime.Time, Space) {
	// "If no additional data can be sent, the server's PTO timer MUST NOT be armed until
	// datagrams have been received from the client".
	// https://www.rfc-editor.org/rfc/rfc9002#section-6.2.2.1-2
	if l.AmplificationCredit() < minProbeCredit {
		return 0, 0
	}
	var at monotime.Time
	var space Space
	for s := SpaceInitial; s < NumSpaces; s++ {
		sp := &l.spaces[s]
		// "An endpoint MUST NOT set its PTO timer for the Application Data packet number space
		// until the handshake is confirmed."
		// https://www.rfc-editor.org/rfc/rfc9002#section-6.2.1-7
		if sp.eliciting == 0 || s == SpaceApp && !l.confirmed {
			continue
		}
		if t := sp.lastEliciting.Add(l.ptoFor(s)); at.IsZero() || t.Before(at) {
			at, space = t, s
		}
	}
	if at.IsZero() && !l.peerValidated {
		// "[...] it is the client's responsibility to send packets to unblock the server
		// until it is certain that the server has finished its address validation".
		// https://www.rfc-editor.org/rfc/rfc9002#section-6.2.2.1-3
		space = l.deadlockSpace()
		at = l.lastArmed.Add(l.ptoFor(space))
	}
	return at, space
}

func (l *Loss) deadlockSpace() Space {
	if l.handshakeKeys {
		return SpaceHandshake
	}
	return SpaceInitial
}

// lossTime is the earliest time at which a packet becomes lost by time.
func (l *Loss) lossTime() (monotime.Time, Space) {
	var at monotime.Time
	var space Space
	for s := SpaceInitial; s < NumSpaces; s++ {
		if t := l.spaces[s].lossTime; !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at, space = t, s
		}
	}
	return at, space
}

// NextTimeout is when HandleTimeout wants to be called; zero is never.
func (l *Loss) NextTimeout() monotime.Time {
	if t, _ := l.lossTime(); !t.IsZero() {
		return t
	}
	t, _ := l.ptoTime()
	return t
}

// HandleTimeout does what is due: it declares packets lost, or asks for probes.
func (l *Loss) HandleTimeout(now monotime.Time, fate FateFunc) {
	if t, s := l.lossTime(); !t.IsZero() {
		if !now.Before(t) {
			l.detectLost(now, s, fate)
			l.spaces[s].list.trim()
		}
		return
	}
	t, s := l.ptoTime()
	if t.IsZero() || now.Before(t) {
		return
	}
	// "When a PTO timer expires, a sender MUST send at least one ack-eliciting packet in the
	// packet number space as a probe. An endpoint MAY send up to two full-sized datagrams".
	// https://www.rfc-editor.org/rfc/rfc9002#section-6.2.4-1
	l.probes = 2
	l.probeSpace = s
	l.ptoCount++
	l.lastArmed = now
}

// ProbesPending is the number of datagrams that may still be sent as probes.
func (l *Loss) ProbesPending() int { return l.probes }

// ProbeSpace is the space that the probes are for: the earliest with something outstanding, so that
// no flight is left behind by a later one.
func (l *Loss) ProbeSpace() Space {
	for s := SpaceInitial; s < NumSpaces; s++ {
		if l.spaces[s].eliciting > 0 && !l.spaces[s].discarded {
			return s
		}
	}
	return l.probeSpace
}

// ProbeSent counts a datagram that was sent as a probe.
func (l *Loss) ProbeSent() {
	if l.probes > 0 {
		l.probes--
	}
}

// SetHandshakeKeys: Handshake packets can be sent.
func (l *Loss) SetHandshakeKeys() { l.handshakeKeys = true }

// ConfirmHandshake: the handshake is confirmed (RFC 9001, 4.1.2).
func (l *Loss) ConfirmHandshake(now monotime.Time) {
	l.confirmed, l.peerValidated = true, true
	l.ptoCount = 0
	l.lastArmed = now
}

// DiscardSpace forgets a space whose keys are gone.
//
// "When Initial and Handshake packet protection keys are discarded [...] the sender MUST discard all
// recovery state associated with those packets and MUST remove them from the count of bytes in
// flight. [...] the PTO and loss detection timers MUST be reset".
// https://www.rfc-editor.org/rfc/rfc9002#section-6.4-1
func (l *Loss) DiscardSpace(now monotime.Time, s Space) {
	sp := &l.spaces[s]
	if sp.discarded {
		return
	}
	sp.discarded = true
	l.forget(s)
	l.ptoCount, l.probes = 0, 0
	l.lastArmed = now
}

// ResetForRetry forgets the Initial packets that a Retry answered; numbers go on.
func (l *Loss) ResetForRetry(now monotime.Time) {
	l.forget(SpaceInitial)
	l.ptoCount, l.probes = 0, 0
	l.lastArmed = now
}

func (l *Loss) forget(s Space) {
	sp := &l.spaces[s]
	for i := range sp.list.n {
		p := sp.list.at(i)
		if !p.done && !p.lost {
			l.unflight(s, p)
		}
		p.done = true
	}
	sp.list.trim()
	sp.list.p = nil
	sp.list.head = 0
	sp.lossTime = 0
}

// Close frees everything.
func (l *Loss) Close() {
	for s := SpaceInitial; s < NumSpaces; s++ {
		l.forget(s)
	}
}
