package core

import (
	"net/netip"

	"github.com/pqquic/pqquic/quic/internal/wire"
)

// A seqWindow records which sequence numbers of the peer's connection IDs have been received, so that a frame that
// arrives twice does not bring back an ID that we have retired. Numbers ascend by one and few IDs are outstanding, so
// a window of 64 is enough: older numbers count as received.
type seqWindow struct {
	next uint64 // the largest number received, plus one; 0 is the ID of the handshake
	bits uint64 // bit i is set if next-1-i was received
}

// add records a number. It returns false if the number was received before.
func (w *seqWindow) add(seq uint64) bool {
	if seq >= w.next {
		w.bits <<= min(seq+1-w.next, 64)
		w.next = seq + 1
	}
	bit := uint64(1) << min(w.next-1-seq, 64)
	isNew := w.bits&bit == 0 && bit != 0
	w.bits |= bit
	return isNew
}

// findRemote returns the peer's connection ID with a sequence number, or nil.
func (s *idState) findRemote(seq uint64) *remoteID {
	for i := range s.remote {
		if s.remote[i].seq == seq {
			return &s.remote[i]
		}
	}
	return nil
}

// useRemote makes the peer's connection ID with a sequence number the one that is sent to.
func (s *idState) useRemote(seq uint64) {
	for i := range s.remote {
		if s.remote[i].seq == seq {
			s.remote[0], s.remote[i] = s.remote[i], s.remote[0]
			return
		}
	}
	panic("BUG: a path has a connection ID that the peer has not issued")
}

// unusedRemote returns the sequence number of a connection ID of the peer that no path uses.
//
// "[...] an endpoint MUST NOT reuse a connection ID when sending to more than one destination address."
// https://www.rfc-editor.org/rfc/rfc9000#section-9.5-4
func (c *Conn) unusedRemote() (seq uint64, ok bool) {
	for i := range c.ids.remote {
		if seq := c.ids.remote[i].seq; !c.usesRemote(seq) {
			return seq, true
		}
	}
	return 0, false
}

// unusedForPath is like unusedRemote, but returns none while the peer has not acknowledged the retirement of many. The
// paths that we add and give up, or that an attacker has us add, thus never reach maxRetiring, which is the peer's fault.
func (c *Conn) unusedForPath() (seq uint64, ok bool) {
	if len(c.ids.retiring) > maxRetiring/2 {
		return 0, false
	}
	return c.unusedRemote()
}

// usesRemote reports whether a path uses a connection ID of the peer.
func (c *Conn) usesRemote(seq uint64) bool {
	if !c.migrating() {
		return c.ids.remote[0].seq == seq
	}
	for _, p := range c.mig.paths {
		if p.dst == seq {
			return true
		}
	}
	return false
}

// releaseRemote retires a connection ID of the peer if no path uses it any more.
//
// "Endpoints SHOULD retire connection IDs when they are no longer actively using either the local or destination
// address for which the connection ID was used."
// https://www.rfc-editor.org/rfc/rfc9000#section-5.1.2-3
func (c *Conn) releaseRemote(seq uint64) {
	s := &c.ids
	if c.usesRemote(seq) {
		return
	}
	for i, r := range s.remote {
		if r.seq == seq && r.id.Len() > 0 {
			if r.hasToken {
				c.events.addEndpoint(EndpointEvent{Kind: RemoveResetToken, Token: r.token, Path: c.path})
			}
			s.remote = append(s.remote[:i], s.remote[i+1:]...)
			c.retire(seq)
			return
		}
	}
}

// assignIDs gives other connection IDs to the paths whose IDs the peer has retired, first to the path in use. There
// is one, because the frame that retires IDs brings another. The next frames of the packet may bring some for other paths.
func (c *Conn) assignIDs() {
	m := c.mig
	if !c.migrating() {
		return
	}
	was := m.active.dst
	if !c.assignID(m.active) {
		c.abortf(wire.ProtocolViolation, wire.FrameNewConnectionID, "the peer retired the connection ID in use and issued no other")
		return
	}
	c.ids.useRemote(m.active.dst)
	for _, p := range m.paths {
		if p.dst == was {
			p.dst = m.active.dst // because of a NAT, they have shared the other one
		} else if !c.assignID(p) {
			m.unassigned = true
		}
	}
}

// removeUnassigned gives up the paths for which there is no connection ID. It is called before anything else happens to
// them than that IDs arrive.
func (c *Conn) removeUnassigned() {
	m := c.mig
	m.unassigned = false
	for i := len(m.paths) - 1; i >= 0; i-- {
		if !c.assignID(m.paths[i]) {
			c.removePath(m.paths[i])
		}
	}
}

// assignID gives a path another connection ID if the peer has retired its own. It returns false if there is none.
func (c *Conn) assignID(p *netPath) bool {
	if c.ids.findRemote(p.dst) != nil {
		return true
	}
	seq, ok := c.unusedRemote()
	if ok {
		p.dst = seq
	}
	return ok
}

// routeRemote has the Endpoint pass packets from an address of the peer to the connection, if our connection IDs are empty.
// The address of the handshake is known.
func (c *Conn) routeRemote(remote netip.AddrPort) {
	if c.ids.length == 0 && remote != c.path.Remote {
		c.events.addEndpoint(EndpointEvent{Kind: AddConnID, Path: Path{Remote: remote}})
	}
}

// unrouteRemote undoes routeRemote if no path leads to the address any more.
func (c *Conn) unrouteRemote(remote netip.AddrPort) {
	if c.ids.length == 0 && !c.knowsServer(remote) {
		c.events.addEndpoint(EndpointEvent{Kind: RetireConnID, Path: Path{Remote: remote}})
	}
}
