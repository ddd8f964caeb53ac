package quic

import (
	"sync"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/udp"
)

// sendBufferSize holds the largest train that the pacer lets go.
const sendBufferSize = 64 << 10

// An output is what a connection's driver needs while it sends. Idle connections have none.
type output struct {
	buf    []byte
	polled core.Transmit // as it came from the core
	tx     udp.Transmit  // what of it is still to be sent
	events []core.EndpointEvent
}

var outputs = sync.Pool{New: func() any { return &output{buf: make([]byte, sendBufferSize)} }}

// take notes what the core wants to be sent.
func (o *output) take(tx core.Transmit) {
	o.polled = tx
	o.tx = udp.Transmit{
		Data: tx.Data, SegmentSize: tx.SegmentSize, Path: udp.Path(tx.Path), ECN: udp.ECN(tx.ECN),
	}
}

func (o *output) release() {
	clear(o.events)
	o.events = o.events[:0]
	o.polled, o.tx = core.Transmit{}, udp.Transmit{}
	outputs.Put(o)
}

// sendQueue holds connections whose train met a full socket. One goroutine, which lives while there are
// any, waits for room and lets each one go on.
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

// park takes over the driving of a connection.
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

// wait waits until no connection is parked. The socket is closed, so that none stays.
func (q *sendQueue) wait() { q.idle.Wait() }
