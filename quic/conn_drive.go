package quic

import (
	"net"
	"runtime"
	"time"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/monotime"
)

// Driving
//
// A connection's outputs are TLS jobs, events, endpoint events and trains of packets. One goroutine at a
// time takes them: it drives the connection. It releases mu to call the Endpoint, the TLS pool or the
// kernel, and checks everything again when it has locked mu again. Two fields, guarded by mu, record the
// state:
//
//	         driving  queued
//	idle     no       no      nothing can be sent now; an input or the timer changes that
//	queued   no       yes     the connection is in the send queue, once; a sender will come
//	driving  yes      no      one goroutine drives
//	         yes      yes     dispatch hands out events of a connection that waits for a sender
//	parked   yes      no      a train waits for room in the socket, and the driving with it
//
// The transitions, each made with mu held:
//
//	idle, queued → driving   dispatch, for an input (receive, timer and TLS goroutines), and leave, for
//	                         a call of the application. They never build a train.
//	idle → queued            leave, if it has nothing to hand out.
//	idle → driving           drive, for a large Write, a close, or a TLS step that runs where it is
//	                         (tls_here.go). It sends one train at most.
//	queued → driving         takeTurn, by a sender, for one turn (see send_queue.go).
//	driving → parked         the socket is full. Only a sender leaves this state again.
//	driving → queued         there is more to send: stopDriving.
//	driving → idle           PollTransmit or HasTransmit found nothing to send: stopDriving.
//
// No wakeup is lost. A goroutine that finds driving set leaves its input in the core, because the driver
// decides to stop only while it holds mu, after it has checked whether anything is left. A goroutine that
// finds queued set relies on the sender that will come. See docs/sending.md.

// An outcome is what a driver found while it held mu and must act upon after it has released mu.
type outcome struct {
	wakeSet
	connected, closed, drained bool
	early                      bool     // EventEarlyData
	tokens                     [][]byte // of NEW_TOKEN frames
	greases                    bool     // the server that has sent them accepts any fixed bit
	fired                      bool     // the connection's timer fired
	bySender                   bool     // the driver is a sender, in its turn
	byWorker                   bool     // the driver is a TLS worker, which takes its next job afterwards
	runsTLS                    bool     // the driver runs TLS jobs itself if it can: see tls_here.go
	paths                      []*Path  // their sockets must be closed
}

// busyTimerPause is the time after which a timer that fires on a busy connection fires again. The
// driver usually sets the timer long before. If the socket stays full, it does not, and the connection
// must still time out.
const busyTimerPause = 50 * time.Millisecond

// dispatch follows an input on a receive, timer or TLS goroutine. It passes on everything but packets, and
// leaves packets to a sender. fired is set if the input was the connection's timer. dispatch is called with
// mu held and returns without it. It is not inlined, so that leave needs less of the stack.
//
//go:noinline
func (c *Conn) dispatch(now monotime.Time, fired bool) { c.dispatchAs(now, &outcome{fired: fired}) }

// dispatchAs is dispatch for a driver that out describes.
func (c *Conn) dispatchAs(now monotime.Time, out *outcome) {
	c.pollEvents(out)
	if c.driving {
		c.keepTimer(out)
		c.mu.Unlock()
		c.report(out)
		return
	}
	c.driving = true
	for c.handOut(out) {
	}
	c.stopDriving(out, c.core.HasTransmit(now))
}

// leave follows a call of the application that adds little. It leaves packets to a sender, which runs when
// the application waits, so that what the application's next calls add travels in the same packets: a
// request and the end of its stream, or the streams of several goroutines. (The workloads request and
// streams-32 of bench/peers show the difference.) It is called with mu held and returns without it.
//
// Most calls leave nothing to hand out. leave then does what dispatch would do with less work, and with less of the
// stack: a goroutine of a server that serves one stream and ends does not outgrow its first stack, which costs more
// than the rest of the call. (The workload streams-32 of bench/peers shows it.)
func (c *Conn) leave() {
	if c.hasOutput() {
		c.dispatch(c.ep.clock.now(), false)
		return
	}
	push := false
	if !c.driving && !c.queued { // otherwise a driver or a sender checks everything again
		// The core keeps the time of the call, which was just now: its time does not run backwards.
		push = c.core.HasTransmit(0)
		if push {
			c.queued = true
		} else {
			c.setTimer()
		}
	}
	c.mu.Unlock()
	if push && !c.ep.sends.push(&c.inQueue) {
		c.leaveQueue()
	}
}

