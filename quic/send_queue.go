package quic

import (
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/datagram"
	"github.com/pqquic/pqquic/quic/internal/udp"
)

// A sendQueue holds the connections of one socket that have something to send, and runs the senders:
// goroutines that take connections from the front, give each one a turn, and put it at the back if it
// has more. A connection is in the queue at most once, and one goroutine at a time drives it, so that
// its trains leave in the order in which they were built.
//
// There are at most max senders. One starts when there is work and no other is free. The first one
// stays until the queue is closed, since waking a goroutine costs less than starting one, and the
// others end when they find nothing to do.
//
// When the socket is full, the sender that finds out waits for room, and no other one takes anything
// from the queue. Applications that send from their own calls hand their train to a sender then. So
// there are never more buffers than senders and borrowers, however many connections wait.
type sendQueue struct {
	sock *udp.Conn
	max  int32 // senders; likewise buffers lent to applications

	lent atomic.Int32 // buffers that applications send from, or that wait in parked
	full atomic.Int32 // senders that wait for room in the socket

	mu       sync.Mutex
	work     sync.Cond  // there is something to take, or the queue is closed
	front    *queueItem // a linked list, front to back
	back     *queueItem
	parked   []parkedTrain
	replies  []reply
	replying queueItem // the place in the list of all replies
	running  int32     // senders
	waiting  int32     // of these, waiting for work
	closed   bool
	done     sync.WaitGroup // the senders
}

// A queueItem is a place in the queue, of a connection or of the replies.
type queueItem struct {
	next   *queueItem
	conn   *Conn
	queued bool // of replying; a Conn's own field is guarded by its mu
}

// A parkedTrain is a train of an application's call that met a full socket. conn is driving.
type parkedTrain struct {
	conn *Conn
	out  *output
}

// A reply is a datagram that belongs to no connection.
type reply struct {
	buf *[]byte // Transmit.Data lies in it
	tx  datagram.Transmit
}

const (
	// maxReplies is the number of datagrams of no connection that may wait. More are dropped: those
	// who asked will ask again.
	maxReplies = 256
	// replyTurn is the number of them that leave in one turn.
	replyTurn = 16
)

var (
	outputs      = sync.Pool{New: func() any { return &output{buf: make([]byte, sendBufferSize)} }}
	replyBuffers = sync.Pool{New: func() any { b := make([]byte, 0, core.MaxDatagramSize); return &b }}
)

func (q *sendQueue) init(sock *udp.Conn, senders int) {
	q.sock, q.max = sock, int32(senders)
	q.work.L = &q.mu
}

// push puts an item that is not in the queue at its end. It returns false if the queue is closed.
func (q *sendQueue) push(it *queueItem) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.append(it)
	q.callSender()
	return true
}

// append is called with mu held.
func (q *sendQueue) append(it *queueItem) {
	if q.back == nil {
		q.front = it
	} else {
		q.back.next = it
	}
	q.back = it
}

// callSender is called with mu held when there is something to take.
func (q *sendQueue) callSender() {
	switch {
	case q.full.Load() > 0:
		// The sender that waits for room will call.
	case q.waiting > 0:
		q.waiting--
		q.work.Signal()
	case q.running < q.max:
		q.running++
		q.done.Add(1)
		go q.send()
	}
}

// borrow lends a buffer to an application that wants to send from its own call. It returns nil if the
// socket is full or enough applications do so: then a sender has to.
func (q *sendQueue) borrow() *output {
	if q.full.Load() > 0 {
		return nil
	}
	if q.lent.Add(1) > q.max {
		q.lent.Add(-1)
		return nil
	}
	return outputs.Get().(*output)
}

func (q *sendQueue) giveBack(o *output) {
	o.release()
	q.lent.Add(-1)
}

// park takes over a train that met a full socket, with its borrowed buffer and the driving of its
// connection. It returns false if the queue is closed.
func (q *sendQueue) park(c *Conn, o *output) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.parked = append(q.parked, parkedTrain{c, o})
	q.callSender()
	return true
}

