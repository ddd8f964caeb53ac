package core

import (
	"math"
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// rotateRetry is how long a connection waits if it needed new connection IDs and there were none.
const rotateRetry = time.Second

// An idRotation replaces our connection IDs when they have reached their lifetime, and those of the handshake when it is
// confirmed if Config.RotateHandshakeIDs is set. It has no timer: the first packet of
// the peer after that time starts it. A timer would keep idle connections alive, and an ID that no packet carries cannot
// be observed.
type idRotation struct {
	due   monotime.Time // when the IDs have reached their lifetime
	prior uint64        // the Retire Prior To value: IDs with smaller sequence numbers are to be retired
}

// schedule has the IDs replaced after their lifetime, if they have one.
func (r *idRotation) schedule(c *Conn) {
	if r.due = c.now.Add(c.cfg.ConnIDLifetime); c.cfg.ConnIDLifetime == 0 {
		r.due = math.MaxInt64
	}
}

// retirePrior returns the Retire Prior To value of our NEW_CONNECTION_ID frames. r may be nil.
func (r *idRotation) retirePrior() uint64 {
	if r == nil {
		return 0
	}
	return r.prior
}

// rotateIDs issues new connection IDs that replace all others, if those have reached their lifetime.
//
// "An endpoint might need to stop accepting previously issued connection IDs in certain circumstances. Such an endpoint
// can cause its peer to retire connection IDs by sending a NEW_CONNECTION_ID frame with an increased Retire Prior To
// field. The endpoint SHOULD continue to accept the previously issued connection IDs until they are retired by the peer."
// https://www.rfc-editor.org/rfc/rfc9000#section-5.1.2-4
//
// "An endpoint MAY send connection IDs that temporarily exceed a peer's limit if the NEW_CONNECTION_ID frame also requires
// the retirement of any excess, by including a sufficiently large value in the Retire Prior To field."
// https://www.rfc-editor.org/rfc/rfc9000#section-5.1.1-4
func (c *Conn) rotateIDs() {
	s, r := &c.ids, c.ext.rotation
	switch {
	case c.now.Before(r.due) || !c.tls.confirmed || c.closing.state != stateOpen:
		return
	// "Endpoints SHOULD NOT issue updates of the Retire Prior To field before receiving RETIRE_CONNECTION_ID frames that
	// retire all connection IDs indicated by the previous Retire Prior To value."
	// https://www.rfc-editor.org/rfc/rfc9000#section-5.1.2-7
	case s.local[0].seq < r.prior:
		return
	}
	wanted := 1 // a spare one
	for i := range s.local {
		if s.local[i].used {
			wanted++
		}
	}
	prior := s.nextLocal
	for range min(wanted, int(s.limit)) {
		if !s.issueOne(c) {
			break
		}
	}
	if s.nextLocal == prior {
		r.due = c.now.Add(rotateRetry)
		return
	}
	r.prior = prior
	r.schedule(c)
}

// HandleIDConflict is called if the Endpoint could not apply an AddConnID event because another connection has the
// connection ID. Nothing has been sent since the event. Later IDs can be dropped, but the first one, and that of a
// preferred address, may be part of the TLS handshake already.
func (c *Conn) HandleIDConflict(now monotime.Time, ev EndpointEvent) {
	c.clamp(now)
	s := &c.ids
	if c.closing.state != stateOpen || ev.ConnID.Len() == 0 && ev.Path.Remote != c.path.Remote {
		return // the path to a preferred address cannot be validated
	}
	for i := range s.local {
		l := &s.local[i]
		switch {
		case l.id != ev.ConnID:
		case l.seq > s.announced:
			c.dropNewIDs(i)
			return
		case c.side == tlsprovider.Client && ev.ConnID.Len() == 0:
			c.end(&CloseError{Silent: ErrRemoteInUse}, Remnant{})
			return
		case c.side == tlsprovider.Client:
			c.end(&CloseError{Silent: ErrConnIDInUse}, Remnant{})
			return
		default:
			c.abort(&CloseError{Code: uint64(wire.InternalError), Reason: "connection ID", Cause: ErrConnIDInUse})
			return
		}
	}
}

// dropNewIDs drops local[i], which the Endpoint does not have, and the IDs after it. None was sent to the peer.
func (c *Conn) dropNewIDs(i int) {
	s := &c.ids
	for _, l := range s.local[i+1:] {
		c.events.addEndpoint(EndpointEvent{Kind: RetireConnID, ConnID: l.id, Path: c.path})
	}
	s.nextLocal = s.local[i].seq
	s.local = s.local[:i]
	if r := c.ext.rotation; r != nil && s.nextLocal <= r.prior && r.prior > 0 {
		r.prior, r.due = s.local[0].seq, c.now.Add(rotateRetry)
	}
}

// resetToken returns the stateless reset token of one of our connection IDs. Short IDs come back in later connections:
// their tokens are different in each, by the ID that the client has chosen. See minResetID.
//
// "A connection ID from a connection that is reset by revealing the stateless reset token MUST NOT be reused for new
// connections at nodes that share a static key."
// https://www.rfc-editor.org/rfc/rfc9000#section-10.3.2-5
func (c *Conn) resetToken(id wire.ConnID) [16]byte {
	if id.Len() < minResetID {
		b := c.ids.originalDst.AppendTo(id.AppendTo(nil))
		id, _ = wire.MakeConnID(b[:min(len(b), wire.MaxConnIDLen)])
	}
	return c.cfg.ResetToken(id)
}
