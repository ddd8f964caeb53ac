package streams

// A turnHeap is a binary heap of the streams of one type and level, in the order of their keys: IDs, or the numbers of
// their turns. Adding and removing a stream takes logarithmic time, so that a connection with hundreds of requests of
// different priorities pays little for them (BenchmarkPriorities). Each stream knows its place in the heap.
type turnHeap []turn

// A turn is a stream in a turnHeap. No two streams of a heap have the same key.
type turn struct {
	key uint64
	st  *stream
}

// push adds a stream that is not in the queue q.
func (h *turnHeap) push(q int, key uint64, st *stream) {
	st.queued |= 1 << q
	*h = append(*h, turn{key, st})
	h.up(q, len(*h)-1)
}

// remove removes a stream that is in the heap.
func (h *turnHeap) remove(q int, st *stream) {
	i, last := int(st.place[q-qResend]), len(*h)-1
	moved := (*h)[last]
	(*h)[last] = turn{}
	*h = (*h)[:last]
	if i < last {
		(*h)[i] = moved
		h.down(q, i)
		h.up(q, int(moved.st.place[q-qResend]))
	}
	st.queued &^= 1 << q
}

// peek returns the first stream that belongs in the queue q, or nil. It drops those before.
func (h *turnHeap) peek(q int) *stream {
	for len(*h) > 0 {
		st := (*h)[0].st
		if st.belongs(q) {
			return st
		}
		h.remove(q, st)
	}
	return nil
}

// up moves the turn at i towards the front until its order is right.
func (h turnHeap) up(q, i int) {
	t := h[i]
	for i > 0 {
		parent := (i - 1) / 2
		if h[parent].key < t.key {
			break
		}
		h.set(q, i, h[parent])
		i = parent
	}
	h.set(q, i, t)
}

// down moves the turn at i towards the end until its order is right.
func (h turnHeap) down(q, i int) {
	t := h[i]
	for {
		child := 2*i + 1
		if child+1 < len(h) && h[child+1].key < h[child].key {
			child++
		}
		if child >= len(h) || t.key < h[child].key {
			break
		}
		h.set(q, i, h[child])
		i = child
	}
	h.set(q, i, t)
}

// set stores a turn at i.
func (h turnHeap) set(q, i int, t turn) {
	h[i] = t
	t.st.place[q-qResend] = int32(i)
}
