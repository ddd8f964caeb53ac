package http3

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/pqquic/pqquic/http3/internal/frame"
	"github.com/pqquic/pqquic/quic"
)

// A conn is an HTTP/3 connection: what client and server share of it. It sends SETTINGS, processes the peer's unidirectional
// streams, and encodes and decodes field sections. It has no goroutine while nothing happens.
type conn struct {
	qc    *quic.Conn
	cfg   *connConfig
	owner connOwner

	peer atomic.Pointer[frame.List] // the settings in force

	control critical
	recv    recvControl
	enc     encoder
	dec     decoder

	datagrams atomic.Pointer[datagrams] // nil if they are not enabled

	// junk counts what the peer may send although it has no effect: frames and streams of unknown types, and empty frames.
	junk atomic.Int64

	mu     sync.Mutex
	opened [4]bool       // unidirectional streams of the peer, by type
	err    *Error        // why this side has closed the connection
	ready  chan struct{} // closed when the peer's SETTINGS have arrived; nil until a goroutine waits for them or they arrive
}

// A connConfig is what the connections of a Server or Transport have in common.
type connConfig struct {
	settings frame.List // those that this side sends
	// maxHeader is the size of the largest field section that is accepted (RFC 9114, 4.2.2).
	maxHeader int
	// encoderCapacity bounds the memory of the encoder's dynamic table; 0 means that only the static table is used.
	encoderCapacity int
}

// A connOwner is the server's or client's part of a connection. Its methods are called on goroutines of streams.
type connOwner interface {
	// handleStream takes a bidirectional stream that the peer has opened.
	handleStream(*quic.Stream)
	// handleUniStream takes a unidirectional stream of an unknown type, which has been read, and reports whether it has.
	handleUniStream(typ uint64, s *quic.ReceiveStream) bool
	// handleSettings is called when the peer's settings are in force.
	handleSettings(*frame.List) error
	// handleFrame handles a frame of the control stream other than SETTINGS, and those of unknown types. The payload is valid
	// during the call.
	handleFrame(typ uint64, payload []byte) error
}

// init prepares the HTTP/3 connection on a QUIC connection. start begins it.
func (c *conn) init(qc *quic.Conn, cfg *connConfig, owner connOwner) {
	c.qc, c.cfg, c.owner = qc, cfg, owner
	c.peer.Store(&initialSettings)
}

var initialSettings = *frame.Initial()

// start sends SETTINGS and begins to accept streams.
//
// "Each side MUST initiate a single control stream at the beginning of the connection and send its SETTINGS frame as the first
// frame on this stream."
// https://www.rfc-editor.org/rfc/rfc9114#section-6.2.1-2
//
// "Endpoints MUST NOT require any data to be received from the peer prior to sending the SETTINGS frame; settings MUST be sent as
// soon as the transport is ready to send data."
// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.4.2-3
func (c *conn) start() error {
	c.control.mu.Lock()
	err := c.openControl()
	c.control.mu.Unlock()
	if err != nil {
		return c.fail(err)
	}
	c.logSettings("local", &c.cfg.settings)
	if c.cfg.settings.Datagrams {
		c.enableDatagrams()
	}
	c.qc.HandleStreams(c.owner.handleStream, c.handleUni)
	return nil
}

// seed returns a number that differs between connections, for values that peers must ignore. It comes from the connection ID.
func (c *conn) seed() (v uint64) {
	for _, d := range []byte(c.qc.ID()) {
		v = v*31 + uint64(d)
	}
	return v
}

// fail ends the connection if the peer has violated the protocol, and returns the error as an *Error. That of a single stream,
// and those of package quic, which has ended the connection already, are returned as they are.
func (c *conn) fail(err error) error {
	e := asError(err)
	if e == nil {
		return err
	}
	if e.Stream || e.Remote {
		return e
	}
	c.mu.Lock()
	if c.err == nil {
		c.err = e
	}
	c.mu.Unlock()
	_ = c.qc.CloseWithError(uint64(e.Code), e.Reason) // fails only for codes that do not exist
	return e
}

// closeError returns why the connection has ended, from this side's view, for the error of a call of package quic.
func (c *conn) closeError(err error) error {
	c.mu.Lock()
	e := c.err
	c.mu.Unlock()
	if e != nil && c.qc.Context().Err() != nil {
		return e
	}
	return fromPeer(err)
}

// maxJunk is the number of frames and streams without a meaning that a peer may send before the next request.
const maxJunk = 1000

// countJunk counts something without a meaning.
//
// "Implementations SHOULD track the use of these features and set limits on their use. An endpoint MAY treat activity that is
// suspicious as a connection error of type H3_EXCESSIVE_LOAD"
// https://www.rfc-editor.org/rfc/rfc9114#section-10.5-7
func (c *conn) countJunk() error {
	if c.junk.Add(1) > maxJunk {
		return connErrorf(ErrCodeExcessiveLoad, "more than %d frames or streams without a meaning", maxJunk)
	}
	return nil
}

// closedChannel is the field ready of connections for whose settings no goroutine waited before they arrived.
var closedChannel = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// settingsArrived returns a channel that is closed when the peer's SETTINGS have arrived.
func (c *conn) settingsArrived() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ready == nil {
		c.ready = make(chan struct{})
	}
	return c.ready
}

// setSettings puts the peer's SETTINGS in force.
func (c *conn) setSettings(l *frame.List) {
	c.peer.Store(l)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ready != nil {
		close(c.ready)
	}
	c.ready = closedChannel
}

// settings returns the peer's settings that are in force.
func (c *conn) settings() *frame.List { return c.peer.Load() }

// awaitSettings waits for the peer's SETTINGS.
func (c *conn) awaitSettings(ctx context.Context) (*frame.List, error) {
	select {
	case <-c.settingsArrived():
		return c.peer.Load(), nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-c.qc.Context().Done():
		return nil, c.closeError(context.Cause(c.qc.Context()))
	}
}

// readUntil passes what arrives on a unidirectional stream to handle, without waiting, until there is nothing left. Then it
// arranges for again to be called when there is more.
func (c *conn) readUntil(rs *quic.ReceiveStream, handle func([]byte) error, again func()) error {
	for {
		b, err := rs.Peek(0)
		if len(b) == 0 && err == nil {
			rs.WhenReadable(again)
			return nil
		}
		if len(b) > 0 {
			if err := handle(b); err != nil {
				return err
			}
			_, err = rs.Discard(len(b))
		}
		if err != nil {
			return c.criticalError(rs, err)
		}
	}
}

// criticalError returns the error for the end of a critical stream.
//
// "If either control stream is closed at any point, this MUST be treated as a connection error of type
// H3_CLOSED_CRITICAL_STREAM."
// https://www.rfc-editor.org/rfc/rfc9114#section-6.2.1-2
func (c *conn) criticalError(rs *quic.ReceiveStream, err error) error {
	var se *quic.StreamError
	if err == io.EOF || errors.As(err, &se) && se.Remote {
		return connErrorf(ErrCodeClosedCriticalStream, "the peer has closed its stream %d, which the connection needs", rs.ID())
	}
	return c.closeError(err)
}
