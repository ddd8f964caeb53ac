package core

import (
	"errors"
	"fmt"

	"github.com/pqquic/pqquic/internal/varint"
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

var (
	// ErrDatagramsUnsupported means that the peer accepts no DATAGRAM frames.
	ErrDatagramsUnsupported = errors.New("the peer does not accept datagrams")
	// ErrDatagramQueueFull means that the send queue has no room. EventDatagramRoom follows when it has.
	ErrDatagramQueueFull = errors.New("the queue of datagrams to send is full")
)

// DatagramTooLargeError means that a datagram does not fit into a packet or into what the peer accepts.
type DatagramTooLargeError struct{ Size, Max int }

func (e *DatagramTooLargeError) Error() string {
	return fmt.Sprintf("datagram of %d bytes; the largest possible one has %d now", e.Size, e.Max)
}

// datagramState is the state of the application's datagrams (RFC 9221). A connection has one once the peer has
// announced that it accepts datagrams, or once the first one has arrived.
type datagramState struct {
	peerMax uint64 // the largest DATAGRAM frame that the peer accepts; 0 means none

	send, received datagramQueue
	spare          [][]byte // arrays of sent datagrams, for the next ones
	yield          bool     // streams go first in the next packet, because datagrams went first in the last one
	wantsRoom      bool     // SendDatagram has returned ErrDatagramQueueFull

	readable, room, flushed bool // events to be polled

	stats DatagramStats
}

// DatagramStats are the counters of the application's datagrams.
type DatagramStats struct {
	Sent, Received    uint64
	Lost              uint64 // in packets that were declared lost; some of them may have arrived
	SendTooLarge      uint64 // dropped from the send queue because the path's MTU had shrunk below them
	ReceiveOverflows  uint64 // dropped from the receive queue, unread, to make room for newer ones
	ReceiveNoMemory   uint64 // dropped on arrival because there was no memory
	SendQueueOverflow uint64 // calls of SendDatagram that found the queue full
}

// ensureDatagrams returns the state of datagrams.
func (c *Conn) ensureDatagrams() *datagramState {
	if c.ext.datagrams == nil {
		c.extend().datagrams = new(datagramState)
	}
	return c.ext.datagrams
}

// setPeerDatagrams notes the peer's max_datagram_frame_size. An empty frame with its length has two bytes.
func (c *Conn) setPeerDatagrams(size uint64) {
	if size >= 2 {
		c.ensureDatagrams().peerMax = size
	}
}

// PeerAcceptsDatagrams reports whether the peer has announced that it accepts datagrams.
func (c *Conn) PeerAcceptsDatagrams() bool {
	return c.ext.datagrams != nil && c.ext.datagrams.peerMax > 0
}

// maxLengthSize is the size of the Length field of the largest frame that fits into a packet.
const maxLengthSize = 2

// MaxDatagram returns the size of the largest datagram that SendDatagram accepts now. It is 0 if the peer accepts
// none.
//
// "An endpoint MUST NOT send DATAGRAM frames until it has received the max_datagram_frame_size transport
// parameter with a non-zero value during the handshake [...]. An endpoint MUST NOT send DATAGRAM frames that
// are larger than the max_datagram_frame_size value it has received from its peer."
// https://www.rfc-editor.org/rfc/rfc9221#section-3-3
func (c *Conn) MaxDatagram() int {
	if !c.PeerAcceptsDatagrams() || c.closing.state != stateOpen {
		return 0
	}
	// A frame that fills its packet needs no length. The packet number has up to four bytes.
	packet := c.loss.Path().MaxDatagramSize() - 1 - c.ids.dst().Len() - 4 - tlsprovider.TagLen
	n := packet - 1
	if accepted := int(min(c.ext.datagrams.peerMax, varint.Max)); accepted <= packet+maxLengthSize {
		n = min(n, accepted-1-varint.Size(uint64(accepted)))
	}
	return max(n, 0)
}

// SendDatagram queues a copy of a datagram. It returns ErrDatagramsUnsupported, ErrDatagramQueueFull or a
// *DatagramTooLargeError if it does not.
func (c *Conn) SendDatagram(now monotime.Time, p []byte) error {
	if err := c.usable(now); err != nil {
		return err
	}
	if !c.tls.complete {
		return ErrHandshake // datagrams are not sent as early data
	}
	if !c.PeerAcceptsDatagrams() {
		return ErrDatagramsUnsupported
	}
	q := c.ext.datagrams
	if largest := c.MaxDatagram(); len(p) > largest {
		return &DatagramTooLargeError{Size: len(p), Max: largest}
	}
	// One datagram always fits, or a connection whose streams use all of its memory could not send any.
	if q.send.n >= c.cfg.DatagramSendQueue || q.send.n > 0 && !c.streams.HasSendMemory(int64(len(p))) {
		q.wantsRoom = true
		q.stats.SendQueueOverflow++
		return ErrDatagramQueueFull
	}
	var b []byte
	if k := len(q.spare); k > 0 {
		b, q.spare = q.spare[k-1], q.spare[:k-1]
	}
	q.send.push(append(b[:0], p...))
	c.streams.ChargeSend(int64(len(p)))
	return nil
}

// ReceiveDatagram returns the oldest datagram that has arrived and was not read. The caller owns it. After the
// peer's application has closed the connection, it returns what had arrived before.
func (c *Conn) ReceiveDatagram() ([]byte, bool) {
	q := c.ext.datagrams
	if q == nil || q.received.n == 0 {
		return nil, false
	}
	b := q.received.pop()
	c.streams.ChargeReceived(-int64(len(b)))
	return b, true
}

// handleDatagramFrame handles a DATAGRAM frame of n bytes.
//
// "An endpoint that receives a DATAGRAM frame when it has not indicated support via the transport parameter
// MUST terminate the connection with an error of type PROTOCOL_VIOLATION. Similarly, an endpoint that
// receives a DATAGRAM frame that is larger than the value it sent in its max_datagram_frame_size transport
// parameter MUST terminate the connection with an error of type PROTOCOL_VIOLATION."
// https://www.rfc-editor.org/rfc/rfc9221#section-3-3
func (c *Conn) handleDatagramFrame(f wire.Datagram, n int) {
	switch {
	case c.cfg.MaxDatagramFrame == 0:
		c.abortf(wire.ProtocolViolation, wire.FrameDatagram, "DATAGRAM frame received without support for it")
		return
	case uint64(n) > c.cfg.MaxDatagramFrame:
		c.abortf(wire.ProtocolViolation, wire.FrameDatagram, "DATAGRAM frame exceeds max_datagram_frame_size")
		return
	}
	q := c.ensureDatagrams()
	q.stats.Received++
	if q.received.n >= c.cfg.DatagramReceiveQueue {
		// "DATAGRAM frames are inherently unreliable, they MAY be dropped by the receiver if the receiver
		// cannot process them." The oldest is dropped, because the newest is worth most to a late reader.
		// https://www.rfc-editor.org/rfc/rfc9221#section-5.3-2
		c.streams.ChargeReceived(-int64(len(q.received.pop())))
		q.stats.ReceiveOverflows++
	}
	if !c.streams.HasReceiveMemory(int64(len(f.Data))) {
		q.stats.ReceiveNoMemory++
		return
	}
	q.received.push(append([]byte(nil), f.Data...))
	c.streams.ChargeReceived(int64(len(f.Data)))
	q.readable = true
}

// hasDatagrams reports whether datagrams wait to be sent.
func (c *Conn) hasDatagrams() bool { return c.ext.datagrams != nil && c.ext.datagrams.send.n > 0 }

// appendData appends datagrams and what the streams have to send. If both wait, they go first in turns, so that
// neither an application that always has datagrams nor one that always has stream data stops the other.
//
// "This frame SHOULD be sent as soon as possible (as determined by factors like congestion control [...]) and
// MAY be coalesced with other frames."
// https://www.rfc-editor.org/rfc/rfc9221#section-5-1
// "The sender MUST either delay sending the frame until the controller allows it or drop the frame without sending it
// (at which point it MAY notify the application)."
// https://www.rfc-editor.org/rfc/rfc9221#section-5.4-1
func (c *Conn) appendData(d *datagramBuilder, probe bool) {
	if !c.hasDatagrams() {
		d.payload, c.send.rec = c.streams.Append(d.payload, d.room(), d.pn, c.send.rec, probe)
		return
	}
	q := c.ext.datagrams
	if q.yield && c.streams.HasPending() {
		q.yield = false
		d.payload, c.send.rec = c.streams.Append(d.payload, d.room(), d.pn, c.send.rec, probe)
		c.appendDatagrams(d)
		return
	}
	q.yield = c.appendDatagrams(d) > 0
	d.payload, c.send.rec = c.streams.Append(d.payload, d.room(), d.pn, c.send.rec, probe)
}

// appendDatagrams appends as many datagrams as fit and returns their number. It drops those that have become too
// large for the path, because it may have become narrower since they were queued.
func (c *Conn) appendDatagrams(d *datagramBuilder) (n int) {
	q := c.ext.datagrams
	largest := c.MaxDatagram()
	for q.send.n > 0 {
		b := q.send.front()
		if len(b) > largest {
			q.stats.SendTooLarge++
			c.removeSent()
			continue
		}
		f := wire.Datagram{Data: b}
		if room := d.room(); f.Size() > room {
			if f.ToEnd = true; f.Size() > room {
				break
			}
			for range room - f.Size() { // PADDING, so that the frame ends where the packet ends
				d.payload = append(d.payload, 0)
			}
		}
		d.payload = f.Append(d.payload)
		c.removeSent()
		n++
	}
	if n > 0 {
		q.stats.Sent += uint64(n)
		c.send.rec = appendRecord1(c.send.rec, recDatagrams, uint64(n))
	}
	return n
}

// removeSent removes the first datagram of the send queue.
func (c *Conn) removeSent() {
	q := c.ext.datagrams
	b := q.send.pop()
	c.streams.ChargeSend(-int64(len(b)))
	if len(q.spare) < maxSpareDatagrams {
		q.spare = append(q.spare, b)
	}
	q.room = q.wantsRoom
	q.flushed = q.send.n == 0
}

// maxSpareDatagrams bounds the arrays that are kept for the next datagrams while a connection is active.
const maxSpareDatagrams = 16

// fate counts datagrams that were lost. They are not sent again.
func (q *datagramState) fate(n uint64, fate recovery.Fate) {
	if fate == recovery.Lost {
		q.stats.Lost += n
	}
}

// hasEvent reports whether pollEvent may return an event.
func (q *datagramState) hasEvent() bool { return q.readable || q.room || q.flushed }

// pollEvent returns the next event about datagrams.
func (q *datagramState) pollEvent(streamsFlushed bool) (Event, bool) {
	switch {
	case q.readable:
		q.readable = false
		return Event{Kind: EventDatagram}, true
	case q.room:
		q.room, q.wantsRoom = false, false
		return Event{Kind: EventDatagramRoom}, true
	case q.flushed:
		q.flushed = false
		if q.send.n == 0 && streamsFlushed {
			return Event{Kind: EventFlushed}, true
		}
	}
	return Event{}, false
}

// releaseDatagrams frees the datagrams of a connection that has ended, except for those that can still be read.
func (c *Conn) releaseDatagrams() {
	q := c.ext.datagrams
	if q == nil {
		return
	}
	c.streams.ChargeSend(-q.send.bytes)
	q.send, q.spare = datagramQueue{}, nil
	q.readable, q.room, q.flushed = false, false, false
	if !c.closing.readable {
		c.streams.ChargeReceived(-q.received.bytes)
		q.received = datagramQueue{}
	}
}

// rest frees the memory that is kept for the next datagrams.
func (q *datagramState) rest() {
	q.spare = nil
	if q.send.n == 0 {
		q.send = datagramQueue{}
	}
	if q.received.n == 0 {
		q.received = datagramQueue{}
	}
}

// check returns an error if the queues are not consistent.
func (q *datagramState) check(cfg *Config) error {
	for _, l := range []struct {
		queue *datagramQueue
		max   int
	}{{&q.send, cfg.DatagramSendQueue}, {&q.received, cfg.DatagramReceiveQueue}} {
		n := int64(0)
		for i := range l.queue.n {
			n += int64(len(l.queue.slots[(l.queue.head+i)%len(l.queue.slots)]))
		}
		if l.queue.n > l.max || n != l.queue.bytes {
			return fmt.Errorf("%d datagrams of %d bytes are queued, %d bytes are counted, %d datagrams are allowed",
				l.queue.n, n, l.queue.bytes, l.max)
		}
	}
	return nil
}
