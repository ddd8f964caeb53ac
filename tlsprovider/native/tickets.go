package native

import (
	"crypto/tls"
	"fmt"
)

// ticketCacheSize is the number of servers of which a client keeps a session.
const ticketCacheSize = 128

// maxTicket is the maximum length of a ticket. A ClientHello with a longer one may exceed what a server accepts, and what
// a client may send before it hears from the server. A ticket of crypto/tls contains the client's certificates.
const maxTicket = 8 << 10

// ticketFits reports whether the certificates in the ticket of a connection are short enough.
func ticketFits(cs *tls.ConnectionState) bool {
	size := 1 << 10 // for the rest
	for _, c := range cs.PeerCertificates {
		size += len(c.Raw)
	}
	for _, chain := range cs.VerifiedChains {
		for _, c := range chain[1:] {
			size += len(c.Raw)
		}
	}
	return size <= maxTicket
}

// tooLong reports whether the ticket of a client's session is too long to be used.
func tooLong(state *tls.ClientSessionState) bool {
	if state == nil {
		return false // a session is removed
	}
	ticket, _, err := state.ResumptionState()
	return err != nil || len(ticket) > maxTicket
}

// A ticketCache holds the sessions that an endpoint can resume.
type ticketCache struct {
	tls.ClientSessionCache
	own    bool
	suffix string // of keys
}

// newTicketCache returns a cache that uses the program's cache, or, if that is nil, a new cache for the
// endpoint's current certificates. Several endpoints may have the program's cache, and SetCertificates cannot clear it, so
// that its keys name the configuration and its generation.
func newTicketCache(theirs tls.ClientSessionCache, binding [32]byte, generation int) *ticketCache {
	if theirs != nil {
		return &ticketCache{theirs, false, fmt.Sprintf("#%x#%d", binding[:16], generation)}
	}
	return &ticketCache{tls.NewLRUClientSessionCache(ticketCacheSize), true, ""}
}

// A sessionCache is the cache as one session sees it.
type sessionCache struct {
	*ticketCache
	s *session
}

// key returns the key of a session in the cache, which depends on the QUIC version.
//
// "Clients MUST NOT use a session ticket or token from a QUIC version 1 connection to initiate a QUIC version 2
// connection, and vice versa."
// https://www.rfc-editor.org/rfc/rfc9369#section-5-1
func (c *sessionCache) key(key string) string {
	if c.s.quicVersion == version2 {
		key = "QUIC version 2 " + key
	}
	return key + c.suffix
}

// Get implements tls.ClientSessionCache. It removes the session from the endpoint's own cache.
//
// "Clients SHOULD NOT reuse a ticket for multiple connections."
// https://www.rfc-editor.org/rfc/rfc8446#appendix-C.4
func (c *sessionCache) Get(key string) (*tls.ClientSessionState, bool) {
	if c.own {
		state, ok := c.ClientSessionCache.Get(c.key(key))
		if ok {
			c.ClientSessionCache.Put(c.key(key), nil)
		}
		return state, ok
	}
	var state *tls.ClientSessionState
	ok := false
	_ = c.s.guard("tls.Config.ClientSessionCache", func() error { state, ok = c.ClientSessionCache.Get(c.key(key)); return nil })
	return state, ok
}

// Put implements tls.ClientSessionCache. crypto/tls calls it when a ticket arrives.
func (c *sessionCache) Put(key string, state *tls.ClientSessionState) {
	if tooLong(state) {
		return
	}
	var err error
	if c.own {
		c.ClientSessionCache.Put(c.key(key), state)
	} else {
		err = c.s.guard("tls.Config.ClientSessionCache", func() error { c.ClientSessionCache.Put(c.key(key), state); return nil })
	}
	if err == nil && state != nil {
		c.s.tickets++
	}
}
