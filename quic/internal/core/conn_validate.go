package core

import (
	"crypto/subtle"

	"github.com/pqquic/pqquic/quic/internal/datagram"
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// A validation is the validation of a path (RFC 9000, section 8.2).
type validation struct {
	challenges [4]challenge  // the latest ones
	sent       int           // number of challenges sent
	sentAt     monotime.Time // when the timer for the next challenge was started
	tries      int           // how often it was started in this validation
	another    bool          // one more challenge may be sent at once
	deadline   monotime.Time // zero if the path is not being validated
	// fullOnly is set if the peer's address is validated and only the size of datagrams remains.
	fullOnly bool
}

// A challenge is the data of a PATH_CHALLENGE frame.
type challenge struct {
	data [8]byte
	full bool // it was sent in a datagram of MinInitialSize
}

func (v *validation) running() bool { return !v.deadline.IsZero() }

// validate begins to validate a path, unless that has begun.
//
// "An endpoint SHOULD NOT probe a new path with packets containing a PATH_CHALLENGE frame more frequently than it
// would send an Initial packet."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.2.1-3
func (c *Conn) validate(p *netPath) {
	v := &p.check
	if v.running() {
		return
	}
	// "A value of three times the larger of the current PTO or the PTO for the new path (using kInitialRtt, as
	// defined in [QUIC-RECOVERY]) is RECOMMENDED."
	// https://www.rfc-editor.org/rfc/rfc9000#section-8.2.4-2
	total := 3 * max(c.loss.PTO(), c.loss.ProbePeriod(nil))
	*v = validation{challenges: v.challenges, sent: v.sent, sentAt: v.sentAt, deadline: c.now.Add(total)}
}

// challengeAt returns when the next challenge may be sent on a path. The time depends on the round-trip time of the path,
// which may be measured after a challenge was sent. Paths between which the peer alternates are not challenged with each
// change.
//
// "This timer SHOULD be set as described in Section 6.2.1 of [QUIC-RECOVERY] and MUST NOT be more aggressive."
// https://www.rfc-editor.org/rfc/rfc9000#section-9.4-5
func (c *Conn) challengeAt(p *netPath) monotime.Time {
	v := &p.check
	switch {
	case v.sentAt.IsZero():
		return c.now
	case v.another:
		return v.sentAt
	}
	return v.sentAt.Add(c.loss.ProbePeriod(p.rec) << min(max(v.tries-1, 0), 8))
}

// handlePathChallenge handles a PATH_CHALLENGE frame.
//
// "A PATH_RESPONSE frame MUST be sent on the network path where the PATH_CHALLENGE frame was received."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.2.2-2
// "On receiving a PATH_CHALLENGE frame, an endpoint MUST respond by echoing the data contained in the PATH_CHALLENGE
// frame in a PATH_RESPONSE frame."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.2.2-1
// "The recipient of this frame MUST generate a PATH_RESPONSE frame (Section 19.18) containing the same Data value."
// https://www.rfc-editor.org/rfc/rfc9000#section-19.17-7
func (c *Conn) handlePathChallenge(data [8]byte) {
	o := &c.recv.other
	switch {
	case !o.set:
		if len(c.pathResponses) < maxPathResponses {
			c.pathResponses = append(c.pathResponses, data)
		}
	case o.path != nil && len(o.path.responses) < maxOtherResponses:
		o.path.responses = append(o.path.responses, data)
	}
}

// handlePathResponse handles a PATH_RESPONSE frame.
//
// "A PATH_RESPONSE frame received on any network path validates the path on which the PATH_CHALLENGE was sent."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.2.3-1
// "This requirement MUST NOT be enforced by the endpoint that initiates path validation, as that would enable an
// attack on migration; see Section 9.3.3."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.2.2-2
func (c *Conn) handlePathResponse(data [8]byte) {
	for _, p := range c.mig.paths {
		v := &p.check
		for i := range min(v.sent, len(v.challenges)) {
			if ch := &v.challenges[i]; v.running() && subtle.ConstantTimeCompare(ch.data[:], data[:]) == 1 {
				c.pathAnswered(p, ch.full)
				return
			}
		}
	}
}

// pathAnswered handles the response to a challenge. full reports whether the challenge had MinInitialSize.
func (c *Conn) pathAnswered(p *netPath, full bool) {
	m, v := c.mig, &p.check
	if !p.validated && p == m.active && c.side == tlsprovider.Server {
		// "After verifying a new client address, the server SHOULD send new address validation tokens (Section 8) to
		// the client."
		// https://www.rfc-editor.org/rfc/rfc9000#section-9.3-7
		c.offerToken()
	}
	p.validated = true
	if p.amp.Validate(); p == m.active {
		c.loss.Path().ValidateAddress()
	}
	if !full && !v.fullOnly {
		// "[...] the endpoint MUST initiate another path validation with an expanded datagram to verify that the path
		// supports the required MTU."
		// https://www.rfc-editor.org/rfc/rfc9000#section-8.2.3-2
		*v = validation{challenges: v.challenges, sent: v.sent} // not after a pause
		c.validate(p)
		v.fullOnly = true
	}
	if full {
		*v = validation{sentAt: v.sentAt}
		if p.id != 0 {
			c.events.add(Event{Kind: EventPathValidated, Path: p.id})
		}
		c.arriveAtPreferred(p)
		c.releaseFallback()
	}
}

// releaseFallback gives up the path that was in use before, once the one in use is validated and it is known whether the old
// one still works. If it does, its packets have had the opportunity to move the connection back (RFC 9000, 9.3.3).
func (c *Conn) releaseFallback() {
	m := c.mig
	if f := m.fallback; f != nil && m.active.validated && !m.active.check.running() && !f.check.running() {
		// Acknowledgements of what was sent there may be under way.
		m.fallback, f.until = nil, c.now.Add(c.loss.PTO())
	}
}

// expirePaths gives up validations that have taken too long, and paths that are no longer used.
func (c *Conn) expirePaths() {
	c.wake()
	for _, p := range append([]*netPath(nil), c.mig.paths...) {
		switch {
		case p.check.running() && due(p.check.deadline, c.now):
			if c.validationFailed(p); c.closing.state != stateOpen {
				return
			}
		case p != c.mig.active && p != c.mig.fallback && due(p.until, c.now):
			c.removePath(p)
		}
	}
	c.releaseFallback()
	c.endMigration()
}

// validationFailed gives up the validation of a path.
//
// "To protect the connection from failing due to such a spurious migration, an endpoint MUST revert to using the last
// validated peer address when validation of a new peer address fails."
// https://www.rfc-editor.org/rfc/rfc9000#section-9.3.2-2
func (c *Conn) validationFailed(p *netPath) {
	m := c.mig
	p.check = validation{sentAt: p.check.sentAt}
	switch {
	case p == m.active && m.fallback != nil:
		m.failed++
		back := m.fallback
		p.validated = false // it does not carry datagrams of 1200 bytes if its address is validated
		c.switchPath(back)
	case p == m.active && !p.validated:
		// "If an endpoint has no state about the last validated peer address, it MUST close the connection silently
		// by discarding all connection state."
		// https://www.rfc-editor.org/rfc/rfc9000#section-9.3.2-3
		m.failed++
		c.end(&CloseError{Silent: ErrNoPath}, Remnant{})
	case p == m.active && m.contested:
		c.loseContest()
	case p == m.active, p == m.fallback:
		// There is no better path, or the old one is kept until the path in use is validated.
	default:
		m.failed++
		c.removePath(p)
	}
}

// pathTimeout returns when expirePaths or PollTransmit has something to do.
func (c *Conn) pathTimeout() (t monotime.Time) {
	for _, p := range c.mig.paths {
		switch {
		case p.check.running():
			t = monotime.Min(t, p.check.deadline)
			if c.pathCredit(p) >= c.leastProbe(p) {
				t = monotime.Min(t, c.challengeAt(p))
			}
		case p == c.mig.active:
			if len(c.mig.paths) == 1 {
				t = monotime.Min(t, c.challengeAt(p)) // the end of the migration
			}
		case p != c.mig.fallback:
			t = monotime.Min(t, p.until)
		}
	}
	return t
}

// pathCredit returns how many bytes may be sent on a path.
func (c *Conn) pathCredit(p *netPath) int {
	if p == c.mig.active {
		return c.loss.Path().AmplificationCredit()
	}
	return p.amp.Credit()
}

// leastProbe returns the credit that the next challenge on a path needs.
func (c *Conn) leastProbe(p *netPath) int {
	if p.check.fullOnly {
		return MinInitialSize
	}
	return minPacketRoom + len(c.ids.token)
}

// dueProbe returns a path on which a PATH_CHALLENGE frame, or a PATH_RESPONSE frame for a path that is not in use, can
// be sent now, or nil.
func (c *Conn) dueProbe() *netPath {
	if c.spaces[recovery.SpaceApp].seal == nil || c.keys.spent() {
		return nil
	}
	for _, p := range c.mig.paths {
		if c.challengeDue(p) || c.responseDue(p) {
			return p
		}
	}
	return nil
}

func (c *Conn) challengeDue(p *netPath) bool {
	return p.check.running() && !c.now.Before(c.challengeAt(p)) && c.pathCredit(p) >= c.leastProbe(p)
}

// responseDue reports whether a response can be sent on a path that is not in use.
//
// "An endpoint MUST NOT delay transmission of a packet containing a PATH_RESPONSE frame unless constrained by
// congestion control."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.2.2-1
func (c *Conn) responseDue(p *netPath) bool {
	return p != c.mig.active && len(p.responses) > 0 && p.amp.Credit() >= minPacketRoom+len(c.ids.token) &&
		(p.rec == nil || p.rec.HasRoom(MinInitialSize))
}

// buildPathProbe builds a datagram with PATH_CHALLENGE and PATH_RESPONSE frames for a path.
//
// "An endpoint MUST expand datagrams that contain a PATH_CHALLENGE frame to at least the smallest allowed maximum
// datagram size of 1200 bytes, unless the anti-amplification limit for the path does not permit sending a datagram of
// this size."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.2.1-5
//
// "[...] an endpoint MUST NOT expand the datagram containing the PATH_RESPONSE if the resulting data exceeds the
// anti-amplification limit."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.2.2-3
func (c *Conn) buildPathProbe(p *netPath, buf []byte) (Transmit, bool) {
	size := min(MinInitialSize, c.pathCredit(p), len(buf))
	d := newDatagram(c, buf[:0], size)
	d.dst = c.ids.findRemote(p.dst).id
	if !d.start(recovery.SpaceApp) {
		return Transmit{}, false
	}
	if c.challengeDue(p) {
		d.payload = c.nextChallenge(p, size >= MinInitialSize).Append(d.payload)
	}
	for p != c.mig.active && len(p.responses) > 0 && d.room() >= (wire.PathResponse{}).Size() {
		d.payload = wire.PathResponse{Data: p.responses[0]}.Append(d.payload)
		p.responses = p.responses[1:]
	}
	// "Sending NEW_CONNECTION_ID and PATH_CHALLENGE frames in the same packet [...] ensures that an unused connection ID will
	// be available to the peer when sending a response."
	// https://www.rfc-editor.org/rfc/rfc9000#section-8.2-7
	d.payload, c.send.rec = c.appendNewIDs(d.payload, d.room(), d.pn, appendRecord0(c.send.rec[:0], recPing), false)
	d.pad = size >= MinInitialSize
	d.finish(sentInfo{eliciting: true})
	d.end()
	d.lastSent.PathProbe = true
	d.lastSent.On(c.recoveryOf(p))
	c.packetSent(recovery.SpaceApp, d.lastSent)
	if !d.seal() {
		return c.pollClose(buf)
	}
	if p != c.mig.active {
		p.amp.DatagramSent(len(d.b))
	} else {
		c.loss.Path().DatagramSent(len(d.b))
	}
	c.active = c.now
	c.stats.DatagramsSent++
	c.stats.BytesSent += uint64(len(d.b))
	return Transmit{Path: p.addrs, ECN: datagram.NotECT, Data: d.b, SegmentSize: len(d.b)}, true
}

// nextChallenge returns the challenge to send on a path now. full reports whether its datagram has MinInitialSize.
//
// "The endpoint MUST use unpredictable data in every PATH_CHALLENGE frame so that it can associate the peer's response
// with the corresponding PATH_CHALLENGE."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.2.1-4
//
// If the timer expires only once before the validation ends, as on a path whose round-trip time is not known, two challenges are
// sent then, in two datagrams, as for a probe timeout of Initial packets.
//
// "An endpoint MAY send multiple PATH_CHALLENGE frames to guard against packet loss. However, an endpoint SHOULD NOT send
// multiple PATH_CHALLENGE frames in a single packet."
// https://www.rfc-editor.org/rfc/rfc9000#section-8.2.1-2
// "An endpoint MAY send up to two full-sized datagrams containing ack-eliciting packets to avoid an expensive consecutive
// PTO expiration due to a single lost datagram".
// https://www.rfc-editor.org/rfc/rfc9002#section-6.2.4-1
func (c *Conn) nextChallenge(p *netPath, full bool) wire.PathChallenge {
	v := &p.check
	ch := &v.challenges[v.sent%len(v.challenges)]
	c.cfg.Rand(ch.data[:])
	ch.full = full
	v.sent++
	if v.another {
		v.another = false
	} else {
		v.tries++
		v.sentAt = c.now
		v.another = v.tries == 2 && !c.challengeAt(p).Before(v.deadline)
	}
	return wire.PathChallenge{Data: ch.data}
}
