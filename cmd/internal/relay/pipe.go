package relay

import (
	"container/heap"
	"sync"
	"time"
)

// maxQueued bounds the queued datagrams of one direction.
const maxQueued = 1 << 16

// pipe is one direction of the path. Datagrams leave it when they are due.
type pipe struct {
	mu     sync.Mutex
	queue  arrivals
	order  uint64    // of arrival, to break ties
	free   time.Time // when the bottleneck will have sent everything that is queued
	last   time.Time // when the last datagram that keeps its order leaves
	wake   chan struct{}
	closed bool
}

// arrival is a queued datagram.
type arrival struct {
	at    time.Time
	order uint64
	data  []byte
	send  func([]byte)
}

func newPipe(wait *sync.WaitGroup) *pipe {
	p := &pipe{wake: make(chan struct{}, 1)}
	wait.Go(p.run)
	return p
}

// push queues a copy of a datagram. It returns false if the queue is full.
func (p *pipe) push(l *Link, b []byte, wait time.Duration, late bool, send func([]byte)) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	leave := now
	if l.Rate > 0 {
		if p.free.Before(now) {
			p.free = now
		}
		limit := l.Queue
		if limit == 0 {
			limit = defaultQueue
		}
		if backlog := p.free.Sub(now).Seconds() * float64(l.Rate); int(backlog)+len(b) > limit {
			return false
		}
		p.free = p.free.Add(time.Duration(int64(len(b)) * int64(time.Second) / l.Rate))
		leave = p.free
	}
	if len(p.queue) >= maxQueued {
		return false
	}
	at := leave.Add(wait)
	switch {
	case late:
		by := l.ReorderBy
		if by == 0 {
			by = l.Delay
		}
		at = at.Add(by)
	case at.Before(p.last):
		at = p.last
	default:
		p.last = at
	}
	p.order++
	heap.Push(&p.queue, arrival{at: at, order: p.order, data: append([]byte(nil), b...), send: send})
	p.signal()
	return true
}

func (p *pipe) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *pipe) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.signal()
}

// run delivers datagrams until the pipe is closed.
func (p *pipe) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		p.mu.Lock()
		if p.closed {
			p.mu.Unlock()
			return
		}
		wait := time.Hour
		var due *arrival
		if len(p.queue) > 0 {
			if wait = time.Until(p.queue[0].at); wait <= 0 {
				a := heap.Pop(&p.queue).(arrival)
				due = &a
			}
		}
		p.mu.Unlock()
		if due != nil {
			due.send(due.data)
			continue
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-p.wake:
		}
	}
}

// arrivals is a heap of datagrams, ordered by when they are due.
type arrivals []arrival

func (q arrivals) Len() int { return len(q) }
func (q arrivals) Less(i, j int) bool {
	if q[i].at.Equal(q[j].at) {
		return q[i].order < q[j].order
	}
	return q[i].at.Before(q[j].at)
}
func (q arrivals) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *arrivals) Push(x any)   { *q = append(*q, x.(arrival)) }
func (q *arrivals) Pop() any {
	old := *q
	a := old[len(old)-1]
	old[len(old)-1] = arrival{}
	*q = old[:len(old)-1]
	return a
}
