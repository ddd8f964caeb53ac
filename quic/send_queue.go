package quic

import (
	"sync"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/datagram"
)

// sendBufferSize is the size of the largest train that the pacer releases.
const sendBufferSize = 64 << 10

// An output holds what a connection's driver needs while it sends. An idle connection has none.
type output struct {
	buf    []byte
	polled datagram.Transmit // as it came from the core
	tx     datagram.Transmit // the part of it that is still to be sent
	events []core.EndpointEvent
}

var outputs = sync.Pool{New: func() any { return &output{buf: make([]byte, sendBufferSize)} }}

func (o *output) release() {
	clear(o.events)
	o.events = o.events[:0]
	o.polled, o.tx = datagram.Transmit{}, datagram.Transmit{}
	outputs.Put(o)
}

// sendQueue holds connections whose train met a full socket. While there are any, one goroutine waits for
// room in the socket and resumes them one by one.
type sendQueue struct {
	mu      sync.Mutex
	queue   []parkedConn
	running bool
	idle    sync.WaitGroup
}

type parkedConn struct {
	conn *Conn
	out  *output
}

// park queues a connection, whose driving the sendQueue takes over.
func (q *sendQueue) park(c *Conn, o *output) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.queue = append(q.queue, parkedConn{c, o})
	if !q.running {
		q.running = true
		q.idle.Add(1)
		go q.run(c.ep)
	}
}

func (q *sendQueue) run(e *Endpoint) {
	defer q.idle.Done()
	for {
		q.mu.Lock()
		if len(q.queue) == 0 {
			q.running, q.queue = false, nil
			q.mu.Unlock()
			return
		}
		p := q.queue[0]
		q.queue[0] = parkedConn{}
		q.queue = q.queue[1:]
		q.mu.Unlock()
		err := e.sock.WriteWait(&p.out.tx)
		p.conn.unpark(p.out, err)
	}
}

// wait waits until no connection is parked, which is soon: the socket is closed.
func (q *sendQueue) wait() { q.idle.Wait() }
