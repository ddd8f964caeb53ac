package http3

import (
	"errors"
	"sync"

	"github.com/pqquic/pqquic/http3/internal/frame"
	"github.com/pqquic/pqquic/internal/varint"
	"github.com/pqquic/pqquic/quic"
)

// handleUni runs on the goroutine of a unidirectional stream that the peer has opened.
func (c *conn) handleUni(rs *quic.ReceiveStream) {
	typ, err := readStreamType(rs)
	if err != nil {
		// "A receiver MUST tolerate unidirectional streams being closed or reset prior to the reception of the unidirectional
		// stream header."
		// https://www.rfc-editor.org/rfc/rfc9114#section-6.2-10
		//
		// A flood of such streams costs a goroutine for each.
		if err := c.countJunk(); err != nil {
			c.fail(err)
		}
		return
	}
	if err := c.handleType(typ, rs); err != nil {
		c.fail(err)
	}
}

// readStreamType reads the type of a unidirectional stream.
func readStreamType(rs *quic.ReceiveStream) (uint64, error) {
	for want := 1; ; {
		b, err := rs.Peek(want)
		if typ, n := varint.Consume(b); n > 0 {
			_, err = rs.Discard(n)
			return typ, err
		}
		if err != nil {
			return 0, err
		}
		want = 1 << (b[0] >> 6)
	}
}

// handleType handles a unidirectional stream whose type was read.
func (c *conn) handleType(typ uint64, rs *quic.ReceiveStream) error {
	c.logStreamType("remote", rs.ID(), typ)
	switch typ {
	case frame.StreamControl, frame.StreamQPACKEncoder, frame.StreamQPACKDecoder:
		// "Only one control stream per peer is permitted; receipt of a second stream claiming to be a control stream MUST be
		// treated as a connection error of type H3_STREAM_CREATION_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9114#section-6.2.1-2
		//
		// "Receipt of a second instance of either stream type MUST be treated as a connection error of type
		// H3_STREAM_CREATION_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9204#section-4.2-3
		c.mu.Lock()
		isSecond := c.opened[typ]
		c.opened[typ] = true
		c.mu.Unlock()
		if isSecond {
			return connErrorf(ErrCodeStreamCreationError, "stream %d is the second one of type %d", rs.ID(), typ)
		}
		return c.readCritical(typ, rs)
	case frame.StreamPush:
		return c.refusePush(rs)
	}
	if c.owner.handleUniStream(typ, rs) {
		return nil
	}
	// "Recipients of unknown stream types MUST either abort reading of the stream or discard incoming data without further
	// processing. If reading is aborted, the recipient SHOULD use the H3_STREAM_CREATION_ERROR error code or a reserved error
	// code"
	// https://www.rfc-editor.org/rfc/rfc9114#section-6.2-7
	_ = rs.StopSending(frame.StreamCreationError) // fails only if the connection has ended
	return c.countJunk()
}

// refusePush returns the error for a push stream.
func (c *conn) refusePush(rs *quic.ReceiveStream) error {
	if c.qc.IsServer() {
		// "Only servers can push; if a server receives a client-initiated push stream, this MUST be treated as a connection error
		// of type H3_STREAM_CREATION_ERROR."
		// https://www.rfc-editor.org/rfc/rfc9114#section-6.2.2-3
		return connErrorf(ErrCodeStreamCreationError, "stream %d of the client is a push stream", rs.ID())
	}
	// "A client MUST treat receipt of a push stream as a connection error of type H3_ID_ERROR when no MAX_PUSH_ID frame has been
	// sent or when the stream references a push ID that is greater than the maximum push ID."
	// https://www.rfc-editor.org/rfc/rfc9114#section-4.6-3
	return connErrorf(ErrCodeIDError, "stream %d is a push stream, but no MAX_PUSH_ID was sent", rs.ID())
}

