package core

import (
	"fmt"
	"slices"

	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// A helloTable holds the clients without a connection. Each has two keys, because a client that has
// received our acknowledgement sends to the connection ID in it.
type helloTable struct {
	byKey    table[initialKey, *hello]
	byExpiry expiryHeap[*hello]
	bytes    int
	early    int // bytes of 0-RTT packets, which are not in bytes
	// acks lists the clients that are due an acknowledgement, and postponed those with a complete
	// ClientHello, both ordered by time. Clients that have been removed from the table are skipped.
	acks, postponed []*hello
	waiting         int // clients in postponed that are still in the table
}

// len returns the number of clients.
func (t *helloTable) len() int { return t.byExpiry.len() }

// has reports whether a client has the key.
func (t *helloTable) has(key initialKey) bool {
	_, ok := t.byKey.get(key)
	return ok
}

func (t *helloTable) add(h *hello) {
	t.byKey.set(h.key, h)
	t.byKey.set(h.localKey(), h)
	t.bytes += h.bytes
	t.early += h.early
	h.listed = true
	t.byExpiry.push(h)
}

func (t *helloTable) remove(h *hello) {
	t.byKey.delete(h.key)
	t.byKey.delete(h.localKey())
	t.bytes -= h.bytes
	t.early -= h.early
	t.byExpiry.remove(h)
	h.listed, h.ackAt = false, 0
	if h.state == helloWaiting {
		t.waiting--
		t.trimPostponed()
	}
}

// trimPostponed drops the clients that have left the table from the queue when they are the larger part of
// it, so that the queue does not keep what they have sent.
func (t *helloTable) trimPostponed() {
	if len(t.postponed) > 2*t.waiting+16 {
		t.postponed = slices.DeleteFunc(t.postponed, func(h *hello) bool { return !h.listed })
	}
}

func (t *helloTable) setExpiry(h *hello, expires monotime.Time) {
	h.expires = expires
	t.byExpiry.fix(h)
}

// scheduleAck schedules an acknowledgement for the given time, unless an earlier one is scheduled. Times
// must ascend from call to call.
func (t *helloTable) scheduleAck(h *hello, at monotime.Time) {
	if h.ackAt.IsZero() {
		h.ackAt = at
		t.acks = append(t.acks, h)
	}
}

// nextAck returns the client whose acknowledgement is due first, or nil.
func (t *helloTable) nextAck() *hello {
	for len(t.acks) > 0 && t.acks[0].ackAt.IsZero() {
		t.acks[0] = nil
		t.acks = t.acks[1:]
	}
	if len(t.acks) == 0 {
		t.acks = nil
		return nil
	}
	return t.acks[0]
}

// postpone appends a client with a complete ClientHello to the queue.
func (t *helloTable) postpone(h *hello) {
	h.state = helloWaiting
	t.postponed = append(t.postponed, h)
	t.waiting++
}

// takePostponed returns the client that has waited longest, or nil. The client stays in the table.
func (t *helloTable) takePostponed() *hello {
	for len(t.postponed) > 0 {
		h := t.postponed[0]
		t.postponed[0] = nil
		t.postponed = t.postponed[1:]
		if h.listed && h.state == helloWaiting {
			h.state = helloTaken
			t.waiting--
			t.trimPostponed()
			return h
		}
	}
	t.postponed = nil
	return nil
}

func (t *helloTable) check(limit int) error {
	sum, early, waiting := 0, 0, 0
	for i, h := range t.byExpiry.items {
		sum += h.bytes
		early += h.early
		if h.state == helloWaiting {
			waiting++
		}
		switch {
		case h.at != i || t.byKey.m[h.key] != h || t.byKey.m[h.localKey()] != h || !h.listed:
			return fmt.Errorf("ClientHello %d of %d is not in the table", i, t.len())
		case h.early > maxHelloEarly:
			return fmt.Errorf("ClientHello with %d bytes of 0-RTT packets", h.early)
		case h.bytes > maxHelloBytes || h.have.NumRanges() > maxHelloGaps:
			return fmt.Errorf("ClientHello with %d bytes, %d gaps", h.bytes, h.have.NumRanges())
		}
	}
	switch {
	case sum != t.bytes || sum > limit:
		return fmt.Errorf("%d bytes of ClientHellos are counted, but there are %d, and %d are allowed", t.bytes, sum, limit)
	case early != t.early || early > limit/4:
		return fmt.Errorf("%d bytes of 0-RTT packets are counted, but there are %d, and %d are allowed", t.early, early, limit/4)
	case waiting != t.waiting || waiting > len(t.postponed) || len(t.postponed) > 2*waiting+16:
		return fmt.Errorf("%d postponed clients are counted, but there are %d, and %d are queued", t.waiting, waiting, len(t.postponed))
	}
	return nil
}
