package s2n

import (
	"sync"
	"time"

	"github.com/pqquic/pqquic/cgo/s2n"
)

// maxTickets bounds what an endpoint keeps; each is a few hundred bytes of C memory.
const maxTickets = 256

// A ticketCache holds a client's tickets, the newest for each server name. A ticket serves once:
// used twice it would let an observer link the connections.
type ticketCache struct {
	mu     sync.Mutex
	byName map[string]cachedTicket
	closed bool
}

type cachedTicket struct {
	ticket  *s2n.Ticket
	expires time.Time
}

// put keeps a ticket and takes ownership of it.
func (c *ticketCache) put(name string, t *s2n.Ticket, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		t.Close()
		return
	}
	if c.byName == nil {
		c.byName = make(map[string]cachedTicket)
	}
	if old, ok := c.byName[name]; ok {
		old.ticket.Close()
	} else if len(c.byName) >= maxTickets {
		c.evict(now)
	}
	c.byName[name] = cachedTicket{t, now.Add(time.Duration(t.Lifetime()) * time.Second)}
}

// evict drops what has expired, or else the ticket that expires first.
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

// take hands a ticket to the caller, who closes it; nil if there is none that is still good.
func (c *ticketCache) take(name string, now time.Time) *s2n.Ticket {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, ok := c.byName[name]
	if !ok {
		return nil
	}
	delete(c.byName, name)
	if now.After(t.expires) {
		t.ticket.Close()
		return nil
	}
	return t.ticket
}

// clear drops all tickets; with close, those that sessions still bring, too.
func (c *ticketCache) clear(close bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = c.closed || close
	for _, t := range c.byName {
		t.ticket.Close()
	}
	c.byName = nil
}
