package s2n

import (
	"encoding/hex"
	"fmt"
	"sync"
	"time"

	"github.com/pqquic/pqquic/cgo/awslc"
	"github.com/pqquic/pqquic/cgo/s2n"
	"github.com/pqquic/pqquic/tlsprovider"
)

// maxTickets is the maximum number of tickets of an endpoint. Each takes a few hundred bytes of C memory.
const maxTickets = 256

// A ticketCache holds a client's tickets, the newest for each server name. A ticket is used once, because an
// observer could link two connections with the same ticket.
type ticketCache struct {
	mu         sync.Mutex
	byName     map[string]cachedTicket
	generation int // counts changes of the client's certificates
	closed     bool
}

type cachedTicket struct {
	ticket  *s2n.Ticket
	expires time.Time
	pqAuth  bool // State.PQAuth of the handshake that the ticket comes from
}

// put stores a ticket, of which it takes ownership, and reports whether it did. It drops the ticket of a session
// that began before the client's certificates changed.
func (c *ticketCache) put(name string, generation int, t *s2n.Ticket, pqAuth bool, now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || generation != c.generation {
		t.Close()
		return false
	}
	if c.byName == nil {
		c.byName = make(map[string]cachedTicket)
	}
	if old, ok := c.byName[name]; ok {
		old.ticket.Close()
	} else if len(c.byName) >= maxTickets {
		c.evict(now)
	}
	c.byName[name] = cachedTicket{t, now.Add(time.Duration(t.Lifetime()) * time.Second), pqAuth}
	return true
}

// evict drops the expired tickets. If there are none, it drops the ticket that expires first.
func (c *ticketCache) evict(now time.Time) {
	var first string
	dropped := false
	for name, t := range c.byName {
		if now.After(t.expires) {
			t.ticket.Close()
			delete(c.byName, name)
			dropped = true
			continue
		}
		if first == "" || t.expires.Before(c.byName[first].expires) {
			first = name
		}
	}
	if !dropped {
		c.byName[first].ticket.Close()
		delete(c.byName, first)
	}
}

// take removes a ticket, which the caller closes. The result has none if there is no valid one. The session passes
// generation to put.
func (c *ticketCache) take(name string, now time.Time) (t cachedTicket, generation int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, ok := c.byName[name]
	if !ok {
		return cachedTicket{}, c.generation
	}
	delete(c.byName, name)
	if now.After(t.expires) {
		t.ticket.Close()
		return cachedTicket{}, c.generation
	}
	return t, c.generation
}

// clear drops all tickets, and those that existing sessions receive later.
func (c *ticketCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	for _, t := range c.byName {
		t.ticket.Close()
	}
	c.byName = nil
}

// close drops all tickets. The cache stores no others afterwards.
func (c *ticketCache) close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.clear()
}

// stored are the tickets of clients that have a Config.ClientStore. The store gets a random name for each, because the
// secret of a ticket stays in C. A ticket whose name a store drops is freed when its time has passed or there are too
// many. If there is no ticket of a name, because another process made it, the handshake is a full one.
var stored ticketCache

// storeKey returns the key of the session's server in Config.ClientStore.
func (s *session) storeKey() string {
	return tlsprovider.SessionKey(Name, s.version, s.binding, s.name)
}

// cacheKey returns the key of the session's server in the endpoint's own cache.
//
// "Clients MUST NOT use a session ticket or token from a QUIC version 1 connection to initiate a QUIC version 2
// connection, and vice versa."
// https://www.rfc-editor.org/rfc/rfc9369#section-5-1
func (s *session) cacheKey() string {
	if s.version != 1 {
		return fmt.Sprintf("%08x %s", s.version, s.name)
	}
	return s.name
}

// takeTicket returns a ticket, which the caller closes, or none.
func (s *session) takeTicket(now time.Time) (t cachedTicket, generation int) {
	store := s.ep.cfg.ClientStore
	if store == nil {
		return s.ep.tickets.take(s.cacheKey(), now)
	}
	var name []byte
	err := tlsprovider.Guard("Config.ClientStore", func() error { name = store.Take(s.storeKey()); return nil })
	if err != nil || name == nil {
		s.storeFault = err
		return cachedTicket{}, 0
	}
	t, _ = stored.take(string(name), now)
	return t, 0
}

// putTicket stores a ticket, of which it takes ownership, and reports whether it did.
func (s *session) putTicket(t *s2n.Ticket, now time.Time) bool {
	store := s.ep.cfg.ClientStore
	if store == nil {
		return s.ep.tickets.put(s.cacheKey(), s.generation, t, s.state.PQAuth, now)
	}
	var random [16]byte
	if _, err := awslc.Rand.Read(random[:]); err != nil {
		t.Close()
		return false
	}
	name := hex.EncodeToString(random[:])
	if !stored.put(name, 0, t, s.state.PQAuth, now) {
		return false
	}
	s.storeFault = tlsprovider.Guard("Config.ClientStore", func() error { store.Put(s.storeKey(), []byte(name)); return nil })
	return s.storeFault == nil
}