// hasOutput reports whether dispatch may have something to hand out or someone to wake. mu is held.
func (c *Conn) hasOutput() bool {
	return c.core.HasOutput() || len(c.exporting) > 0 || len(c.waitingSent) > 0 || c.ep.draining.Load() != nil
}

// drive follows a call of the application that adds a large piece or the last one. It is like leave, but sends a train
// itself if no other goroutine is about to, which avoids waking a sender.
func (c *Conn) drive() { c.driveAs(&outcome{}) }

// driveAs is drive for a driver that out describes.
func (c *Conn) driveAs(out *outcome) {
	c.pollEvents(out)
	if c.driving || c.queued {
		c.mu.Unlock()
		c.report(out)
		return
	}
	c.driving = true
	for c.handOut(out) {
	}
	more := c.core.HasTransmit(c.ep.clock.now())
	if more {
		if o := c.ep.sends.borrow(); o != nil {
			result := c.sendTrains(o, out, callTurn)
			if result == sendBlocked {
				if !c.ep.sends.park(c, o) {
					c.resumeTurn(o) // the socket is closed and does not block
					c.ep.sends.giveBack(o)
				}
				return
			}
			c.ep.sends.giveBack(o)
			more = result == sendMore
		}
	}
	c.stopDriving(out, more)
}

// stopDriving makes the connection idle, or queued if there is more to send. It is called with mu held and
// driving set, and returns without mu.
func (c *Conn) stopDriving(out *outcome, more bool) {
	c.driving = false
	out.drained = c.drained
	c.drained = false
	push := more && !c.queued
	if push {
		c.queued = true
	}
	if c.queued {
		c.keepTimer(out)
	} else {
		c.becomeIdle(&out.wakeSet)
	}
	c.mu.Unlock()
	if push {
		put := c.ep.sends.push
		if out.bySender {
			put = c.ep.sends.requeue
		}
		if !put(&c.inQueue) {
			c.leaveQueue()
		}
	}
	c.report(out)
}

// keepTimer sets the timer again after it fired on a connection that is not idle. mu is held.
func (c *Conn) keepTimer(out *outcome) {
	if !out.fired || c.over {
		return
	}
	if next := c.core.NextTimeout(); !next.IsZero() {
		earliest := c.ep.clock.now().Add(busyTimerPause)
		if next.Before(earliest) {
			next = earliest
		}
		c.ep.timers.update(&c.timer, next)
	}
}

// becomeIdle is called with mu held when nothing is left to send.
func (c *Conn) becomeIdle(w *wakeSet) {
	c.setTimer()
	c.waitingSent.addAll(w)
}

// setTimer sets the timer of a connection that becomes idle. mu is held.
func (c *Conn) setTimer() {
	var next monotime.Time
	if !c.over {
		next = c.core.NextTimeout()
	}
	c.ep.timers.update(&c.timer, next)
}

// leaveQueue undoes stopDriving when the Endpoint is closed and sends nothing any more. The connection is
// closed, too: when its packets are dropped, CONNECTION_CLOSE among them, it frees its keys.
func (c *Conn) leaveQueue() {
	o := outputs.Get().(*output)
	defer o.release()
	c.mu.Lock()
	c.queued = false
	now := c.ep.clock.now()
	c.dropPackets(now, o)
	c.dispatch(now, false)
}

// dropPackets polls packets of the core without sending them. mu is held.
func (c *Conn) dropPackets(now monotime.Time, o *output) {
	for ok := true; ok; {
		_, ok = c.core.PollTransmit(now, o.buf)
	}
}

