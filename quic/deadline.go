package quic

import (
	"sync"
	"time"
)

// A deadline is a point in time that goroutines can wait for while others move it. The zero value never
// passes.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer
	// passed is closed at the deadline. It stays the same channel while the deadline moves, so
	// that goroutines that wait for it wait for the new time.
	passed   chan struct{}
	isPassed bool
	stopped  bool
	moves    int // number of moves, by which a late timer detects that the deadline has moved
}

// set moves the deadline; the zero time means never. After stop, it has no effect.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.stopped {
		d.move(t)
	}
}

// stop ends the timer for good. A timer would keep the stream in memory until the deadline.
func (d *deadline) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopped = true
	d.move(time.Time{})
}

// move sets the timer. mu is held.
func (d *deadline) move(t time.Time) {
	d.moves++
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	if d.isPassed {
		d.isPassed, d.passed = false, nil
	}
	if t.IsZero() {
		return
	}
	left := time.Until(t)
	if left <= 0 {
		d.pass()
		return
	}
	move := d.moves
	d.timer = time.AfterFunc(left, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.moves == move {
			d.pass()
		}
	})
}

func (d *deadline) pass() {
	d.isPassed = true
	if d.passed != nil {
		close(d.passed)
	}
}

// done returns a channel that is closed when the deadline passes.
func (d *deadline) done() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.passed == nil {
		d.passed = make(chan struct{})
		if d.isPassed {
			close(d.passed)
		}
	}
	return d.passed
}

func (d *deadline) expired() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.isPassed
}