// readCritical reads what has arrived on a control, encoder or decoder stream, now and whenever there is more.
func (c *conn) readCritical(typ uint64, rs *quic.ReceiveStream) error {
	handle := c.handleControl
	switch typ {
	case frame.StreamQPACKEncoder:
		handle = c.handleEncoderStream
	case frame.StreamQPACKDecoder:
		handle = c.handleDecoderStream
	default:
		c.recv.id = rs.ID()
	}
	var again func()
	again = func() {
		if err := c.readUntil(rs, handle, again); err != nil {
			c.fail(err)
		}
	}
	return c.readUntil(rs, handle, again)
}

// recvControl is the state of the peer's control stream. One goroutine at a time uses it.
type recvControl struct {
	id          quic.StreamID
	splitter    frame.Splitter
	hasSettings bool
}

// handleControl handles bytes of the peer's control stream.
func (c *conn) handleControl(b []byte) error { return c.recv.splitter.Split(b, c.handleControlFrame) }

// handleControlFrame handles a frame of the peer's control stream.
func (c *conn) handleControlFrame(typ uint64, payload []byte) error {
	c.logControlFrame(frameParsed, c.recv.id, typ, payload)
	if !c.recv.hasSettings {
		// "If the first frame of the control stream is any other frame type, this MUST be treated as a connection error of type
		// H3_MISSING_SETTINGS."
		// https://www.rfc-editor.org/rfc/rfc9114#section-6.2.1-2
		if typ != frame.Settings {
			return connErrorf(ErrCodeMissingSettings, "the first frame of the control stream has type %#x", typ)
		}
		return c.handlePeerSettings(payload)
	}
	switch {
	case typ == frame.Settings:
		// "If an endpoint receives a second SETTINGS frame on the control stream, the endpoint MUST respond with a connection
		// error of type H3_FRAME_UNEXPECTED."
		// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.4-2
		return connErrorf(ErrCodeFrameUnexpected, "a second SETTINGS frame")
	case typ == frame.Data, typ == frame.Headers, typ == frame.PushPromise, frame.IsHTTP2(typ):
		// "If a DATA frame is received on a control stream, the recipient MUST respond with a connection error of type
		// H3_FRAME_UNEXPECTED."
		// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.1-2
		//
		// "If a HEADERS frame is received on a control stream, the recipient MUST respond with a connection error of type
		// H3_FRAME_UNEXPECTED."
		// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.2-3
		//
		// "These frame types MUST NOT be sent, and their receipt MUST be treated as a connection error of type
		// H3_FRAME_UNEXPECTED."
		// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.8-3
		//
		// "If a PUSH_PROMISE frame is received on the control stream, the client MUST respond with a connection error of type
		// H3_FRAME_UNEXPECTED."
		// https://www.rfc-editor.org/rfc/rfc9114#section-7.2.5-8
		return connErrorf(ErrCodeFrameUnexpected, "a frame of type %#x on the control stream", typ)
	}
	if _, known := frame.Limit(typ); !known {
		if err := c.countJunk(); err != nil {
			return err
		}
	}
	return c.owner.handleFrame(typ, payload)
}

// handlePeerSettings handles the peer's SETTINGS frame.
func (c *conn) handlePeerSettings(payload []byte) error {
	l, err := frame.ParseSettings(payload)
	if err != nil {
		return err
	}
	c.recv.hasSettings = true
	c.logSettings("remote", l)
	if err := c.owner.handleSettings(l); err != nil {
		return err
	}
	if err := c.setEncoderLimits(l); err != nil {
		return err
	}
	c.setSettings(l)
	return nil
}

// A critical is a control, encoder or decoder stream of this side. mu guards it, and for QPACK also the half that it belongs to.
// Writing to it never waits: a peer that gives no credit for the stream must not block requests that hold mu.
type critical struct {
	mu     sync.Mutex
	stream *quic.SendStream // nil until it is needed
	// While isBusy is set, a goroutine writes what did not fit into the send buffer, and then what was queued meanwhile.
	isBusy  bool
	queued  []byte
	writing int // bytes that the goroutine has taken
}

