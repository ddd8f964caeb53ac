package quic

import (
	"time"

	"github.com/pqquic/pqquic/quic/internal/datagram"
	"github.com/pqquic/pqquic/quic/internal/udp"
)

// A turn bounds what a goroutine sends of one connection before the next connection has its turn. The
// bound that is met first ends the turn; a train that was begun is sent as a whole.
type turn struct {
	trains int
	bytes  int
	time   time.Duration
}

var (
	// senderTurn is a sender's. The bytes are one train of the largest size: about 50 µs of sealing
	// and, one datagram a system call, 100 µs in the kernel. That is how long each connection with
	// bulk data can delay another one. The time is for sockets that are slow, or that block.
	senderTurn = turn{trains: 4, bytes: sendBufferSize, time: time.Millisecond}

	// callTurn is that of an application's call. One train carries a request or a response, without
	// the cost and the delay of waking a sender; the call must return soon.
	callTurn = turn{trains: 1, bytes: sendBufferSize, time: time.Millisecond}
)

// A sendResult is how a turn ended.
type sendResult uint8

const (
	sendQuiet   sendResult = iota // there is nothing to send
	sendMore                      // the turn is over, and there is more
	sendBlocked                   // the socket is full: output.rest is what is left of the train
)

// sendTrains sends until nothing is left or the turn is over. It is called with mu held and driving
// set, and returns likewise, but for sendBlocked, when mu is released.
func (c *Conn) sendTrains(o *output, out *outcome, limit turn) sendResult {
	now := c.ep.clock.now()
	for end, quiet := now.Add(limit.time), false; ; now = c.ep.clock.now() {
		for c.handOut(out) {
			quiet = false
		}
		if quiet {
			return sendQuiet
		}
		if limit.trains <= 0 || limit.bytes <= 0 || now.After(end) {
			if c.core.HasTransmit(now) {
				return sendMore
			}
			// HasTransmit changes nothing, so there are no events to look for.
			return sendQuiet
		}
		tx, ok := c.core.PollTransmit(now, o.buf)
		if !ok {
			// Having nothing to send may have ended the connection: look once more.
			quiet = true
			continue
		}
		limit.trains--
		limit.bytes -= len(tx.Data)
		c.mu.Unlock()
		c.report(out)
		o.polled, o.rest = tx, tx
		err := c.ep.sock.Write(&o.rest)
		switch udp.Classify(err) {
		case udp.ClassWouldBlock:
			return sendBlocked
		case udp.ClassRefused:
			c.ep.noteICMP() // a Write may take the error that would have woken the reader
		}
		c.mu.Lock()
		c.handleSendResult(o, err)
	}
}

// handleSendResult is called with mu held when a train has been sent.
func (c *Conn) handleSendResult(o *output, err error) {
	c.core.HandleSendResult(c.ep.clock.now(), o.polled, err)
	c.sendErr = err
}

// takeTurn is called by a sender for a connection that it took from the queue. It reports whether there
// is more to send.
func (c *Conn) takeTurn(o *output) (more bool) {
	c.mu.Lock()
	c.queued = false
	if c.driving {
		// dispatch is handing out events. It queues the connection again.
		c.mu.Unlock()
		return false
	}
	c.driving = true
	return c.continueTurn(o)
}

// resumeTurn is called by a sender for a train that is parked. It waits for room in the socket.
func (c *Conn) resumeTurn(o *output) {
	err := c.ep.sends.writeWait(o)
	c.mu.Lock()
	c.handleSendResult(o, err)
	c.continueTurn(o)
}

// continueTurn is called with mu held and driving set. It returns without mu, and reports whether there is
// more to send.
func (c *Conn) continueTurn(o *output) (more bool) {
	var out outcome
	result := c.sendTrains(o, &out, senderTurn)
	if result == sendBlocked {
		err := c.ep.sends.writeWait(o)
		c.mu.Lock()
		c.handleSendResult(o, err)
		// The wait was the turn. What came in meanwhile was left to us.
		for c.handOut(&out) {
		}
		result = sendQuiet
		if c.core.HasTransmit(c.ep.clock.now()) {
			result = sendMore
		}
	}
	c.stopDriving(&out, result == sendMore)
	return result == sendMore
}

// sendBufferSize holds a train of the largest size: what segmentation offload takes in one call.
const sendBufferSize = 64 << 10

// An output is what a goroutine needs while it sends.
type output struct {
	buf    []byte
	polled datagram.Transmit // as it came from the core
	rest   datagram.Transmit // what is still to be sent of it
}
