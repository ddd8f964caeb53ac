package http3

import (
	"net"
	"slices"
	"strconv"
	"sync"
	"time"
)

// An altCache has the alternatives of origins, of at most max. The origin whose alternatives expire first gives way to a new one.
type altCache struct {
	mu      sync.Mutex
	max     int
	origins map[string]*originAlternatives
}

// originAlternatives are the alternatives of an origin. An empty list says that there are none until it expires.
type originAlternatives struct {
	list    []alternative
	expires time.Time
	broken  map[string]brokenAlternative // by address, of those in the list
}

// A brokenAlternative has failed.
type brokenAlternative struct {
	failures int
	until    time.Time // it is not used before
}

const (
	// shortestBreak is how long an alternative is not used after its first failure, and longestBreak after many.
	shortestBreak, longestBreak = 5 * time.Minute, 48 * time.Hour
	// negativeAge is how long an origin without alternatives is remembered.
	negativeAge = 5 * time.Minute
)

// get returns the first alternative that is fresh and not broken, or "", and whether something is known of the origin.
func (c *altCache) get(origin string, now time.Time) (addr string, isKnown bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.origins[origin]
	if o == nil {
		return "", false
	}
	if !now.Before(o.expires) {
		delete(c.origins, origin)
		return "", false
	}
	for _, a := range o.list {
		if now.Before(a.expires) && !now.Before(o.broken[a.addr].until) {
			return a.addr, true
		}
	}
	return "", true
}

// put replaces the alternatives of an origin. Those that were broken stay so.
func (c *altCache) put(origin string, list []alternative, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := &originAlternatives{list: list, expires: now.Add(negativeAge)}
	for _, a := range list {
		if a.expires.After(o.expires) {
			o.expires = a.expires
		}
	}
	old := c.origins[origin]
	if old != nil {
		for _, a := range list {
			if b, has := old.broken[a.addr]; has {
				o.setBroken(a.addr, b)
			}
		}
	} else if len(c.origins) >= c.max {
		c.evict()
	}
	if c.origins == nil {
		c.origins = make(map[string]*originAlternatives)
	}
	c.origins[origin] = o
}

// evict removes the origin that expires first. mu is held.
func (c *altCache) evict() {
	first := ""
	for origin, o := range c.origins {
		if first == "" || o.expires.Before(c.origins[first].expires) {
			first = origin
		}
	}
	delete(c.origins, first)
}

func (o *originAlternatives) setBroken(addr string, b brokenAlternative) {
	if o.broken == nil {
		o.broken = make(map[string]brokenAlternative)
	}
	o.broken[addr] = b
}

// failed notes that an alternative did not work.
func (c *altCache) failed(origin, addr string, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.origins[origin]
	if o == nil || !o.has(addr) {
		return
	}
	b := o.broken[addr]
	if now.Before(b.until) {
		return // another request has noted it
	}
	b.failures++
	b.until = now.Add(min(shortestBreak<<min(b.failures-1, 20), longestBreak))
	o.setBroken(addr, b)
}

func (o *originAlternatives) has(addr string) bool {
	return slices.ContainsFunc(o.list, func(a alternative) bool { return a.addr == addr })
}

// worked notes that an alternative works.
func (c *altCache) worked(origin, addr string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if o := c.origins[origin]; o != nil {
		delete(o.broken, addr)
	}
}

// remove removes one alternative of an origin.
func (c *altCache) remove(origin, addr string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if o := c.origins[origin]; o != nil {
		o.list = slices.DeleteFunc(o.list, func(a alternative) bool { return a.addr == addr })
	}
}

// forget removes an origin.
func (c *altCache) forget(origin string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.origins, origin)
}

// networkChanged removes the alternatives that do not persist, and forgets which ones are broken.
func (c *altCache) networkChanged() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for origin, o := range c.origins {
		o.broken = nil
		if o.list = slices.DeleteFunc(o.list, func(a alternative) bool { return !a.persists }); len(o.list) == 0 {
			delete(c.origins, origin)
		}
	}
}

// clear removes everything.
func (c *altCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.origins = nil
}

// recordAlternatives returns the alternatives of HTTPS records.
func recordAlternatives(records []HTTPSRecord, host, port string, now time.Time) (alts []alternative) {
	for _, r := range records {
		if !slices.Contains(r.ALPN, NextProto) || len(alts) == maxAlternatives {
			continue
		}
		h, p := host, port
		if r.Target != "" && r.Target != "." {
			h = r.Target
		}
		if r.Port != 0 {
			p = strconv.Itoa(int(r.Port))
		}
		alts = append(alts, alternative{addr: net.JoinHostPort(h, p), expires: now.Add(r.TTL)})
	}
	return alts
}
