package main

import (
	"sync/atomic"

	"github.com/pqquic/pqquic/tlsprovider"
)

// A notifyingStore is a ClientStore of sessions that reports when it gets one.
type notifyingStore struct {
	*tlsprovider.ClientCache
	put   chan struct{} // has a value if a session was put since it was last received
	taken atomic.Bool   // a client has taken a session
}

func newNotifyingStore() *notifyingStore {
	return &notifyingStore{ClientCache: tlsprovider.NewClientStore(0, 0), put: make(chan struct{}, 1)}
}

// Put implements tlsprovider.ClientStore.
func (s *notifyingStore) Put(key string, value []byte) {
	s.ClientCache.Put(key, value)
	select {
	case s.put <- struct{}{}:
	default:
	}
}

// Take implements tlsprovider.ClientStore.
func (s *notifyingStore) Take(key string) []byte {
	value := s.ClientCache.Take(key)
	if value != nil {
		s.taken.Store(true)
	}
	return value
}
