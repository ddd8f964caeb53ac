package core

import (
	"fmt"

	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// helloTable holds the clients whose ClientHello is incomplete, in the order in which they came, which is
// that in which they expire. Each has two keys: a client that has heard our acknowledgement goes on with
// the ID in it.
type helloTable struct {
	byKey map[initialKey]*hello
	queue []*hello // with nils
	head  int
	bytes int
}

// len is the number of clients.
func (t *helloTable) len() int { return len(t.byKey) / 2 }

func (t *helloTable) init() { t.byKey = make(map[initialKey]*hello) }

func (t *helloTable) add(h *hello) {
	t.byKey[h.key] = h
	t.byKey[h.key2()] = h
	h.at = len(t.queue)
	t.queue = append(t.queue, h)
}

func (t *helloTable) remove(h *hello) {
	delete(t.byKey, h.key)
	delete(t.byKey, h.key2())
	t.bytes -= h.bytes
	h.sealer.Close()
	t.unqueue(h)
}

// extend gives a client that goes on sending more time. What we have acknowledged, it will not send
// again: to forget that early would end the connection.
func (t *helloTable) extend(h *hello, expires monotime.Time) {
	if expires.After(h.expires) {
		t.unqueue(h)
		h.expires, h.at = expires, len(t.queue)
		t.queue = append(t.queue, h)
	}
}

func (t *helloTable) unqueue(h *hello) {
	t.queue[h.at] = nil
	for t.head < len(t.queue) && t.queue[t.head] == nil {
		t.head++
	}
	if t.head > len(t.queue)/2 {
		t.queue = append(t.queue[:0], t.queue[t.head:]...)
		t.head = 0
		for i, h := range t.queue {
			if h != nil {
				h.at = i
			}
		}
	}
}

func (t *helloTable) next() monotime.Time {
	if t.head < len(t.queue) {
		return t.queue[t.head].expires
	}
	return 0
}

func (t *helloTable) expired(now monotime.Time) *hello {
	if due(t.next(), now) {
		return t.queue[t.head]
	}
	return nil
}

func (t *helloTable) check(limit int) error {
	sum := 0
	for key, h := range t.byKey {
		if key != h.key {
			continue
		}
		sum += h.bytes
		if h.bytes > maxHelloBytes || h.have.NumRanges() > maxHelloGaps {
			return fmt.Errorf("ClientHello with %d bytes, %d gaps", h.bytes, h.have.NumRanges())
		}
	}
	if sum != t.bytes || sum > limit {
		return fmt.Errorf("%d bytes of ClientHellos counted, %d there, %d allowed", t.bytes, sum, limit)
	}
	return nil
}
