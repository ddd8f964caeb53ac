package core

import (
	"fmt"

	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// helloTable holds the clients without a connection. Each has two keys: a client that has received our
// acknowledgement sends to the connection ID in it.
type helloTable struct {
	byKey    map[initialKey]*hello
	byExpiry expiryHeap[*hello]
	bytes    int
	// acks lists clients to which an acknowledgement is due, and postponed those whose ClientHello is
	// complete, both in the order of time. Clients that were removed since are skipped.
	acks, postponed []*hello
	waiting         int // clients in postponed that are still in the table
}

// len is the number of clients.
func (t *helloTable) len() int { return t.byExpiry.len() }

func (t *helloTable) init() { t.byKey = make(map[initialKey]*hello) }

func (t *helloTable) add(h *hello) {
	t.byKey[h.key] = h
	t.byKey[h.localKey()] = h
	t.bytes += h.bytes
	h.listed = true
	t.byExpiry.push(h)
}

func (t *helloTable) remove(h *hello) {
	delete(t.byKey, h.key)
	delete(t.byKey, h.localKey())
	t.bytes -= h.bytes
	t.byExpiry.remove(h)
	if h.state == helloWaiting {
		t.waiting--
	}
	h.listed, h.ackAt = false, 0
}

func (t *helloTable) setExpiry(h *hello, expires monotime.Time) {
	h.expires = expires
	t.byExpiry.fix(h)
}

// scheduleAck has an acknowledgement leave at the given time, unless one leaves before. Times ascend from
// call to call.
func (t *helloTable) scheduleAck(h *hello, at monotime.Time) {
	if h.ackAt.IsZero() {
		h.ackAt = at
		t.acks = append(t.acks, h)
	}
}

// nextAck returns the first client that waits for an acknowledgement, or nil.
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

// postpone puts a client with a complete ClientHello at the end of the line.
func (t *helloTable) postpone(h *hello) {
	for len(t.postponed) > 0 && !t.postponed[0].listed { // it has expired
		t.postponed[0] = nil
		t.postponed = t.postponed[1:]
	}
	h.state = helloWaiting
	t.postponed = append(t.postponed, h)
	t.waiting++
}

// takePostponed returns the client that has waited longest, or nil. It stays in the table.
func (t *helloTable) takePostponed() *hello {
	for len(t.postponed) > 0 {
		h := t.postponed[0]
		t.postponed[0] = nil
		t.postponed = t.postponed[1:]
		if h.listed && h.state == helloWaiting {
			h.state = helloTaken
			t.waiting--
			return h
		}
	}
	t.postponed = nil
	return nil
}

func (t *helloTable) check(limit int) error {
	sum, waiting := 0, 0
	for i, h := range t.byExpiry.items {
		sum += h.bytes
		if h.state == helloWaiting {
			waiting++
		}
		switch {
		case h.at != i || t.byKey[h.key] != h || t.byKey[h.localKey()] != h || !h.listed:
			return fmt.Errorf("ClientHello %d of %d cannot be found", i, t.len())
		case h.bytes > maxHelloBytes || h.have.NumRanges() > maxHelloGaps:
			return fmt.Errorf("ClientHello with %d bytes, %d gaps", h.bytes, h.have.NumRanges())
		}
	}
	switch {
	case sum != t.bytes || sum > limit:
		return fmt.Errorf("%d bytes of ClientHellos counted, %d there, %d allowed", t.bytes, sum, limit)
	case waiting != t.waiting || waiting > len(t.postponed):
		return fmt.Errorf("%d postponed clients counted, %d there, %d in line", t.waiting, waiting, len(t.postponed))
	}
	return nil
}