// reply queues a datagram that belongs to no connection.
func (q *sendQueue) reply(tx datagram.Transmit) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || len(q.replies) >= maxReplies {
		return
	}
	buf := replyBuffers.Get().(*[]byte)
	*buf = append((*buf)[:0], tx.Data...)
	tx.Data = *buf
	q.replies = append(q.replies, reply{buf, tx})
	if !q.replying.queued {
		q.replying.queued = true
		q.append(&q.replying)
		q.callSender()
	}
}

// writeWait waits for room in the socket and sends the rest of a train. Nobody else takes anything
// from the queue meanwhile.
func (q *sendQueue) writeWait(o *output) error {
	q.full.Add(1)
	err := q.sock.WriteWait(&o.rest)
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.full.Add(-1) == 0 {
		// Whatever came in meanwhile called no sender.
		for n := len(q.parked); n > 0; n-- {
			q.callSender()
		}
		for it := q.front; it != nil && (q.waiting > 0 || q.running < q.max); it = it.next {
			q.callSender()
		}
	}
	return err
}

// A job is what a sender takes from the queue: one of the three.
type job struct {
	parked  parkedTrain
	conn    *Conn
	replies []reply
}

// send is a sender.
func (q *sendQueue) send() {
	defer q.done.Done()
	var replies [replyTurn]reply
	for {
		j, ok := q.take(replies[:0])
		if !ok {
			return
		}
		switch {
		case j.parked.conn != nil:
			j.parked.conn.resumeTurn(j.parked.out)
			q.giveBack(j.parked.out)
		case j.conn != nil:
			o := outputs.Get().(*output)
			more := j.conn.takeTurn(o)
			o.release()
			if more {
				// Otherwise a sender with bulk data keeps its processor for a time slice of 10 ms,
				// many turns, while goroutines that have received something wait for it.
				runtime.Gosched()
			}
		}
		for i := range j.replies {
			// A reply is lost if the socket is full. Its receiver will ask again.
			_ = q.sock.Write(&j.replies[i].tx)
			replyBuffers.Put(j.replies[i].buf)
			j.replies[i] = reply{}
		}
	}
}

// take waits for something to do. It returns false if the sender has to end.
func (q *sendQueue) take(replies []reply) (j job, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		switch {
		case q.full.Load() > 0 && !q.closed:
		case len(q.parked) > 0:
			j.parked = q.parked[0]
			q.parked[0] = parkedTrain{}
			if q.parked = q.parked[1:]; len(q.parked) == 0 {
				q.parked = nil
			}
			return j, true
		case q.front != nil:
			it := q.front
			if q.front = it.next; q.front == nil {
				q.back = nil
			}
			it.next = nil
			if j.conn = it.conn; j.conn == nil {
				j.replies = q.takeReplies(replies)
			}
			return j, true
		}
		if q.closed || q.running > 1 {
			q.running--
			return j, false
		}
		q.waiting++
		q.work.Wait()
	}
}

// takeReplies is called with mu held.
func (q *sendQueue) takeReplies(replies []reply) []reply {
	n := min(len(q.replies), replyTurn)
	replies = append(replies, q.replies[:n]...)
	rest := copy(q.replies, q.replies[n:])
	clear(q.replies[rest:])
	q.replies = q.replies[:rest]
	if q.replying.queued = rest > 0; q.replying.queued {
		q.append(&q.replying)
	}
	return replies
}

// close lets the senders finish what is in the queue, and waits for them to end. The socket is closed,
// so that nothing blocks them.
func (q *sendQueue) close() {
	q.mu.Lock()
	q.closed = true
	q.waiting = 0
	q.work.Broadcast()
	q.mu.Unlock()
	q.done.Wait()
}

func (o *output) release() {
	o.polled, o.rest = datagram.Transmit{}, datagram.Transmit{}
	outputs.Put(o)
}
