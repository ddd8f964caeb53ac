package udp

import (
	"net"
	"strconv"
	"sync"
	"time"
)

// A zoneCache finds the index of the interface that the zone of a link-local address names. Interfaces come
// and go, so the kernel is asked once a minute for each zone, instead of for each datagram.
type zoneCache struct {
	mu    sync.Mutex
	zones map[string]zone
}

type zone struct {
	index int // 0 if there is no such interface
	until time.Time
}

const (
	zoneLife = time.Minute
	// maxZones bounds the cache, because an application may dial any number of zones that do not exist.
	maxZones = 256
)

// index returns the index of an interface, or 0 if the zone names none. A zone is a name or a decimal
// index.
func (c *zoneCache) index(name string) int {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if z, ok := c.zones[name]; ok && now.Before(z.until) {
		return z.index
	}
	index := 0
	if ifi, err := net.InterfaceByName(name); err == nil {
		index = ifi.Index
	} else if n, err := strconv.ParseUint(name, 10, 31); err == nil {
		index = int(n)
	}
	if c.zones == nil || len(c.zones) >= maxZones {
		c.zones = make(map[string]zone)
	}
	c.zones[name] = zone{index, now.Add(zoneLife)}
	return index
}
