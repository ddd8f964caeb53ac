package native

import "crypto/tls"

// ticketCacheSize is how many servers a client keeps a session of.
const ticketCacheSize = 128

// A ticketCache holds an endpoint's sessions.
type ticketCache struct {
	tls.ClientSessionCache
	own bool
}

// newTicketCache uses the caller's cache if there is one.
func newTicketCache(theirs tls.ClientSessionCache) *ticketCache {
	if theirs != nil {
		return &ticketCache{theirs, false}
	}
	return &ticketCache{tls.NewLRUClientSessionCache(ticketCacheSize), true}
}

// A sessionCache is the cache as one session sees it.
type sessionCache struct {
	*ticketCache
	s *session
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
	_ = c.s.guard("tls.Config.ClientSessionCache", func() error { state, ok = c.ClientSessionCache.Get(key); return nil })
	return state, ok
}

// Put stores a session, which means that a ticket came.
func (c *sessionCache) Put(key string, state *tls.ClientSessionState) {
	err := c.s.guard("tls.Config.ClientSessionCache", func() error { c.ClientSessionCache.Put(key, state); return nil })
	if err == nil && state != nil {
		c.s.tickets++
	}
}
