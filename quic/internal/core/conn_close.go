package core

import (
	"github.com/pqquic/pqquic/quic/internal/monotime"
	"github.com/pqquic/pqquic/quic/internal/recovery"
	"github.com/pqquic/pqquic/quic/internal/wire"
	"github.com/pqquic/pqquic/tlsprovider"
)

// The states of a connection. The closing and draining periods (RFC 9000, 10.2) are the Endpoint's, which
// keeps a Remnant of the connection for them.
const (
	stateOpen    = iota
	stateClosing // CONNECTION_CLOSE waits to be sent
	stateGone    // nothing more will be sent or received
)

// closeState records how the connection ends.
type closeState struct {
	err *CloseError
	// deferred is the peer's error if the peer has closed while the TLS job for its last flight runs. Until
	// the job returns, nothing is sent.
	deferred *CloseError
	state    uint8
	drained  bool
	// flushed is set once the train before CONNECTION_CLOSE has been built.
	flushed bool
	// readable is set if data that arrived before the end can still be read.
	readable bool
}

// maxReason is the maximum length of the reason phrases that we send and keep.
const maxReason = 256

// Err returns why the connection ended, or nil if it is open.
func (c *Conn) Err() *CloseError { return c.closing.err }

// Close ends the connection and has PollTransmit return a CONNECTION_CLOSE frame. Data that has not been
// acknowledged may be lost: see Flushed.
//
// "An endpoint that wishes to communicate a fatal connection error MUST use a CONNECTION_CLOSE frame if it is able."
// https://www.rfc-editor.org/rfc/rfc9000#section-10.3-2
func (c *Conn) Close(now monotime.Time, application bool, code uint64, reason string) {
	c.clamp(now)
	c.abort(&CloseError{Application: application, Code: code, Reason: reason})
}

// abortf closes the connection because the peer violated the protocol.
//
// "Errors that result in the connection being unusable, such as an obvious violation of protocol semantics or
// corruption of state that affects an entire connection, MUST be signaled using a CONNECTION_CLOSE frame (Section
// 19.19)."
// https://www.rfc-editor.org/rfc/rfc9000#section-11.1-1
func (c *Conn) abortf(code wire.ErrorCode, frame uint64, reason string) {
	c.abort(&CloseError{Code: uint64(code), FrameType: frame, Reason: reason})
}

// abort ends the connection and has a CONNECTION_CLOSE frame sent.
func (c *Conn) abort(err *CloseError) {
	if c.closing.state != stateOpen {
		return
	}
	if len(err.Reason) > maxReason {
		err.Reason = err.Reason[:maxReason]
	}
	c.closing.state, c.closing.err = stateClosing, err
	c.events.add(Event{Kind: EventClosed})
	c.traced(TraceEvent{Kind: TraceClosed, Close: err})
}

// end ends the connection without sending anything.
func (c *Conn) end(err *CloseError, remnant Remnant) {
	if c.closing.state == stateOpen {
		c.closing.err = err
		c.events.add(Event{Kind: EventClosed})
		c.traced(TraceEvent{Kind: TraceClosed, Close: err})
	}
	if c.closing.state == stateGone {
		return
	}
	c.closing.state = stateGone
	// When the peer's application closes, it may already have sent data that our application has not read.
	c.closing.readable = c.closing.err.Remote && c.closing.err.Application
	c.release()
	c.events.addEndpoint(EndpointEvent{Kind: ConnClosed, Path: c.path, Remnant: remnant})
	c.maybeDrained()
}

// release frees everything that the connection holds except its events.
func (c *Conn) release() {
	for s := range c.spaces {
		if sp := c.spaces[s]; !sp.discarded {
			tlsprovider.Keys{Sealer: sp.seal, Opener: sp.open}.Close()
			sp.seal, sp.open = nil, nil
			sp.cryptoStreams.free()
			sp.cryptoStreams = &noCrypto
		}
	}
	c.ext.versions.close()
	c.early = nil
	c.zero.close()
	c.releaseDatagrams()
	if c.closing.readable {
		c.streams.CloseSending()
	} else {
		c.streams.Close()
	}
	c.loss.Close()
	if !c.tls.busy && c.tls.session != nil {
		c.tls.session.Close()
		c.tls.session = nil
	}
}

// maybeDrained queues EventDrained once the connection has ended and no TLS job is running.
func (c *Conn) maybeDrained() {
	if c.closing.state == stateGone && !c.tls.busy && !c.closing.drained {
		c.closing.drained = true
		c.events.add(Event{Kind: EventDrained})
		c.traced(TraceEvent{Kind: TraceEnd})
		c.trace = nil
	}
}

// handleConnectionClose handles a CONNECTION_CLOSE frame.
//
// "The draining state is entered once an endpoint receives a CONNECTION_CLOSE frame [...]. [...] an
// endpoint in the draining state MUST NOT send any packets."
// https://www.rfc-editor.org/rfc/rfc9000#section-10.2.2-1
func (c *Conn) handleConnectionClose(s recovery.Space, f wire.ConnectionClose) {
	reason := f.Reason
	if len(reason) > maxReason {
		reason = reason[:maxReason]
	}
	err := &CloseError{Remote: true, Application: f.Application, Code: f.Code, FrameType: f.FrameType,
		Reason: string(reason)}
	if c.completing(s) {
		// A client that closes right after its handshake sends the frame in a Handshake and in a 1-RTT
		// packet. The latter has the application's error, and can be opened when the job returns.
		c.closing.deferred = err
		return
	}
	c.drain(err)
}

