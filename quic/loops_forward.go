package quic

import (
	"sync"
	"sync/atomic"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/datagram"
)

// The bounds on what waits in the inbox of a loop. A further train is dropped, like one that finds the receive
// buffer of a socket full.
const (
	maxInboxTrains = 256
	maxInboxBytes  = 4 << 20 // the size of a socket's receive buffer
)

// An inbox has the trains that a loop has to handle and that have arrived at the socket of another loop. The
// receive goroutines of the others fill it and never wait. Its own goroutine empties it.
type inbox struct {
	trains chan *forwarded // nil if there is one loop
	bytes  atomic.Int64    // of the trains that wait
}

// A forwarded train owns the bytes of its datagrams.
type forwarded struct {
	train datagram.Train
	buf   []byte
}

var forwardedTrains = sync.Pool{New: func() any { return new(forwarded) }}

func (b *inbox) init(loops int) {
	if loops > 1 {
		b.trains = make(chan *forwarded, maxInboxTrains)
	}
}

// put copies a train into the inbox. It returns false if there is no room.
func (b *inbox) put(t *datagram.Train) bool {
	n := int64(len(t.Data))
	if b.bytes.Add(n) > maxInboxBytes {
		b.bytes.Add(-n)
		return false
	}
	f := forwardedTrains.Get().(*forwarded)
	f.buf = append(f.buf[:0], t.Data...)
	f.train = *t
	f.train.Slab, f.train.Data = nil, f.buf
	select {
	case b.trains <- f:
		return true
	default:
		b.bytes.Add(-n)
		forwardedTrains.Put(f)
		return false
	}
}

// done is called for a train that was taken from the inbox and is handled.
func (b *inbox) done(f *forwarded) {
	b.bytes.Add(-int64(len(f.buf)))
	f.train = datagram.Train{}
	forwardedTrains.Put(f)
}

// forward removes the datagrams that one other loop must handle from the front of t and puts them into the
// inbox of that loop. It returns false if the first datagram is for this loop.
func (e *Endpoint) forward(t *datagram.Train) bool {
	run, rest := *t, *t
	d := rest.Next()
	owner := e.ownerOf(d)
	if owner == e {
		return false
	}
	n := len(d)
	for len(rest.Data) > 0 {
		ahead := rest
		next := ahead.Next()
		if e.ownerOf(next) != owner {
			break
		}
		n, rest = n+len(next), ahead
	}
	run.Data = run.Data[:n]
	*t = rest
	if owner.inbox.put(&run) {
		e.counters.forwarded.Add(uint64(run.Segments()))
	} else {
		e.counters.forwardDrops.Add(uint64(run.Segments()))
	}
	return true
}

// inboxLoop handles the trains that other loops have received, until the Endpoint closes.
func (e *Endpoint) inboxLoop() {
	ended := false
	defer func() {
		if !ended { // a callback has called runtime.Goexit
			go e.inboxLoop()
			return
		}
		e.running.Done()
	}()
	reply := make([]byte, core.MaxUnknownSize)
	for {
		select {
		case f := <-e.inbox.trains:
			e.handleForwarded(f, reply)
		case <-e.closed:
			ended = true
			return
		}
	}
}

// handleForwarded handles a train from the inbox. No datagram in it begins a connection.
func (e *Endpoint) handleForwarded(f *forwarded, reply []byte) {
	defer e.inbox.done(f) // also if a callback calls runtime.Goexit
	for len(f.train.Data) > 0 {
		e.route(&f.train, core.ValidateUnderLoad, reply)
	}
}

// resetElsewhere ends a connection of another loop if the first datagram of data, which belongs to no
// connection of this loop, is a stateless reset for it. t is the train that data was the front of.
func (e *Endpoint) resetElsewhere(t *datagram.Train, data []byte) bool {
	d := (&datagram.Train{Data: data, SegmentSize: t.SegmentSize}).Next()
	for _, m := range e.loops {
		if m == e {
			continue
		}
		if c := m.findReset(t.Path, d); c != nil {
			c.handleStatelessReset(e.clock.now())
			return true
		}
	}
	return false
}

// findReset returns the connection that a datagram ends if it is a stateless reset, or nil.
func (e *Endpoint) findReset(p datagram.Path, d []byte) *Conn {
	e.mu.Lock()
	defer e.mu.Unlock()
	if ref, ok := e.core.FindReset(p, d); ok {
		return e.conns[ref]
	}
	return nil
}