// maxQueued is how many bytes of a critical stream a goroutine may have to write.
const maxQueued = 64 << 10

// openControl opens the control stream, with SETTINGS, if it is not open. control.mu is held.
func (c *conn) openControl() error {
	if c.control.stream != nil {
		return nil
	}
	settings := c.cfg.settings.Append(nil, c.seed())
	if err := c.openCritical(&c.control, frame.StreamControl, settings); err != nil {
		return err
	}
	c.logSentFrame(c.control.stream.ID(), settings)
	return nil
}

// sendFrame writes a frame, which is complete, to the control stream. A connection whose Server is shut down may not have opened it
// yet, or has failed to because its client permits too few streams.
func (c *conn) sendFrame(b []byte) error {
	c.control.mu.Lock()
	defer c.control.mu.Unlock()
	if err := c.openControl(); err != nil {
		return err
	}
	c.logSentFrame(c.control.stream.ID(), b)
	return c.writeCritical(&c.control, b)
}

// writeCritical writes to a control, encoder or decoder stream. s.mu is held. It does not keep b.
func (c *conn) writeCritical(s *critical, b []byte) error {
	if s.isBusy {
		if s.writing+len(s.queued)+len(b) > maxQueued {
			return connErrorf(ErrCodeExcessiveLoad, "the peer does not read stream %d", s.stream.ID())
		}
		s.queued = append(s.queued, b...)
		return nil
	}
	n, err := s.stream.TryWrite(b)
	if err != nil {
		return c.criticalWriteError(err)
	}
	if n < len(b) {
		s.isBusy, s.queued = true, append([]byte(nil), b[n:]...)
		go c.writeQueued(s)
	}
	return nil
}

// writeQueued writes what is queued until nothing is left.
func (c *conn) writeQueued(s *critical) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.queued) > 0 {
		b := s.queued
		s.queued, s.writing = nil, len(b)
		s.mu.Unlock()
		_, err := s.stream.Write(b)
		s.mu.Lock()
		if err != nil {
			go c.fail(c.criticalWriteError(err)) // without the lock
			return
		}
	}
	s.isBusy, s.writing = false, 0
}

// criticalStopped ends the connection because the peer has asked to stop a stream that the connection needs.
func (c *conn) criticalStopped(err error) { c.fail(c.criticalWriteError(err)) }

// criticalWriteError returns the error for a write to a stream that the connection needs.
func (c *conn) criticalWriteError(err error) error {
	var se *quic.StreamError
	if errors.As(err, &se) && se.Remote {
		// "The sender MUST NOT close the control stream, and the receiver MUST NOT request that the sender close the control
		// stream. If either control stream is closed at any point, this MUST be treated as a connection error of type
		// H3_CLOSED_CRITICAL_STREAM."
		// https://www.rfc-editor.org/rfc/rfc9114#section-6.2.1-2
		return connErrorf(ErrCodeClosedCriticalStream,
			"the peer has asked to stop stream %d, which the connection needs", se.ID)
	}
	return c.closeError(err)
}

// openCritical opens a control, encoder or decoder stream, and writes its type and b. s.mu is held.
func (c *conn) openCritical(s *critical, typ uint64, b []byte) error {
	stream, err := c.qc.TryOpenUniStream()
	if errors.Is(err, quic.ErrStreamLimit) {
		// "Therefore, the transport parameters sent by both clients and servers MUST allow the peer to create at least three
		// unidirectional streams."
		// https://www.rfc-editor.org/rfc/rfc9114#section-6.2-5
		return connErrorf(ErrCodeGeneralProtocolError,
			"the peer permits too few unidirectional streams: there is none for type %d", typ)
	} else if err != nil {
		return c.closeError(err)
	}
	s.stream = stream
	stream.WhenStopped(c.criticalStopped)
	c.logStreamType("local", stream.ID(), typ)
	return c.writeCritical(s, append([]byte{byte(typ)}, b...))
}
