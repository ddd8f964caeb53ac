package http3

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/pqquic/pqquic/http3/internal/frame"
	"github.com/pqquic/pqquic/internal/qpack"
	"github.com/pqquic/pqquic/quic"
)

// An encoder is the half of QPACK that encodes, with the stream that carries its instructions.
type encoder struct {
	critical                // its stream is opened for the first instruction
	qpack    *qpack.Encoder // nil while there is no dynamic table: see staticEncoder
	buf      []byte
}

// staticEncoder encodes for the connections that have no dynamic table. It never changes, so goroutines share it.
var staticEncoder = qpack.NewEncoder(0)

// maxKept is the size of the largest buffer of instructions that a connection keeps.
const maxKept = 128

// setEncoderLimits applies the peer's settings to the encoder.
func (c *conn) setEncoderLimits(l *frame.List) error {
	e := &c.enc
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.qpack == nil && (l.QPACKMaxTableCapacity == 0 || c.cfg.encoderCapacity == 0) {
		return nil
	}
	return c.dynamicEncoder().SetLimits(l.QPACKMaxTableCapacity, l.QPACKBlockedStreams)
}

// dynamicEncoder returns the encoder that has a dynamic table. enc.mu is held.
func (c *conn) dynamicEncoder() *qpack.Encoder {
	if c.enc.qpack == nil {
		c.enc.qpack = qpack.NewEncoder(c.cfg.encoderCapacity)
	}
	return c.enc.qpack
}

// appendSection appends the field section of a stream to dst. The instructions that it needs are on their way when it returns.
func (c *conn) appendSection(dst []byte, stream quic.StreamID, fields []qpack.Field) ([]byte, error) {
	e := &c.enc
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.qpack == nil {
		return staticEncoder.AppendSection(dst, uint64(stream), fields), nil
	}
	dst = e.qpack.AppendSection(dst, uint64(stream), fields)
	if e.isBusy { // the encoder then inserts nothing
		return dst, nil
	}
	e.buf = e.qpack.AppendInstructions(e.buf[:0])
	err := c.writeInstructions(&e.critical, frame.StreamQPACKEncoder, e.buf)
	if cap(e.buf) > maxKept {
		e.buf = nil
	}
	return dst, err
}

// writeInstructions writes to the encoder or decoder stream of this side, which it opens when it is needed first. s.mu is held.
//
// "An endpoint MAY avoid creating an encoder stream if it will not be used"
// https://www.rfc-editor.org/rfc/rfc9204#section-4.2-5
func (c *conn) writeInstructions(s *critical, typ uint64, b []byte) error {
	switch {
	case len(b) == 0:
		return nil
	// "Each endpoint MUST initiate, at most, one encoder stream and, at most, one decoder stream."
	// https://www.rfc-editor.org/rfc/rfc9204#section-4.2-3
	case s.stream == nil:
		return c.openCritical(s, typ, b)
	}
	return c.writeCritical(s, b)
}

// handleDecoderStream handles bytes of the peer's decoder stream.
func (c *conn) handleDecoderStream(b []byte) error {
	c.enc.mu.Lock()
	defer c.enc.mu.Unlock()
	return c.dynamicEncoder().HandleDecoderStream(b)
}

// A decoder is the half of QPACK that decodes, with the stream that carries its instructions.
type decoder struct {
	critical                // its stream is opened for the first instruction
	qpack    *qpack.Decoder // nil until the peer uses the dynamic table, or an instruction has to be sent
	buf      []byte
	// inserted, if not nil, is closed when entries have been inserted. Goroutines whose field sections are blocked wait for it.
	inserted chan struct{}
}

// staticDecoders are *qpack.Decoders without a dynamic table. They decode the sections that do not refer to one.
var staticDecoders = sync.Pool{New: func() any { return qpack.NewDecoder(0, 0) }}

// dynamicDecoder returns the decoder that has a dynamic table. dec.mu is held.
func (c *conn) dynamicDecoder() *qpack.Decoder {
	if c.dec.qpack == nil {
		s := &c.cfg.settings
		c.dec.qpack = qpack.NewDecoder(int(s.QPACKMaxTableCapacity), int(s.QPACKBlockedStreams))
	}
	return c.dec.qpack
}