// handOut passes on TLS jobs, events and endpoint events, and releases mu meanwhile. It reports whether
// there were any, in which case it must be called again. Packets are only polled after a handOut that found
// nothing, because the Endpoint must know a connection ID before the peer does.
func (c *Conn) handOut(out *outcome) bool {
	job := c.core.PollTLS()
	c.pollEvents(out)
	events := c.core.PollEndpointEvents()
	if job == nil && len(events) == 0 {
		return false
	}
	c.mu.Unlock()
	connected := out.connected
	c.report(out)
	conflicts := c.ep.applyEvents(c, events)
	if job != nil && !(out.runsTLS && c.runHere(job)) {
		c.ep.pool.submit(tlsTask{c, job}, out.byWorker)
	}
	if connected {
		// Let the goroutine that waited for the handshake run now. What it writes at once is then sent in
		// the same datagram as the end of the handshake.
		runtime.Gosched()
	}
	c.mu.Lock()
	for _, ev := range conflicts {
		c.core.HandleIDConflict(c.ep.clock.now(), ev)
	}
	return true
}

// pollEvents takes the core's events for the application. mu is held.
func (c *Conn) pollEvents(out *outcome) {
	if !c.core.TLSBusy() {
		c.exporting.addAll(&out.wakeSet)
	}
	if l := c.core.PollReturned(); l != nil {
		c.ep.returns.push(l)
	}
	for {
		ev, ok := c.core.PollEvent()
		if !ok {
			break
		}
		switch ev.Kind {
		case core.EventConnected:
			c.isUp, out.connected = true, true
			c.upAt = c.ep.clock.now()
		case core.EventEarlyData:
			c.isEarly, out.early = true, true
		case core.EventToken:
			out.tokens, out.greases = append(out.tokens, c.core.TakeToken()), c.core.PeerGreases()
		case core.EventStream:
			c.handleStreamEvent(ev.Stream, &out.wakeSet)
		case core.EventDatagram, core.EventDatagramRoom:
			c.wakeDatagrams(ev.Kind, &out.wakeSet)
		case core.EventPathValidated, core.EventPathGone:
			c.handlePathEvent(ev, out)
		case core.EventFlushed:
			c.flushing.addAll(&out.wakeSet)
		case core.EventClosed:
			c.over, out.closed = true, true
			c.err = c.override
			if c.err == nil {
				c.err = withSocketError(closeError(c.core.Err()), c.sendErr)
			}
			c.wakeAll(&out.wakeSet)
		case core.EventDrained:
			// The driver reports it when it stops, because its last packet may not be sent yet: an Endpoint
			// that closes with this connection must not close the socket before.
			c.drained = true
		}
	}
	if c.paths != nil && !c.over {
		c.retryPaths(out)
	}
	if d := c.ep.draining.Load(); d != nil && c.idle() {
		c.core.Close(c.ep.clock.now(), true, d.Code, d.Reason)
		c.pollEvents(out)
	}
}

// report acts on an outcome. No lock is held.
func (c *Conn) report(out *outcome) {
	out.wake()
	if out.paths != nil {
		out.closePaths()
	}
	if out.tokens != nil {
		c.storeTokens(out.tokens, out.greases)
		out.tokens = nil
	}
	if out.early {
		out.early = false
		c.reportEarly()
	}
	if out.connected {
		out.connected = false
		c.reportConnected()
	}
	if out.closed {
		out.closed = false
		if !c.isUp {
			c.noteFailure()
		}
		if c.ep.logs() {
			c.ep.log.Debug("quic: connection closed", "remote", c.RemoteAddr(), "err", c.err)
		}
		c.ep.notePanic(c.RemoteAddr(), c.err)
		c.releaseTLS()
		c.setEnded()
		c.notify(ConnEnded)
	}
	if out.drained {
		out.drained = false
		c.endPaths()
		c.ep.remove(c)
	}
}

func (c *Conn) reportConnected() {
	c.releaseTLS()
	c.noteComplete() // before goroutines learn of it, which may read the counters
	c.setComplete()
	c.notify(ConnEstablished)
	if c.ep.logs() {
		s := c.ConnectionState()
		c.ep.log.Debug("quic: connection established", "remote", c.RemoteAddr(), "server", c.server,
			"provider", s.TLS.Provider, "group", s.TLS.Group.String(), "alpn", s.TLS.ALPN)
	}
	c.mu.Lock()
	delivered := c.isEarly
	c.mu.Unlock()
	if c.server && !delivered {
		c.deliver()
	}
}

// deliver passes a server's connection to the Listener.
func (c *Conn) deliver() {
	if !c.ep.deliver(c) {
		c.abort(&TransportError{Code: ConnectionRefused, err: net.ErrClosed}, uint64(ConnectionRefused))
	}
}
