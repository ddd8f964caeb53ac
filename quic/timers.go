package quic

import (
	"sync"
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// A clock counts from its start, so that it works with the fake clock of package testing/synctest, where
// time.Now has no monotonic reading.
type clock struct{ start time.Time }

func newClock() clock { return clock{start: time.Now()} }

// now returns the time. It never returns the zero Time, which means "none".
func (c clock) now() monotime.Time { return monotime.Time(time.Since(c.start) + 1) }

// timers holds the next deadline of every connection of an Endpoint, and of the Endpoint itself, in one
// heap. One goroutine waits for the earliest with one runtime timer.
//
// Most deadlines move to a later time before they pass. Such a move only changes want. The heap is
// corrected when the old time (at) is reached.
type timers struct {
	mu    sync.Mutex
	heap  []*timerItem
	armed monotime.Time // the time until which the goroutine sleeps; zero if it has no timer set
	wake  waker
}

// A timerItem is one deadline. The mutex of its timers guards it.
type timerItem struct {
	conn  *Conn         // nil for the Endpoint's deadline
	want  monotime.Time // zero if there is no deadline
	at    monotime.Time // the key in the heap, not after want
	index int           // place in the heap, from 1; 0 if it is not in the heap

	// last is the deadline that the owner set last, or zero after it has fired. The mutex of the Conn or the
	// Endpoint guards it.
	last monotime.Time
}

// update is set for the owner of a deadline, which it rarely changes: most packets leave the Endpoint's as it
// is, and most calls of the application their connection's. These do not take the lock of the timers, which
// all connections share. The owner sets last to zero when the deadline fires.
func (t *timers) update(it *timerItem, want monotime.Time) {
	if want != it.last {
		it.last = want
		t.set(it, want)
	}
}

// set moves a deadline; the zero Time removes it.
func (t *timers) set(it *timerItem, want monotime.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	it.want = want
	switch {
	case want.IsZero():
		if it.index != 0 {
			t.remove(it)
		}
		return
	case it.index == 0:
		it.at = want
		t.heap = append(t.heap, it)
		it.index = len(t.heap)
		t.up(it.index)
	case want.Before(it.at):
		it.at = want
		t.up(it.index)
	default:
		return
	}
	if t.armed.IsZero() || want.Before(t.armed) {
		t.armed = want
		t.wake.wake()
	}
}

// expire removes the items whose time has come from the heap, appends them to due, and returns the time of
// the next one.
func (t *timers) expire(now monotime.Time, due []*timerItem) ([]*timerItem, monotime.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.heap) > 0 && !t.heap[0].at.After(now) {
		it := t.heap[0]
		if it.want.After(now) {
			it.at = it.want
			t.down(1)
			continue
		}
		t.remove(it)
		due = append(due, it)
	}
	t.armed = monotime.Time(0)
	if len(t.heap) > 0 {
		t.armed = t.heap[0].at
	}
	return due, t.armed
}

// The heap's places count from 1: the children of i are 2i and 2i+1.

func (t *timers) place(it *timerItem, i int) { t.heap[i-1], it.index = it, i }

func (t *timers) up(i int) {
	it := t.heap[i-1]
	for i > 1 && it.at.Before(t.heap[i/2-1].at) {
		t.place(t.heap[i/2-1], i)
		i /= 2
	}
	t.place(it, i)
}

func (t *timers) down(i int) {
	it := t.heap[i-1]
	for {
		child := 2 * i
		if child > len(t.heap) {
			break
		}
		if child < len(t.heap) && t.heap[child].at.Before(t.heap[child-1].at) {
			child++
		}
		if !t.heap[child-1].at.Before(it.at) {
			break
		}
		t.place(t.heap[child-1], i)
		i = child
	}
	t.place(it, i)
}

func (t *timers) remove(it *timerItem) {
	i, last := it.index, t.heap[len(t.heap)-1]
	t.heap[len(t.heap)-1] = nil
	t.heap = t.heap[:len(t.heap)-1]
	it.index = 0
	if last != it {
		t.place(last, i)
		t.up(i)
		t.down(last.index)
	}
}

// timerLoop handles deadlines until the Endpoint closes. It serves all connections, so it does not send:
// see Conn.dispatch.
//
// due are items that an earlier call took and did not handle, because a callback called runtime.Goexit.
func (e *Endpoint) timerLoop(due []*timerItem) {
	ended := false
	defer func() {
		if !ended {
			go e.timerLoop(due)
			return
		}
		e.running.Done()
	}()
	clockTimer := time.NewTimer(time.Hour)
	defer clockTimer.Stop()
	batch := due
	for {
		now := e.clock.now()
		for len(due) > 0 {
			it := due[0]
			due[0], due = nil, due[1:]
			if it.conn == nil {
				e.handleTimeout(now)
			} else {
				it.conn.handleTimeout(now)
			}
		}
		var next monotime.Time
		batch, next = e.timers.expire(now, batch[:0])
		if due = batch; len(due) > 0 {
			continue
		}
		var tick <-chan time.Time
		if !next.IsZero() {
			clockTimer.Reset(next.Sub(now))
			tick = clockTimer.C
		}
		select {
		case <-tick:
		case <-e.timers.wake:
		case <-e.closed:
			ended = true
			return
		}
	}
}
