package s2n

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"sync"
	"time"

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

// take removes a ticket, which the caller closes. The result has none if there is no valid one, or if the session began
// before the client's certificates changed.
func (c *ticketCache) take(name string, generation int, now time.Time) cachedTicket {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, ok := c.byName[name]
	if !ok || generation != c.generation {
		return cachedTicket{}
	}
	delete(c.byName, name)
	if now.After(t.expires) {
		t.ticket.Close()
		return cachedTicket{}
	}
	return t
}

// clear drops all tickets, and those that sessions of another generation receive later.
func (c *ticketCache) clear(generation int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation = generation
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
	c.clear(0)
}

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
	if s.version != version1 {
		return fmt.Sprintf("%08x %s", s.version, s.name)
	}
	return s.name
}

// takeTicket returns a ticket, which the caller closes, or none.
func (s *session) takeTicket(now time.Time) cachedTicket {
	store := s.ep.cfg.ClientStore
	if store == nil {
		return s.ep.tickets.take(s.cacheKey(), s.generation, now)
	}
	var value []byte
	s.storeFault = tlsprovider.Guard("Config.ClientStore", func() error { value = store.Take(s.storeKey()); return nil })
	if s.storeFault != nil {
		return cachedTicket{}
	}
	return restoreTicket(value, now)
}

// putTicket stores a ticket, of which it takes ownership, and reports whether it did.
func (s *session) putTicket(t *s2n.Ticket, now time.Time) bool {
	store := s.ep.cfg.ClientStore
	if store == nil {
		return s.ep.tickets.put(s.cacheKey(), s.generation, t, s.state.PQAuth, now)
	}
	value := saveTicket(t, s.state.PQAuth, now)
	t.Close()
	s.storeFault = tlsprovider.Guard("Config.ClientStore", func() error { store.Put(s.storeKey(), value); return nil })
	return s.storeFault == nil
}

// A saved ticket is
//
//	version, 1 byte
//	checksum of what follows, 4 bytes
//	time at which it expires, in seconds since 1970, 8 bytes
//	lifetime in seconds, 4 bytes
//	1 if the server's authentication was post-quantum, or 0
//	the ticket as s2n-tls encodes it
//
// The checksum detects values that a store has damaged, because s2n-tls does not check all of what it reads. Against those
// who can choose a value there is no protection: they could as well resume the session.
const (
	savedVersion = 1
	savedHeader  = 1 + 4
	savedFields  = 8 + 4 + 1
)

func saveTicket(t *s2n.Ticket, pqAuth bool, now time.Time) []byte {
	lifetime := t.Lifetime()
	b := append(make([]byte, 0, 512), savedVersion, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint64(b, uint64(now.Unix())+uint64(lifetime))
	b = append(binary.BigEndian.AppendUint32(b, lifetime), 0)
	if pqAuth {
		b[len(b)-1] = 1
	}
	secret := t.Save()
	b = append(b, secret...)
	clear(secret)
	binary.BigEndian.PutUint32(b[1:], crc32.ChecksumIEEE(b[savedHeader:]))
	return b
}

// restoreTicket returns the ticket of a value that saveTicket has returned. If it is not one, or has expired, there is none.
func restoreTicket(b []byte, now time.Time) (t cachedTicket) {
	if len(b) <= savedHeader+savedFields || b[0] != savedVersion ||
		binary.BigEndian.Uint32(b[1:]) != crc32.ChecksumIEEE(b[savedHeader:]) {
		return t
	}
	b = b[savedHeader:]
	if now.Unix() > int64(binary.BigEndian.Uint64(b)) {
		return t
	}
	t.ticket, t.pqAuth = s2n.RestoreTicket(b[savedFields:], binary.BigEndian.Uint32(b[8:])), b[12] == 1
	return t
}