// completing reports whether a TLS job with the client's last flight, which usually completes the
// handshake, runs or is due when a packet of s arrives.
func (c *Conn) completing(s recovery.Space) bool {
	return s == recovery.SpaceHandshake && c.side == tlsprovider.Server && !c.tls.complete &&
		(c.tls.busy || c.spaces[s].in.ready())
}

// drain ends the connection because the peer has closed it.
//
// "An endpoint MUST NOT send further packets."
// https://www.rfc-editor.org/rfc/rfc9000#section-10.2.2-2
func (c *Conn) drain(err *CloseError) {
	c.end(err, Remnant{Expires: c.now.Add(3 * c.loss.PTO())})
}

// HandleStatelessReset ends the connection because the peer sent a stateless reset.
//
// "If the last 16 bytes of the datagram are identical in value to a stateless reset token, the endpoint MUST enter
// the draining period and not send any further packets on this connection."
// https://www.rfc-editor.org/rfc/rfc9000#section-10.3.1-5
func (c *Conn) HandleStatelessReset(now monotime.Time) {
	c.clamp(now)
	c.end(&CloseError{Silent: ErrStatelessReset}, Remnant{Expires: c.now.Add(3 * c.loss.PTO())})
}

// flushes reports whether a train with what was written goes before CONNECTION_CLOSE. One does if the application
// closes the connection, so that the last data and the reason for the end arrive together. It returns true once.
func (c *Conn) flushes() bool {
	switch {
	case c.closing.flushed, !c.closing.err.Application, c.Flushed(), !c.streams.HasPending() && !c.hasDatagrams(),
		!c.tls.complete, c.spaces[recovery.SpaceApp].seal == nil, c.keys.spent():
		return false
	}
	c.closing.flushed = true
	return true
}

// pollClose builds the datagram with CONNECTION_CLOSE and ends the connection.
//
// "A client will always know whether the server has Handshake keys [...], but it is possible that a
// server does not know whether the client has Handshake keys. Under these circumstances, a server SHOULD
// send a CONNECTION_CLOSE frame in both Handshake and Initial packets [...]"
// https://www.rfc-editor.org/rfc/rfc9000#section-10.2.3-2.1
// "After the handshake is confirmed (see Section 4.1.2 of [QUIC-TLS]), an endpoint MUST send any CONNECTION_CLOSE
// frames in a 1-RTT packet."
// https://www.rfc-editor.org/rfc/rfc9000#section-10.2.3-1
func (c *Conn) pollClose(buf []byte) (Transmit, bool) {
	d := newDatagram(c, buf[:0], min(c.loss.Path().AmplificationCredit(), c.cfg.DatagramSize, len(buf)))
	for s := recovery.SpaceInitial; s < recovery.NumSpaces; s++ {
		switch {
		case c.spaces[s].seal == nil,
			s == recovery.SpaceInitial && c.side == tlsprovider.Client && c.spaces[recovery.SpaceHandshake].seal != nil,
			s == recovery.SpaceApp && !c.tls.complete && d.packets() > 0:
			continue
		}
		if !d.start(s) {
			break
		}
		if s == recovery.SpaceHandshake && c.tls.complete {
			c.appendLastFlight(d)
		}
		d.payload = c.closeFrame(s, d.room()).Append(d.payload)
		d.finish(sentInfo{untracked: true}) // not ack-eliciting: a server need not pad it, and may not have the credit to
	}
	if d.packets() == 0 || !d.seal() {
		c.end(nil, Remnant{Expires: c.now.Add(3 * c.loss.PTO())})
		return Transmit{}, false
	}
	tx := c.transmit(d, len(d.b))
	keep := append([]byte(nil), d.b...)
	c.end(nil, Remnant{Close: keep, Expires: c.now.Add(3 * c.loss.PTO())})
	return tx, true
}

// appendLastFlight appends the CRYPTO data of a client that closes before it has sent its last flight. With
// it, the server completes the handshake, and can open the 1-RTT packet with the application's error.
func (c *Conn) appendLastFlight(d *datagramBuilder) {
	const s = recovery.SpaceHandshake
	room := d.room() - c.closeFrame(s, d.room()).Size()
	room -= minPacketRoom + c.closeFrame(recovery.SpaceApp, d.room()).Size() // of the 1-RTT packet
	d.payload, _ = c.spaces[s].crypto.appendFrames(d.payload, room, nil)
}

// closeFrame returns the CONNECTION_CLOSE frame in the form that packets of space s may carry.
func (c *Conn) closeFrame(s recovery.Space, room int) wire.ConnectionClose {
	err := c.closing.err
	f := wire.ConnectionClose{Application: err.Application, Code: err.Code, FrameType: err.FrameType,
		Reason: []byte(err.Reason)}
	if err.Application && s != recovery.SpaceApp {
		// "Endpoints MUST clear the value of the Reason Phrase field and SHOULD use the
		// APPLICATION_ERROR code when converting to a CONNECTION_CLOSE of type 0x1c."
		// https://www.rfc-editor.org/rfc/rfc9000#section-10.2.3-3
		f = wire.ConnectionClose{Code: uint64(wire.ApplicationError)}
	}
	if over := f.Size() - room; over > 0 {
		f.Reason = f.Reason[:max(0, len(f.Reason)-over)]
	}
	return f
}