// handleEncoderStream handles bytes of the peer's encoder stream.
func (c *conn) handleEncoderStream(b []byte) error {
	d := &c.dec
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := c.dynamicDecoder().HandleEncoderStream(b); err != nil {
		return err
	}
	if d.inserted != nil && len(d.qpack.Unblocked()) > 0 {
		// Those that wait acknowledge the insertions with their sections, and whatever remains after that.
		close(d.inserted)
		d.inserted = nil
		return nil
	}
	return c.sendDecoderInstructions()
}

// sendDecoderInstructions sends acknowledgements, cancellations and increments. dec.mu is held.
func (c *conn) sendDecoderInstructions() error {
	d := &c.dec
	if d.isBusy { // the decoder keeps count of what waits
		return nil
	}
	d.buf = d.qpack.AppendInstructions(d.buf[:0])
	err := c.writeInstructions(&d.critical, frame.StreamQPACKDecoder, d.buf)
	if cap(d.buf) > maxKept {
		d.buf = nil
	}
	return err
}

// decodeSection decodes a field section of a stream and calls emit for each field. If the section refers to entries that have
// not arrived, it waits for them, until the deadline if that is not zero or the context of w ends. Errors of emit are returned.
func (c *conn) decodeSection(w sectionWaiter, deadline time.Time, stream quic.StreamID, section []byte,
	emit func(qpack.Field) error) error {
	d := &c.dec
	d.mu.Lock()
	if d.qpack == nil && qpack.IsStatic(section) {
		d.mu.Unlock()
		return c.decodeStatic(stream, section, emit)
	}
	err := c.dynamicDecoder().Decode(uint64(stream), section, emit)
	for errors.Is(err, qpack.ErrBlocked) {
		if d.inserted == nil {
			d.inserted = make(chan struct{})
		}
		inserted := d.inserted
		d.mu.Unlock()
		waitErr := c.waitInserted(w.readContext(), deadline, inserted)
		d.mu.Lock()
		if waitErr != nil {
			err = waitErr
			break
		}
		err = d.qpack.Decode(uint64(stream), section, emit)
	}
	if err != nil {
		d.qpack.CancelStream(uint64(stream))
	}
	sendErr := c.sendDecoderInstructions()
	d.mu.Unlock()
	switch {
	case sendErr != nil:
		return c.fail(sendErr)
	case errors.As(err, new(*qpack.Error)):
		return c.fail(err)
	}
	return err
}

// decodeStatic is decodeSection for a section that does not refer to the dynamic table, while there is no such table.
func (c *conn) decodeStatic(stream quic.StreamID, section []byte, emit func(qpack.Field) error) error {
	d := staticDecoders.Get().(*qpack.Decoder)
	err := d.Decode(uint64(stream), section, emit)
	staticDecoders.Put(d)
	if err != nil {
		c.cancelSection(stream)
	}
	if errors.As(err, new(*qpack.Error)) {
		return c.fail(err)
	}
	return err
}

// waitInserted waits for entries of the dynamic table.
func (c *conn) waitInserted(ctx context.Context, deadline time.Time, inserted <-chan struct{}) error {
	var expired <-chan time.Time
	if !deadline.IsZero() {
		timer := time.NewTimer(time.Until(deadline))
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case <-inserted:
		return nil
	case <-expired:
		return os.ErrDeadlineExceeded
	case <-ctx.Done():
		return c.closeError(context.Cause(ctx))
	case <-c.qc.Context().Done():
		return c.closeError(context.Cause(c.qc.Context()))
	}
}

// cancelSection tells the peer's encoder that a stream will not be read any more.
//
// "When an endpoint receives a stream reset before the end of a stream or before all encoded field sections are processed on
// that stream, or when it abandons reading of a stream, it generates a Stream Cancellation instruction"
// https://www.rfc-editor.org/rfc/rfc9204#section-2.2.2.2-1
func (c *conn) cancelSection(stream quic.StreamID) {
	if c.cfg.settings.QPACKMaxTableCapacity == 0 {
		return
	}
	c.dec.mu.Lock()
	c.dynamicDecoder().CancelStream(uint64(stream))
	err := c.sendDecoderInstructions()
	c.dec.mu.Unlock()
	if err != nil {
		c.fail(err)
	}
}
