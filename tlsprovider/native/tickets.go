package native

import (
	"crypto/tls"
	"strconv"
)

// ticketCacheSize is how many servers a client keeps a session of.
const ticketCacheSize = 128

// A ticketCache holds an endpoint's sessions.
type ticketCache struct {
	tls.ClientSessionCache
	own        bool
	generation int // of the endpoint's identity
}

// newTicketCache uses the program's cache if there is one. An own one lives as long as the identity.
func newTicketCache(theirs tls.ClientSessionCache, generation int) *ticketCache {
	if theirs != nil {
		return &ticketCache{theirs, false, generation}
	}
	return &ticketCache{tls.NewLRUClientSessionCache(ticketCacheSize), true, generation}
}

// A sessionCache is the cache as one session sees it.
type sessionCache struct {
	*ticketCache
	s *session
}

// key makes sure that a session of the program's cache is found only by the identity that it was made with:
// SetCertificates cannot empty such a cache.
func (c *sessionCache) key(key string) string {
	if n := c.generation; n > 0 && !c.own {
		return key + "#" + strconv.Itoa(n)
	}
	return key
}

// Get takes a session out of an own cache.
//
// "Clients SHOULD NOT reuse a ticket for multiple connections."
// https://www.rfc-editor.org/rfc/rfc8446#appendix-C.4
func (c *sessionCache) Get(key string) (*tls.ClientSessionState, bool) {
	if c.own {
		state, ok := c.ClientSessionCache.Get(key)
		if ok {
			c.ClientSessionCache.Put(key, nil)
		}
		return state, ok
	}
	var state *tls.ClientSessionState
	ok := false
	_ = c.s.guard("tls.Config.ClientSessionCache", func() error { state, ok = c.ClientSessionCache.Get(c.key(key)); return nil })
	return state, ok
}

// Put stores a session, which means that a ticket came.
func (c *sessionCache) Put(key string, state *tls.ClientSessionState) {
	err := c.s.guard("tls.Config.ClientSessionCache", func() error { c.ClientSessionCache.Put(c.key(key), state); return nil })
	if err == nil && state != nil {
		c.s.tickets++
	}
}
