package sim

import (
	"container/heap"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"time"

	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// A World has the virtual time and the events that will happen.
type World struct {
	Seed uint64
	Rand *rand.Rand

	now    monotime.Time
	queue  eventHeap
	serial uint64
	err    error
	steps  int
	// digest covers every datagram and its time.
	digest uint32
	// MaxSteps bounds the number of steps, in case a state machine stays busy while no time passes.
	MaxSteps int
	// CheckAlways causes invariants to be checked after every step, however long the run is.
	CheckAlways bool

	nodes []*Node
}

// A check of a connection takes time proportional to the number of packets in flight, which is tens of
// thousands on a fast, long path. Each connection and each Endpoint is therefore checked after each of its
// first alwaysChecked steps, then after every checkInterval-th step, and when a run ends.
const (
	alwaysChecked = 2000
	checkInterval = 64
)

// checkDue counts a step in n and reports whether to check invariants after it.
func (w *World) checkDue(n *int) bool {
	*n++
	return *n <= alwaysChecked || *n%checkInterval == 0 || w.CheckAlways
}

// checkAll checks every Endpoint and every connection.
func (w *World) checkAll() {
	for _, n := range w.nodes {
		n.check()
		for _, c := range n.Conns {
			c.check()
		}
	}
}

// NewWorld returns a world whose events are determined by seed.
func NewWorld(seed uint64) *World {
	return &World{Seed: seed, Rand: rand.New(rand.NewPCG(seed, 0x5eed)), now: monotime.Time(time.Second),
		MaxSteps: 5_000_000}
}

// Now returns the virtual time.
func (w *World) Now() monotime.Time { return w.now }

// At schedules f to run at time t.
func (w *World) At(t monotime.Time, f func()) {
	if t.Before(w.now) {
		t = w.now
	}
	w.serial++
	heap.Push(&w.queue, event{t, w.serial, f})
}

// sent adds a datagram to the digest.
func (w *World) sent(b []byte) {
	var t [8]byte
	binary.LittleEndian.PutUint64(t[:], uint64(w.now))
	w.digest = crc32.Update(crc32.Update(w.digest, castagnoli, t[:]), castagnoli, b)
}

// Digest returns a checksum of all datagrams and their times. It is equal for two worlds in which the same
// happened.
func (w *World) Digest() uint32 { return w.digest }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Fail ends the run with an error.
func (w *World) Fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf("seed %d at %v: %w", w.Seed, time.Duration(w.now), fmt.Errorf(format, args...))
	}
}

// Run runs until done, which is called after every step, returns true. It fails if limit of virtual time
// has passed or no events are left.
func (w *World) Run(limit time.Duration, done func() bool) error {
	end := w.now.Add(limit)
	for w.err == nil && !done() {
		if len(w.queue) == 0 {
			w.Fail("no events are left")
			break
		}
		e := heap.Pop(&w.queue).(event)
		if e.at.After(end) {
			w.Fail("not done within %v", limit)
			break
		}
		if w.steps++; w.steps > w.MaxSteps {
			w.Fail("more than %d steps", w.MaxSteps)
			break
		}
		w.now = e.at
		e.f()
	}
	w.checkAll()
	return w.err
}

// RunFor runs for d of virtual time.
func (w *World) RunFor(d time.Duration) error {
	end := w.now.Add(d)
	for w.err == nil && len(w.queue) > 0 && !w.queue[0].at.After(end) {
		e := heap.Pop(&w.queue).(event)
		if w.steps++; w.steps > w.MaxSteps {
			w.Fail("more than %d steps", w.MaxSteps)
			break
		}
		w.now = e.at
		e.f()
	}
	w.now = end
	w.checkAll()
	return w.err
}

type event struct {
	at     monotime.Time
	serial uint64
	f      func()
}

type eventHeap []event

func (h eventHeap) Len() int { return len(h) }
func (h eventHeap) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].serial < h[j].serial
}
func (h eventHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)   { *h = append(*h, x.(event)) }
func (h *eventHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = event{}
	*h = old[:len(old)-1]
	return e
}
