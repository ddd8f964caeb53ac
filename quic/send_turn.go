package quic

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/datagram"
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/udp"
)

// A turn bounds what a goroutine sends for one connection before the next connection has its turn. The
// first bound that is reached ends the turn. A train that has begun is sent as a whole.
type turn struct {
	trains int
	bytes  int
	time   time.Duration
}

var (
	// senderTurn is the turn of a sender. The bytes are one train of maximum size: about 50 µs of sealing
	// and, with one system call per datagram, 100 µs in the kernel. Each connection with bulk data can
	// delay another one by this time. The time limit is for sockets that are slow or that block.
	senderTurn = turn{trains: 4, bytes: sendBufferSize, time: time.Millisecond}

	// callTurn is the turn of a Write that sends in its own call. The call must return soon.
	callTurn = turn{trains: 1, bytes: sendBufferSize, time: time.Millisecond}
)

// A sendResult is how a turn ended.
type sendResult uint8

const (
	sendQuiet   sendResult = iota // there is nothing to send
	sendMore                      // the turn is over and there is more to send
	sendBlocked                   // the socket is full, and output.rest is the rest of the train
)

// sendTrains sends until nothing is left or the turn is over. It is called with mu held and driving set and
// returns with both, except for sendBlocked, when mu is released.
func (c *Conn) sendTrains(o *output, out *outcome, limit turn) sendResult {
	now := c.ep.clock.now()
	for end, quiet := now.Add(limit.time), false; ; {
		for c.handOut(out) {
			quiet = false
			now = c.ep.clock.now()
		}
		if quiet {
			return sendQuiet
		}
		if limit.trains <= 0 || limit.bytes <= 0 || now.After(end) {
			if c.core.HasTransmit(now) {
				return sendMore
			}
			// HasTransmit changes nothing, so there are no new events.
			return sendQuiet
		}
		tx, ok := c.core.PollTransmit(now, o.buf)
		if !ok {
			// Finding nothing to send may have ended the connection, so check once more.
			quiet = true
			continue
		}
		limit.trains--
		limit.bytes -= len(tx.Data)
		o.polled, o.rest, o.sock = tx, tx, c.ep.sock
		if c.paths != nil {
			o.sock = c.socketOf(tx.Path)
		}
		c.mu.Unlock()
		c.report(out)
		err := o.sock.Write(&o.rest)
		if udp.Classify(err) == udp.ClassWouldBlock {
			return sendBlocked
		}
		c.mu.Lock()
		now = c.handleSendResult(o, err)
	}
}

// handleSendResult reports the result of sending a train to the core, and returns the time. mu is held.
func (c *Conn) handleSendResult(o *output, err error) monotime.Time {
	now := c.ep.clock.now()
	if udp.Classify(err) == udp.ClassTooLarge && c.core.HandleTooLarge(now, o.polled.SegmentSize) {
		err = nil
	}
	c.core.HandleSendResult(now, o.polled, err)
	c.sendErr = err
	return now
}

// takeTurn is called by a sender for a connection that it took from the queue.
func (c *Conn) takeTurn(o *output) {
	c.mu.Lock()
	c.queued = false
	if c.driving {
		// dispatch is handing out events and will queue the connection again.
		c.mu.Unlock()
		return
	}
	c.driving = true
	c.continueTurn(o)
}

// resumeTurn is called by a sender for a parked train. It waits for room in the socket.
func (c *Conn) resumeTurn(o *output) {
	err := c.ep.sends.writeWait(o)
	c.mu.Lock()
	c.handleSendResult(o, err)
	c.continueTurn(o)
}

// continueTurn is called with mu held and driving set, and returns without mu.
func (c *Conn) continueTurn(o *output) {
	out := outcome{bySender: true}
	result := c.sendTrains(o, &out, senderTurn)
	if result == sendBlocked {
		err := c.ep.sends.writeWait(o)
		c.mu.Lock()
		c.handleSendResult(o, err)
		// Waiting has used up the turn. Inputs that arrived meanwhile were left to this goroutine.
		for c.handOut(&out) {
		}
		result = sendQuiet
		if c.core.HasTransmit(c.ep.clock.now()) {
			result = sendMore
		}
	}
	c.stopDriving(&out, result == sendMore)
}

// sendBufferSize is the size of the largest train: the maximum for segmentation offload.
const sendBufferSize = 64 << 10

// An output is the buffer and state of a goroutine while it sends.
type output struct {
	buf    []byte
	polled datagram.Transmit // as returned by the core
	rest   datagram.Transmit // the part that has not been sent
	sock   *udp.Conn
}
