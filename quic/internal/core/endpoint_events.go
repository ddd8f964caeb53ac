package core

import (
	"fmt"
	"slices"

	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// maxTokens bounds the reset tokens of one connection; a Conn has no more peer's IDs than this.
const maxTokens = 2 * activeConnIDLimit

// HandleConnEvent takes a change of a connection.
func (e *Endpoint) HandleConnEvent(now monotime.Time, ref ConnRef, ev EndpointEvent) {
	e.clamp(now)
	c := e.conns[ref]
	if c == nil {
		return
	}
	switch ev.Kind {
	case AddConnID:
		c.ids = append(c.ids, ev.ConnID)
		e.ids[ev.ConnID] = idEntry{ref: ref}
	case RetireConnID:
		if i := slices.Index(c.ids, ev.ConnID); i >= 0 {
			c.ids = slices.Delete(c.ids, i, i+1)
			delete(e.ids, ev.ConnID)
		}
	case AddResetToken:
		if len(c.tokens) < maxTokens && !slices.Contains(c.tokens, ev.Token) {
			c.tokens = append(c.tokens, ev.Token)
			e.tokens[ev.Token] = tokenEntry{ref, ev.Path.Remote}
		}
	case RemoveResetToken:
		if i := slices.Index(c.tokens, ev.Token); i >= 0 {
			c.tokens = slices.Delete(c.tokens, i, i+1)
			delete(e.tokens, ev.Token)
		}
	case HandshakeDone:
		e.finishHandshake(c)
	case ConnClosed:
		e.finishHandshake(c)
		if c.server {
			delete(e.initials, c.initial)
		}
		for _, t := range c.tokens {
			delete(e.tokens, t)
		}
		e.keepRemnant(c, ev.Remnant)
		delete(e.conns, ref)
	}
}

func (e *Endpoint) finishHandshake(c *connEntry) {
	if !c.finishing {
		c.finishing = true
		e.handshakes--
	}
}

// CheckInvariants verifies what must hold between any two calls.
func (e *Endpoint) CheckInvariants() error {
	ids, tokens, servers, unfinished := 0, 0, 0, 0
	for _, c := range e.conns {
		ids += len(c.ids)
		tokens += len(c.tokens)
		if c.server {
			servers++
		}
		if !c.finishing {
			unfinished++
		}
	}
	for _, r := range e.remnants {
		ids += len(r.ids)
	}
	switch {
	case ids != len(e.ids):
		return fmt.Errorf("%d connection IDs routed, %d known", len(e.ids), ids)
	case tokens != len(e.tokens):
		return fmt.Errorf("%d reset tokens known, %d owned", len(e.tokens), tokens)
	case len(e.initials) > servers:
		return fmt.Errorf("%d clients' IDs for %d connections", len(e.initials), servers)
	case unfinished != e.handshakes:
		return fmt.Errorf("%d handshakes counted, %d there", e.handshakes, unfinished)
	case len(e.remnants) > maxRemnants:
		return fmt.Errorf("%d remnants", len(e.remnants))
	}
	return e.hellos.check(e.cfg.HelloBytes)
}
