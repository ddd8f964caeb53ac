package http3

import (
	"context"
	"errors"
	"sync"

	"github.com/pqquic/pqquic/http3/internal/frame"
	"github.com/pqquic/pqquic/internal/varint"
	"github.com/pqquic/pqquic/quic"
)

// ErrDatagramsUnsupported is the error of sending or receiving HTTP datagrams (RFC 9297) if one of the sides has not enabled
// them.
var ErrDatagramsUnsupported = errors.New("http3: one of the sides does not accept HTTP datagrams")

// datagrams are the HTTP datagrams of a connection that has enabled them.
type datagrams struct {
	mu     sync.Mutex
	queues map[quic.StreamID]*datagramQueue // of the requests in progress
	total  int                              // datagrams that wait, of all requests
}

const (
	// maxDatagrams is the number of datagrams that may wait for one request, before the oldest are dropped.
	maxDatagrams = 32
	// maxAllDatagrams is the same for all requests of a connection, after which new ones are dropped.
	maxAllDatagrams = 512
)

// A datagramQueue has the datagrams of one request.
type datagramQueue struct {
	// refuse is called for a datagram of a request that has no semantics for them. It is nil for CONNECT.
	refuse  func()
	waiting [][]byte
	arrived chan struct{} // has a token if something has changed
	isEnded bool
	// isLast is set if no further datagram is accepted, because the peer's direction of the stream has ended.
	isLast bool
}

// enableDatagrams begins to receive datagrams.
func (c *conn) enableDatagrams() {
	d := &datagrams{queues: make(map[quic.StreamID]*datagramQueue)}
	c.datagrams.Store(d)
	go func() {
		for {
			b, err := c.qc.ReceiveDatagram(context.Background())
			if err == nil {
				err = c.handleDatagram(d, b)
			}
			if err != nil {
				c.fail(err)
				return
			}
		}
	}()
}

// handleDatagram handles the payload of a QUIC datagram, which it keeps.
func (c *conn) handleDatagram(d *datagrams, b []byte) error {
	id, payload, err := frame.ParseDatagram(b)
	if err != nil {
		return err
	}
	c.logDatagram("http3:datagram_parsed", quic.StreamID(id), len(b), len(payload))
	d.mu.Lock()
	q := d.queues[quic.StreamID(id)]
	// "If an HTTP/3 Datagram is received and its Quarter Stream ID maps to a stream that has not yet been created, the receiver
	// SHALL either drop that datagram silently or buffer it temporarily"
	// https://www.rfc-editor.org/rfc/rfc9297#section-2.1-6
	//
	// "If a datagram is received after the corresponding stream's receive side is closed, the received datagrams MUST be silently
	// dropped."
	// https://www.rfc-editor.org/rfc/rfc9297#section-2.1-5
	if q == nil || q.isEnded || q.isLast {
		d.mu.Unlock()
		return nil
	}
	if q.refuse != nil {
		q.isEnded = true
		d.mu.Unlock()
		q.refuse()
		return nil
	}
	switch {
	case len(q.waiting) == maxDatagrams:
		q.waiting = append(q.waiting[:0], q.waiting[1:]...)
		q.waiting = append(q.waiting, payload)
	case d.total < maxAllDatagrams:
		q.waiting = append(q.waiting, payload)
		d.total++
	}
	d.mu.Unlock()
	q.wake()
	return nil
}

func (q *datagramQueue) wake() {
	select {
	case q.arrived <- struct{}{}:
	default:
	}
}

// openDatagrams begins the datagrams of a request, if the connection has enabled them. refuse is for requests that have no
// semantics for them; nil means that they have.
func (c *conn) openDatagrams(id quic.StreamID, refuse func()) {
	d := c.datagrams.Load()
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.queues[id] = &datagramQueue{refuse: refuse, arrived: make(chan struct{}, 1)}
}

// endDatagrams notes the end of the peer's direction of a stream whose request has semantics for datagrams. Those that wait can still
// be received.
func (c *conn) endDatagrams(id quic.StreamID) {
	d := c.datagrams.Load()
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if q := d.queues[id]; q != nil && q.refuse == nil && !q.isLast {
		q.isLast = true
		q.wake()
	}
}

// closeDatagrams ends the datagrams of a request.
func (c *conn) closeDatagrams(id quic.StreamID) {
	d := c.datagrams.Load()
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if q := d.queues[id]; q != nil {
		delete(d.queues, id)
		d.total -= len(q.waiting)
		q.waiting, q.isEnded = nil, true
		q.wake()
	}
}

// sendDatagram sends a datagram of a request.
func (c *conn) sendDatagram(id quic.StreamID, payload []byte) error {
	// "QUIC DATAGRAM frames MUST NOT be sent until the SETTINGS_H3_DATAGRAM setting has been both sent and received with a value
	// of 1."
	// https://www.rfc-editor.org/rfc/rfc9297#section-2.1.1-3
	if c.datagrams.Load() == nil || !c.settings().Datagrams {
		return ErrDatagramsUnsupported
	}
	b := append(varint.Append(make([]byte, 0, 8+len(payload)), uint64(id)/4), payload...)
	c.logDatagram("http3:datagram_created", id, len(b), len(payload))
	if err := c.qc.SendDatagram(b); err != nil {
		return c.closeError(err)
	}
	return nil
}

// receiveDatagram waits for a datagram of a request.
func (c *conn) receiveDatagram(ctx context.Context, id quic.StreamID) ([]byte, error) {
	d := c.datagrams.Load()
	if d == nil {
		return nil, ErrDatagramsUnsupported
	}
	for {
		d.mu.Lock()
		q := d.queues[id]
		if q == nil || q.isEnded {
			d.mu.Unlock()
			return nil, errStreamEnded
		}
		if len(q.waiting) > 0 {
			b := q.waiting[0]
			q.waiting = q.waiting[1:]
			d.total--
			if len(q.waiting) > 0 {
				q.wake() // another goroutine that waits
			}
			d.mu.Unlock()
			return b, nil
		}
		if q.isLast {
			q.wake() // another goroutine that waits
			d.mu.Unlock()
			return nil, errStreamEnded
		}
		d.mu.Unlock()
		select {
		case <-q.arrived:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-c.qc.Context().Done():
			return nil, c.closeError(context.Cause(c.qc.Context()))
		}
	}
}
