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

// HandleConnEvent applies a change of a connection to the routing tables.
func (e *Endpoint) HandleConnEvent(now monotime.Time, ref ConnRef, ev EndpointEvent) {
	e.clamp(now)
	c := e.conns[ref]
	if c == nil {
		return
	}
	switch ev.Kind {
	case AddConnID:
		c.ids = append(c.ids, ev.ConnID)
		e.setID(ev.ConnID, idEntry{ref: ref})
	case RetireConnID:
		if i := slices.Index(c.ids, ev.ConnID); i >= 0 {
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
			e.tokens[ev.Token] = tokenEntry{ref, ev.Path.Remote}
		}
	case RemoveResetToken:
		if i := slices.Index(c.tokens, ev.Token); i >= 0 {
			c.tokens = slices.Delete(c.tokens, i, i+1)
			delete(e.tokens, ev.Token)
		}
	case HandshakeComplete:
		e.finishHandshake(c)
	case ConnClosed:
		e.finishHandshake(c)
		for _, t := range c.tokens {
			delete(e.tokens, t)
		}
		e.keepRemnant(c, ev.Remnant)
		delete(e.conns, ref)
	}
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
		if e.conns[c.ref] == c {
			delete(e.initials, c.initial)
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
	for _, c := range e.conns {
		ids += len(c.ids) + len(c.retired)
		tokens += len(c.tokens)
		if c.hasInitial {
			initials++
		}
		if c.handshake {
			unfinished++
		}
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
	case ids != len(e.ids):
		return fmt.Errorf("%d connection IDs are routed, but connections have %d", len(e.ids), ids)
	case tokens != len(e.tokens):
		return fmt.Errorf("%d reset tokens are routed, but connections have %d", len(e.tokens), tokens)
	case len(e.initials) != initials:
		return fmt.Errorf("%d connection IDs of clients are routed, but connections have %d", len(e.initials), initials)
	case unfinished != e.handshakes:
		return fmt.Errorf("%d handshakes are counted, but there are %d", e.handshakes, unfinished)
	case e.closed.len() > e.maxRemnants || e.refused.len() > e.maxRemnants:
		return fmt.Errorf("too many remnants: %d of connections, %d of clients", e.closed.len(), e.refused.len())
	}
	return e.hellos.check(e.cfg.HelloBytes)
}
