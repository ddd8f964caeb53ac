package quic

import (
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/datagram"
	"github.com/pqquic/pqquic/quic/internal/udp"
)

// A sendQueue holds the connections of one socket that have something to send, and runs the senders. A
// sender is a goroutine that takes connections from the front, gives each a turn, and puts it at the back
// if it has more to send. A connection is in the queue at most once, and one goroutine at a time drives it,
// so its trains are sent in the order in which they were built.
//
// There are at most max senders. One starts when there is work and no other is free. They stay until the queue
// is closed, because waking a goroutine costs less than starting one.
//
// When the socket is full, the sender that detects it waits for room, and no other sender takes anything
// from the queue. Meanwhile, applications that send in their own calls pass their train to a sender.
// Therefore there are never more buffers than senders and borrowers, however many connections wait.
type sendQueue struct {
	sock *udp.Conn
	max  int32 // maximum number of senders, and of buffers lent to applications
	// maxReplies is this queue's part of the constant.
	maxReplies int

	lent atomic.Int32 // buffers from which applications send, or that wait in parked
	full atomic.Int32 // senders that wait for room in the socket

	mu       sync.Mutex
	work     sync.Cond  // signals that there is something to take or the queue is closed
	front    *queueItem // a linked list, front to back
	back     *queueItem
	parked   []parkedTrain
	replies  []reply
	replying queueItem // the position of all replies in the list
	running  int32     // number of senders
	waiting  int32     // senders that wait for work
	closed   bool
	done     sync.WaitGroup // the senders
}

// A queueItem is the position of a connection, or of the replies, in the queue.
type queueItem struct {
	next   *queueItem
	conn   *Conn
	queued bool // used for replying; a Conn has its own field, guarded by its mu
}

// A parkedTrain is a train that an application's call could not send because the socket was full. driving
// is set for conn.
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
	// maxReplies is the number of datagrams without a connection that may wait. Further ones are dropped,
	// because their receivers will repeat the request.
	maxReplies = 256
	// replyTurn is the number of replies that are sent in one turn.
	replyTurn = 16
)

var (
	outputs      = sync.Pool{New: func() any { return &output{buf: make([]byte, sendBufferSize)} }}
	replyBuffers = sync.Pool{New: func() any { b := make([]byte, 0, core.MaxUnknownSize); return &b }}
)

// init makes the queue of one of a number of loops, which divide the limits.
func (q *sendQueue) init(sock *udp.Conn, senders, loops int) {
	q.sock, q.max, q.maxReplies = sock, int32(max(senders/loops, 1)), max(maxReplies/loops, 1)
	q.work.L = &q.mu
}

// push appends an item that is not in the queue. It returns false if the queue is closed.
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

// requeue is push for a sender, after a turn. The sender takes the item itself if nothing else is in the
// queue, so it calls another one only for what it leaves. Otherwise each turn of a connection with bulk data
// would start a goroutine and end another.
func (q *sendQueue) requeue(it *queueItem) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	isOnly := q.front == nil
	q.append(it)
	if !isOnly {
		q.callSender()
	}
	return true
}

// append appends an item. mu is held.
func (q *sendQueue) append(it *queueItem) {
	if q.back == nil {
		q.front = it
	} else {
		q.back.next = it
	}
	q.back = it
}

// callSender wakes or starts a sender, if possible, when there is something to take. mu is held.
func (q *sendQueue) callSender() {
	switch {
	case q.full.Load() > 0:
		// The sender that waits for room will call another.
	case q.waiting > 0:
		q.waiting--
		q.work.Signal()
	case q.running < q.max:
		q.running++
		q.done.Add(1)
		go q.send()
	}
}

// borrow lends a buffer to an application that wants to send in its own call. It returns nil if the socket
// is full or enough buffers are lent, in which case a sender must send.
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

// park accepts a train that found the socket full, with its borrowed buffer. The sender that takes it
// continues to drive the connection. park returns false if the queue is closed.
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
	if q.closed || len(q.replies) >= q.maxReplies {
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

// writeWait waits for room in the socket and sends the rest of a train. No sender takes anything from the
// queue meanwhile.
func (q *sendQueue) writeWait(o *output) error {
	q.full.Add(1)
	err := o.sock.WriteWait(&o.rest)
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.full.Add(-1) == 0 {
		// Items that were added meanwhile have not woken a sender.
		for n := len(q.parked); n > 0; n-- {
			q.callSender()
		}
		for it := q.front; it != nil && (q.waiting > 0 || q.running < q.max); it = it.next {
			q.callSender()
		}
	}
	return err
}

// A job is what a sender takes from the queue. One of the fields is set.
type job struct {
	parked  parkedTrain
	conn    *Conn
	replies []reply
}

// send is the main function of a sender.
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
			// The goroutines that are ready run first: what they write travels in the same train (the
			// workload streams-32 of bench/peers), and a sender with bulk data does not keep its processor
			// for a time slice of 10 ms, which is many turns (PingBesideBulk of bench).
			runtime.Gosched()
			o := outputs.Get().(*output)
			j.conn.takeTurn(o)
			o.release()
		}
		for i := range j.replies {
			// A reply is lost if the socket is full. Its receiver will repeat the request.
			_ = q.sock.Write(&j.replies[i].tx)
			replyBuffers.Put(j.replies[i].buf)
			j.replies[i] = reply{}
		}
	}
}

// take waits for something to do. It returns false if the sender must end.
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
		if q.closed {
			q.running--
			return j, false
		}
		q.waiting++
		q.work.Wait()
	}
}

// takeReplies removes replies from the queue. mu is held.
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

// close lets the senders finish what is in the queue and waits for them to end. The socket is already
// closed, so nothing blocks them.
func (q *sendQueue) close() {
	q.mu.Lock()
	q.closed = true
	q.waiting = 0
	q.work.Broadcast()
	q.mu.Unlock()
	q.done.Wait()
}

func (o *output) release() {
	o.polled, o.rest, o.sock = datagram.Transmit{}, datagram.Transmit{}, nil
	outputs.Put(o)
}
