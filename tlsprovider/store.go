package tlsprovider

import (
	"bytes"
	"container/list"
	"encoding/binary"
	"errors"
	"sync"
)

// A ClientStore keeps what servers gave a client for its next connections: TLS sessions (Config.ClientStore) and
// address tokens (quic.Config.TokenStore). One store can keep both, and can be shared by any number of clients. The
// methods may be called concurrently. They must not block, because they are called on goroutines that serve all
// connections. [NewClientStore] returns a store in memory that can be saved.
//
// A session contains secrets. Anyone who reads it can resume it in place of the client, and decrypt the early data that
// were sent with it.
type ClientStore interface {
	// Put keeps a value. The store may drop this one, or another, at any time. It must not change value, and may
	// keep the slice.
	Put(key string, value []byte)
	// Take returns the newest value of a key and removes it, so that no value is used twice. It returns nil if
	// there is none.
	Take(key string) []byte
}

// A ClientCache is a ClientStore in memory. It keeps a limited number of keys, and drops the one that was used
// least recently.
type ClientCache struct {
	keys, values int // the limits

	mu    sync.Mutex
	order list.List // of *cacheEntry, the one used last in front
	byKey map[string]*list.Element
}

type cacheEntry struct {
	key    string
	values [][]byte // oldest first
}

// NewClientStore returns a store in memory for at most keys keys with at most values values each. 0 means 256 keys
// and 4 values.
func NewClientStore(keys, values int) *ClientCache {
	if keys <= 0 {
		keys = 256
	}
	if values <= 0 {
		values = 4
	}
	return &ClientCache{keys: keys, values: values, byKey: make(map[string]*list.Element)}
}

// Put implements ClientStore.
func (c *ClientCache) Put(key string, value []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put(key, value)
}

func (c *ClientCache) put(key string, value []byte) {
	at := c.byKey[key]
	if at == nil {
		if len(c.byKey) >= c.keys {
			c.remove(c.order.Back())
		}
		at = c.order.PushFront(&cacheEntry{key: key})
		c.byKey[key] = at
	}
	c.order.MoveToFront(at)
	e := at.Value.(*cacheEntry)
	if len(e.values) >= c.values {
		e.values = append(e.values[:0], e.values[1:]...)
	}
	e.values = append(e.values, value)
}

func (c *ClientCache) remove(at *list.Element) {
	c.order.Remove(at)
	delete(c.byKey, at.Value.(*cacheEntry).key)
}

// Take implements ClientStore.
func (c *ClientCache) Take(key string) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.byKey[key]
	if at == nil {
		return nil
	}
	c.order.MoveToFront(at)
	e := at.Value.(*cacheEntry)
	last := len(e.values) - 1
	value := e.values[last]
	e.values[last] = nil
	if e.values = e.values[:last]; last == 0 {
		c.remove(at)
	}
	return value
}

// Clear drops everything.
func (c *ClientCache) Clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.order.Init()
	clear(c.byKey)
}

const cacheVersion = 1

// MarshalBinary returns the contents of the store, which UnmarshalBinary restores. They contain secrets if the
// store keeps sessions.
func (c *ClientCache) MarshalBinary() ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := []byte{cacheVersion}
	for at := c.order.Back(); at != nil; at = at.Prev() {
		e := at.Value.(*cacheEntry)
		out = appendCounted(out, []byte(e.key))
		out = binary.AppendUvarint(out, uint64(len(e.values)))
		for _, v := range e.values {
			out = appendCounted(out, v)
		}
	}
	return out, nil
}

var errSavedStore = errors.New("tlsprovider: the data are not the contents of a ClientCache")

// UnmarshalBinary adds what MarshalBinary saved to the store, within its limits. If it returns an error, the store
// is unchanged.
func (c *ClientCache) UnmarshalBinary(data []byte) error {
	if len(data) == 0 || data[0] != cacheVersion {
		return errSavedStore
	}
	var entries []cacheEntry
	for data = data[1:]; len(data) > 0; {
		key, rest, ok := consumeCounted(data)
		n, size := binary.Uvarint(rest)
		if !ok || size <= 0 {
			return errSavedStore
		}
		e := cacheEntry{key: string(key)}
		data = rest[size:]
		for ; n > 0; n-- {
			var v []byte
			if v, data, ok = consumeCounted(data); !ok {
				return errSavedStore
			}
			e.values = append(e.values, bytes.Clone(v))
		}
		entries = append(entries, e)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range entries {
		for _, v := range e.values {
			c.put(e.key, v)
		}
	}
	return nil
}

func appendCounted(b, data []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(data))), data...)
}

func consumeCounted(b []byte) (data, rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || n > uint64(len(b)-size) {
		return nil, nil, false
	}
	return b[size:][:n], b[size:][n:], true
}
