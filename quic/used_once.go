package quic

import (
	"sync"
	"time"
)

// usedOnce remembers which tokens or tickets have been used, so that each is used once although they are valid
// for some time. Its memory is bounded. It holds two generations of what was used. When the newer one is full or as
// old as the lifetime, it replaces the older one, which is dropped. If something in the dropped generation may still
// be valid, nothing that was issued until then is accepted any more.
type usedOnce struct {
	lifetime time.Duration
	limit    int // of a generation

	mu         sync.Mutex
	newer, old generation
	floor      int64 // what was issued at this time or before is refused
}

type generation struct {
	ids    map[[16]byte]struct{}
	since  int64 // when the first was added
	newest int64 // the latest time of issue
}

// maxClockSkew is how far the clocks of servers that share secrets may differ.
const maxClockSkew = 10 * time.Second

// usedLimit is how many tokens a generation remembers. A map of as many takes 6 MB.
const usedLimit = 1 << 17

// use reports whether id is used for the first time, and remembers it. The times are Unix times in nanoseconds.
// Someone else must have checked that id is authentic and valid at the time now.
func (u *usedOnce) use(id [16]byte, issued, now int64) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.newer.ids) >= u.limit || len(u.newer.ids) > 0 && now-u.newer.since >= int64(u.lifetime) {
		if len(u.old.ids) > 0 && now-u.newer.since < int64(u.lifetime) {
			// What is dropped was used, and so issued, before now, but perhaps by a server whose clock is ahead.
			u.floor = max(u.floor, u.old.newest)
		}
		u.old, u.newer = u.newer, generation{}
	}
	if issued <= u.floor {
		return false
	}
	for _, g := range []*generation{&u.newer, &u.old} {
		if _, used := g.ids[id]; used {
			return false
		}
	}
	if u.newer.ids == nil {
		u.newer = generation{ids: make(map[[16]byte]struct{}), since: now, newest: issued}
	}
	u.newer.ids[id] = struct{}{}
	u.newer.newest = max(u.newer.newest, issued)
	return true
}
