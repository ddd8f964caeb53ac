package quic

import (
	"sync"
	"time"
)

// A deadline is a point in time at which the calls of a side fail. The zero value never passes. The connection's mu guards it.
type deadline struct {
	timer    *time.Timer // nil if none runs
	isPassed bool
	stopped  bool
}

// set moves the deadline; the zero time means never. After stop, it has no effect. At the deadline, the goroutine that sleeps on *ready
// is woken, and finds isPassed set unless the deadline has moved. mu, the connection's, is held.
func (d *deadline) set(t time.Time, mu *sync.Mutex, ready *waker) {
	if d.stopped {
		return
	}
	d.clear()
	if t.IsZero() {
		return
	}
	pass := func() {
		d.isPassed = true
		ready.wake()
	}
	left := time.Until(t)
	if left <= 0 {
		pass()
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(left, func() {
		mu.Lock()
		defer mu.Unlock()
		if d.timer == timer { // otherwise the deadline has moved
			pass()
		}
	})
	d.timer = timer
}

// clear makes the deadline never pass.
func (d *deadline) clear() {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.isPassed = false
}

// stop ends the timer for good. A timer would keep the stream in memory until the deadline.
func (d *deadline) stop() {
	d.clear()
	d.stopped = true
}
