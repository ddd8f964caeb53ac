package core

// A datagramQueue is a bounded FIFO queue of datagrams of the application (RFC 9221). The zero value is empty.
type datagramQueue struct {
	slots   [][]byte // a ring
	head, n int
	bytes   int64 // of all n datagrams
}

// push appends a datagram, which the queue takes over. The caller bounds the number.
func (q *datagramQueue) push(b []byte) {
	if q.n == len(q.slots) {
		grown := make([][]byte, max(4, 2*len(q.slots)))
		for i := range q.n {
			grown[i] = q.slots[(q.head+i)%len(q.slots)]
		}
		q.slots, q.head = grown, 0
	}
	q.slots[(q.head+q.n)%len(q.slots)] = b
	q.n++
	q.bytes += int64(len(b))
}

// front returns the oldest datagram. The queue must not be empty.
func (q *datagramQueue) front() []byte { return q.slots[q.head] }

// pop removes the oldest datagram and returns it to the caller, who owns it. The queue must not be empty.
func (q *datagramQueue) pop() []byte {
	b := q.slots[q.head]
	q.slots[q.head] = nil
	q.head = (q.head + 1) % len(q.slots)
	q.n--
	q.bytes -= int64(len(b))
	return b
}
