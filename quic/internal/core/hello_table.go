package core

import (
	"container/heap"
	"fmt"

	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// helloTable holds the clients whose ClientHello is incomplete. Each has two keys: a client that has heard
// our acknowledgement goes on with the ID in it.
type helloTable struct {
	byKey    map[initialKey]*hello
	byExpiry helloHeap
	bytes    int
}

// len is the number of clients.
func (t *helloTable) len() int { return len(t.byExpiry) }

func (t *helloTable) init() { t.byKey = make(map[initialKey]*hello) }

func (t *helloTable) add(h *hello) {
	t.byKey[h.key] = h
	t.byKey[h.key2()] = h
	heap.Push(&t.byExpiry, h)
}

func (t *helloTable) remove(h *hello) {
	delete(t.byKey, h.key)
	delete(t.byKey, h.key2())
	t.bytes -= h.bytes
	h.sealer.Close()
	heap.Remove(&t.byExpiry, h.at)
}

func (t *helloTable) setExpiry(h *hello, expires monotime.Time) {
	h.expires = expires
	heap.Fix(&t.byExpiry, h.at)
}

func (t *helloTable) next() monotime.Time {
	if len(t.byExpiry) > 0 {
		return t.byExpiry[0].expires
	}
	return 0
}

func (t *helloTable) expired(now monotime.Time) *hello {
	if due(t.next(), now) {
		return t.byExpiry[0]
	}
	return nil
}

func (t *helloTable) check(limit int) error {
	sum := 0
	for i, h := range t.byExpiry {
		sum += h.bytes
		switch {
		case h.at != i || t.byKey[h.key] != h || t.byKey[h.key2()] != h:
			return fmt.Errorf("ClientHello %d of %d cannot be found", i, len(t.byExpiry))
		case h.bytes > maxHelloBytes || h.have.NumRanges() > maxHelloGaps:
			return fmt.Errorf("ClientHello with %d bytes, %d gaps", h.bytes, h.have.NumRanges())
		}
	}
	if sum != t.bytes || sum > limit {
		return fmt.Errorf("%d bytes of ClientHellos counted, %d there, %d allowed", t.bytes, sum, limit)
	}
	return nil
}

// helloHeap has the one that expires first in front.
type helloHeap []*hello

func (q helloHeap) Len() int           { return len(q) }
func (q helloHeap) Less(i, j int) bool { return q[i].expires.Before(q[j].expires) }
func (q helloHeap) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].at, q[j].at = i, j
}

func (q *helloHeap) Push(x any) {
	h := x.(*hello)
	h.at = len(*q)
	*q = append(*q, h)
}

func (q *helloHeap) Pop() any {
	last := len(*q) - 1
	h := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return h
}
