package quic

import (
	"net"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/datagram"
	"github.com/pqquic/pqquic/quic/internal/udp"
)

// news is what a driver found while it held the lock, to be told without it.
type news struct {
	wakeSet
	connected, closed, drained bool
}

// drive brings the connection to quiescence. It is called with mu held, after any input or call, and
// returns without it.
//
// Only one goroutine drives. It gives the lock up for system calls, and looks again at everything
// when it has it back, so what others have put in meanwhile is seen to.
func (c *Conn) drive() {
	var n news
	c.pollEvents(&n)
	if c.driving {
		c.mu.Unlock()
		c.tell(&n)
		return
	}
	c.driving = true
	c.continueDriving(outputs.Get().(*output), &n)
}

// unpark goes on driving after a train has waited for room in the socket.
func (c *Conn) unpark(o *output, sendErr error) {
	var n news
	c.mu.Lock()
	c.core.HandleSendResult(c.ep.clock.now(), o.polled, sendErr)
	c.sendErr = sendErr
	c.continueDriving(o, &n)
}

// continueDriving is called with mu held and driving set. It returns without mu.
func (c *Conn) continueDriving(o *output, n *news) {
	for quiet := false; ; {
		job := c.poll(o, n)
		if job != nil || len(o.events) > 0 {
			c.handOut(o, job, n)
			quiet = false
			continue
		}
		if quiet {
			break
		}
		tx, ok := c.core.PollTransmit(c.ep.clock.now(), o.buf)
		// Having nothing to send may have ended the connection: look once more.
		quiet = !ok
		if ok && !c.transmit(o, tx, n) {
			return
		}
	}
	c.driving = false
	if !c.over {
		c.ep.timers.set(&c.timer, c.core.NextTimeout())
	} else {
		c.ep.timers.set(&c.timer, 0)
	}
	c.settling.addAll(&n.wakeSet)
	n.drained = c.drained
	c.drained = false
	c.mu.Unlock()
	o.release()
	c.tell(n)
}

// poll takes what the core has for others than the network.
func (c *Conn) poll(o *output, n *news) *core.TLSJob {
	job := c.core.PollTLS()
	c.pollEvents(n)
	for {
		ev, ok := c.core.PollEndpointEvent()
		if !ok {
			return job
		}
		o.events = append(o.events, ev)
	}
}

// handOut passes on what poll took, with mu released meanwhile. It comes before any packet: the
// Endpoint has to know a connection ID before the peer does.
func (c *Conn) handOut(o *output, job *core.TLSJob, n *news) {
	c.mu.Unlock()
	c.tell(n)
	c.ep.applyEvents(c, o.events)
	clear(o.events)
	o.events = o.events[:0]
	if job != nil {
		c.ep.pool.submit(tlsTask{c, job})
	}
	c.mu.Lock()
}

// transmit sends a train with mu released meanwhile. False means that it was parked, and the driving
// with it; mu is then released.
func (c *Conn) transmit(o *output, tx datagram.Transmit, n *news) bool {
	c.mu.Unlock()
	c.tell(n)
	o.polled, o.tx = tx, tx
	err := c.ep.sock.Write(&o.tx)
	if udp.Classify(err) == udp.ClassWouldBlock {
		c.ep.parked.park(c, o)
		return false
	}
	c.mu.Lock()
	c.core.HandleSendResult(c.ep.clock.now(), tx, err)
	c.sendErr = err
	return true
}

// pollEvents takes the core's news for the application. mu is held.
func (c *Conn) pollEvents(n *news) {
	if !c.core.TLSBusy() {
		c.exporting.addAll(&n.wakeSet)
	}
	for {
		ev, ok := c.core.PollEvent()
		if !ok {
			break
		}
		switch ev.Kind {
		case core.EventConnected:
			c.isUp, n.connected = true, true
		case core.EventStream:
			c.handleStreamEvent(ev.Stream, &n.wakeSet)
		case core.EventFlushed:
			c.flushing.addAll(&n.wakeSet)
		case core.EventClosed:
			c.over, n.closed = true, true
			c.err = c.override
			if c.err == nil {
				c.err = blame(closeError(c.core.Err()), c.sendErr)
			}
			c.wakeAll(&n.wakeSet)
		case core.EventDrained:
			// For the driver to tell, whose last packet may be on its way: an Endpoint that goes with
			// this connection must not close the socket before.
			c.drained = true
		}
	}
	if c.ep.draining.Load() && c.idle() {
		c.core.Close(c.ep.clock.now(), true, 0, "")
		c.pollEvents(n)
	}
}

// tell passes the news on. No lock is held.
func (c *Conn) tell(n *news) {
	n.wake()
	if n.connected {
		n.connected = false
		c.tellConnected()
	}
	if n.closed {
		n.closed = false
		if c.ep.logs() {
			c.ep.log.Debug("quic: connection closed", "remote", c.RemoteAddr(), "err", c.err)
		}
		c.cancel(c.err)
	}
	if n.drained {
		n.drained = false
		if c.ownTLS != nil {
			c.ownTLS.Close()
		}
		c.ep.remove(c)
	}
}

func (c *Conn) tellConnected() {
	close(c.connected)
	if c.ep.logs() {
		s := c.ConnectionState()
		c.ep.log.Debug("quic: connection established", "remote", c.RemoteAddr(), "server", c.server,
			"provider", s.TLS.Provider, "group", s.TLS.Group.String(), "alpn", s.TLS.ALPN)
	}
	if c.server && !c.ep.deliver(c) {
		c.abort(&TransportError{Code: ConnectionRefused, err: net.ErrClosed}, uint64(ConnectionRefused))
	}
}
