package driver

import (
	"context"
	"sync"
)

// tokens holds the checkpoints that were unparked since a thread last parked at them.
type tokens struct {
	mu    sync.Mutex
	set   map[uint64]bool
	waits map[uint64]chan struct{} // closed by the next unpark
}

func newTokens() *tokens {
	return &tokens{set: make(map[uint64]bool), waits: make(map[uint64]chan struct{})}
}

func (t *tokens) unpark(id uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.set[id] = true
	if c := t.waits[id]; c != nil {
		close(c)
		delete(t.waits, id)
	}
}

// park waits for a checkpoint's token and takes it.
func (t *tokens) park(ctx context.Context, id uint64) error {
	for {
		t.mu.Lock()
		if t.set[id] {
			delete(t.set, id)
			t.mu.Unlock()
			return nil
		}
		c := t.waits[id]
		if c == nil {
			c = make(chan struct{})
			t.waits[id] = c
		}
		t.mu.Unlock()
		select {
		case <-c:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
