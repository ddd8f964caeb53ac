package core

import (
	"fmt"
	"slices"
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/wire"
)

// maxTokens bounds the reset tokens of one connection. A Conn has no more connection IDs of its peer.
const maxTokens = 2 * activeConnIDLimit

// HandleConnEvent applies a change of a connection to the routing tables. It returns false if AddConnID is not possible
// because a connection has or had the connection ID. The driver then calls Conn.HandleIDConflict. A remnant gives way.
func (e *Endpoint) HandleConnEvent(now monotime.Time, ref ConnRef, ev EndpointEvent) bool {
	e.clamp(now)
	c, ok := e.conns.get(ref)
	if !ok {
		return true
	}
	switch ev.Kind {
	case AddConnID:
		if ev.ConnID.Len() == 0 {
			return e.addRemote(c, ev.Path.Remote)
		}
		if old, ok := e.ids.get(ev.ConnID); ok {
			if old.remnant == nil {
				return false
			}
			old.remnant.ids = slices.DeleteFunc(old.remnant.ids, func(id wire.ConnID) bool { return id == ev.ConnID })
		}
		c.ids = append(c.ids, ev.ConnID)
		e.setID(ev.ConnID, idEntry{ref: ref})
	case RetireConnID:
		if ev.ConnID.Len() == 0 {
			e.removeRemote(c, ev.Path.Remote)
		} else if i := slices.Index(c.ids, ev.ConnID); i >= 0 {
			c.ids = slices.Delete(c.ids, i, i+1)
			e.keepRetired(c, ev.ConnID)
		}
	case AddResetToken:
		known := slices.Contains(c.tokens, ev.Token)
		if !known && len(c.tokens) < maxTokens {
			c.tokens = append(c.tokens, ev.Token)
			known = true
		}
		if known {
			e.tokens.set(ev.Token, tokenEntry{ref, ev.Path.Remote})
		}
	case RemoveResetToken:
		if i := slices.Index(c.tokens, ev.Token); i >= 0 {
			c.tokens = slices.Delete(c.tokens, i, i+1)
			e.tokens.delete(ev.Token)
		}
	case HandshakeComplete:
		e.finishHandshake(c)
	case ConnClosed:
		e.finishHandshake(c)
		for _, t := range c.tokens {
			e.tokens.delete(t)
		}
		e.removeRemotes(c)
		e.keepRemnant(c, ev.Remnant)
		e.conns.delete(ref)
	}
	return true
}

// keepRetired remembers a connection ID that the peer has retired. Otherwise reordered packets to it would
// be answered with a stateless reset, which would end the connection if the peer still compares its token.
func (e *Endpoint) keepRetired(c *connEntry, id wire.ConnID) {
	if len(c.retired) == maxLocalIDs {
		e.deleteID(c.retired[0])
		c.retired = slices.Delete(c.retired, 0, 1)
	}
	c.retired = append(c.retired, id)
	e.setID(id, idEntry{ref: c.ref, retired: true})
}

// finishHandshake removes a connection from the count of incomplete handshakes. Its client knows a
// connection ID of ours, so only delayed packets still arrive at the one that the client chose.
func (e *Endpoint) finishHandshake(c *connEntry) {
	if !c.handshake {
		return
	}
	c.handshake = false
	e.handshakes--
	// The time is rounded up, so that one timeout handles many entries.
	const round = monotime.Time(time.Second)
	until := (e.now.Add(e.cfg.HelloTimeout) + round - 1) / round * round
	e.oldInitials = append(e.oldInitials, oldInitial{c, until})
}

// expireInitials forgets the connection IDs that clients chose for handshakes that completed some time ago.
func (e *Endpoint) expireInitials() {
	n := 0
	for ; n < len(e.oldInitials) && due(e.oldInitials[n].until, e.now); n++ {
		c := e.oldInitials[n].c
		if known, _ := e.conns.get(c.ref); known == c {
			e.deleteInitial(c.initial)
			c.hasInitial = false
		}
	}
	if e.oldInitials = slices.Delete(e.oldInitials, 0, n); len(e.oldInitials) == 0 {
		e.oldInitials = nil
	}
}

// CheckInvariants returns an error if the Endpoint's tables are inconsistent.
func (e *Endpoint) CheckInvariants() error {
	ids, tokens, initials, unfinished := 0, 0, 0, 0
	for _, c := range e.conns.m {
		ids += len(c.ids) + len(c.retired)
		tokens += len(c.tokens)
		if c.hasInitial {
			initials++
		}
		if c.handshake {
			unfinished++
		}
	}
	for _, further := range e.remotes {
		initials += len(further)
	}
	for _, h := range []*expiryHeap[*remnant]{&e.closed, &e.refused} {
		for _, r := range h.items {
			ids += len(r.ids)
			if r.hasInitial {
				initials++
			}
		}
	}
	switch {
	case ids != e.ids.len():
		return fmt.Errorf("%d connection IDs are routed, but connections have %d", e.ids.len(), ids)
	case tokens != e.tokens.len():
		return fmt.Errorf("%d reset tokens are routed, but connections have %d", e.tokens.len(), tokens)
	case e.initials.len() != initials:
		return fmt.Errorf("%d connection IDs of clients are routed, but connections have %d", e.initials.len(), initials)
	case unfinished != e.handshakes:
		return fmt.Errorf("%d handshakes are counted, but there are %d", e.handshakes, unfinished)
	case e.closed.len() > e.maxRemnants || e.refused.len() > e.maxRemnants:
		return fmt.Errorf("too many remnants: %d of connections, %d of clients", e.closed.len(), e.refused.len())
	}
	return e.hellos.check(e.cfg.HelloBytes)
}
