package udp

import (
	"net"
	"strconv"
	"sync"
	"time"
)

// A zoneCache converts between the zone of a link-local address, which names an interface, and the index of
// the interface. Interfaces come and go, so the kernel is asked once a minute for each zone, instead of for
// each datagram.
type zoneCache struct {
	mu      sync.Mutex
	byName  map[string]zone
	byIndex map[int]zone
}

type zone struct {
	name  string
	index int // 0 if there is no such interface
	until time.Time
}

const (
	zoneLife = time.Minute
	// maxZones bounds both maps, because an application may dial any number of zones that do not exist.
	maxZones = 256
)

// index returns the index of an interface, or 0 if the zone names none. A zone is a name or a decimal
// index.
func (c *zoneCache) index(name string) int {
	return lookUp(c, &c.byName, name, func() zone {
		if ifi, err := net.InterfaceByName(name); err == nil {
			return zone{index: ifi.Index}
		}
		if n, err := strconv.ParseUint(name, 10, 31); err == nil {
			return zone{index: int(n)}
		}
		return zone{}
	}).index
}

// name returns the name of an interface, or the index in decimal if there is no such interface, as package
// net does.
func (c *zoneCache) name(index int) string {
	return lookUp(c, &c.byIndex, index, func() zone {
		if ifi, err := net.InterfaceByIndex(index); err == nil {
			return zone{name: ifi.Name}
		}
		return zone{name: strconv.Itoa(index)}
	}).name
}

// lookUp returns an entry of one of the maps. It calls find for an entry that is missing or too old.
func lookUp[K comparable](c *zoneCache, m *map[K]zone, key K, find func() zone) zone {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if z, ok := (*m)[key]; ok && now.Before(z.until) {
		return z
	}
	z := find()
	z.until = now.Add(zoneLife)
	if *m == nil || len(*m) >= maxZones {
		*m = make(map[K]zone)
	}
	(*m)[key] = z
	return z
}
