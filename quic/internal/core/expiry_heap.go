package core

import (
	"container/heap"

	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// An expiring value has a deadline and knows its index in the expiryHeap that holds it.
type expiring interface {
	deadline() monotime.Time
	index() *int
}

// An expiryHeap holds values that expire, the earliest first.
type expiryHeap[T expiring] struct {
	items expiryItems[T]
}

func (h *expiryHeap[T]) len() int { return len(h.items) }

func (h *expiryHeap[T]) push(x T) { heap.Push(&h.items, x) }

func (h *expiryHeap[T]) remove(x T) { heap.Remove(&h.items, *x.index()) }

// fix moves x to its place after its deadline has changed.
func (h *expiryHeap[T]) fix(x T) { heap.Fix(&h.items, *x.index()) }

// first returns the item with the earliest deadline. The heap must not be empty.
func (h *expiryHeap[T]) first() T { return h.items[0] }

// next returns the earliest deadline, or zero if the heap is empty.
func (h *expiryHeap[T]) next() monotime.Time {
	if len(h.items) == 0 {
		return 0
	}
	return h.items[0].deadline()
}

// expired returns a value whose deadline has passed.
func (h *expiryHeap[T]) expired(now monotime.Time) (x T, ok bool) {
	if due(h.next(), now) {
		return h.items[0], true
	}
	return x, false
}

// expiryItems implements heap.Interface.
type expiryItems[T expiring] []T

func (q expiryItems[T]) Len() int           { return len(q) }
func (q expiryItems[T]) Less(i, j int) bool { return q[i].deadline().Before(q[j].deadline()) }
func (q expiryItems[T]) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	*q[i].index(), *q[j].index() = i, j
}

func (q *expiryItems[T]) Push(x any) {
	item := x.(T)
	*item.index() = len(*q)
	*q = append(*q, item)
}

func (q *expiryItems[T]) Pop() any {
	var none T
	last := len(*q) - 1
	item := (*q)[last]
	(*q)[last] = none
	*q = (*q)[:last]
	return item
}
