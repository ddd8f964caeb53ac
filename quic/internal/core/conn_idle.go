package core

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// idleState holds the timers that end an idle connection or keep it alive.
type idleState struct {
	timeout   time.Duration // the smaller of both sides' values; 0 means none
	handshake monotime.Time // when an incomplete handshake times out
	expires   monotime.Time
	keepAlive monotime.Time
	armed     bool // an ack-eliciting packet was sent since the last packet was received
	starved   bool // packets are dropped for lack of memory: the peer gets no acknowledgements
	ping      bool // a PING is due that shows that the connection exists
	// silencePings is the number of such PING frames since the server has become silent: see missesData.
	silencePings uint8
}

func (s *idleState) init(c *Conn) {
	s.timeout = c.cfg.IdleTimeout
	s.handshake = c.now.Add(c.cfg.HandshakeTimeout)
	s.touch(c)
}

// setPeer sets the peer's max_idle_timeout.
//
// "Each endpoint advertises a max_idle_timeout, but the effective value at an endpoint is computed
// as the minimum of the two advertised values (or the sole advertised value, if only one endpoint
// advertises a non-zero value)."
// https://www.rfc-editor.org/rfc/rfc9000#section-10.1-2
//
// A client may set the value that it remembers from an earlier connection first, and the one of this connection later.
func (s *idleState) setPeer(own, peer time.Duration) {
	if s.timeout = own; peer > 0 && (own == 0 || peer < own) {
		s.timeout = peer
	}
}

// touch restarts the idle and keep-alive timers.
//
// "To avoid excessively small idle timeout periods, endpoints MUST increase the idle timeout
// period to be at least three times the current Probe Timeout (PTO)."
// https://www.rfc-editor.org/rfc/rfc9000#section-10.1-4
func (s *idleState) touch(c *Conn) {
	s.expires = 0
	if s.timeout > 0 {
		s.expires = c.now.Add(max(s.timeout, 3*c.loss.PTO()))
	}
	pending := s.keepAlive
	s.keepAlive = 0
	every := c.cfg.KeepAlive
	if every == 0 && s.starved {
		every = s.timeout / 2
	}
	if every > 0 && c.tls.complete {
		if s.timeout > 0 { // the smaller of both sides' values, which may be the peer's, and tiny
			every = min(every, max(s.timeout/2, c.loss.PTO()))
		}
		s.keepAlive = c.now.Add(every)
		if s.starved { // packets that are dropped must not put the PING off
			s.keepAlive = monotime.Min(s.keepAlive, pending)
		}
	}
}

// setStarved notes whether stream data of the peer was dropped for lack of memory. While it is, nothing else
// may tell the peer that the connection still exists, however long the application does not read: keep-alive
// PINGs do.
func (s *idleState) setStarved(c *Conn, starved bool) {
	if starved != s.starved {
		s.starved = starved
		s.touch(c)
	}
}

// received restarts the timers when a packet has been processed.
func (s *idleState) received(c *Conn) {
	s.armed = false
	s.touch(c)
}

// sent restarts the timers when an ack-eliciting packet is sent.
//
// "An endpoint also restarts its idle timer when sending an ack-eliciting packet if no other
// ack-eliciting packets have been sent since last receiving and processing a packet."
// https://www.rfc-editor.org/rfc/rfc9000#section-10.1-3
func (s *idleState) sent(c *Conn) {
	s.ping = false
	if !s.armed {
		s.armed = true
		s.touch(c)
	}
}

// next returns when the earliest timer expires.
func (s *idleState) next(c *Conn) monotime.Time {
	t := monotime.Min(s.expires, s.keepAlive)
	if !c.tls.complete {
		t = monotime.Min(t, s.handshake)
	}
	return t
}

// expire handles the timers that have expired.
func (s *idleState) expire(c *Conn) {
	switch {
	case !c.tls.complete && due(s.handshake, c.now):
		c.end(&CloseError{Silent: ErrHandshakeTimeout}, Remnant{})
	case due(s.expires, c.now):
		c.end(&CloseError{Silent: ErrIdleTimeout}, Remnant{})
	case due(s.keepAlive, c.now):
		s.ping, s.keepAlive = true, 0
	}
}

// SetKeepAlive replaces Config.KeepAlive for this connection.
func (c *Conn) SetKeepAlive(now monotime.Time, period time.Duration) {
	c.clamp(now)
	if c.closing.state != stateOpen {
		return
	}
	own := *c.cfg // few connections have a period of their own, so there is no field for it
	own.KeepAlive = period
	c.cfg = &own
	expires := c.idle.expires
	c.idle.touch(c)
	c.idle.expires = expires
}

// Ping has a PING frame sent, if the connection is open.
func (c *Conn) Ping() { c.idle.ping = c.closing.state == stateOpen }

func due(t, now monotime.Time) bool { return !t.IsZero() && !now.Before(t) }
