package http3

import (
	"errors"
	"fmt"
	"io"

	"github.com/pqquic/pqquic/http3/internal/frame"
)

// CapsuleDatagram is the type of capsules that carry an HTTP datagram (RFC 9297, 3.5).
const CapsuleDatagram = 0x0

// A CapsuleReader reads the capsules of a stream (RFC 9297, 3.2), such as a RequestStream. It keeps none of them: their values are
// read in pieces.
type CapsuleReader struct {
	r    io.Reader
	left uint64 // of the value
	err  error
}

// NewCapsuleReader returns a CapsuleReader for the capsules that r has.
func NewCapsuleReader(r io.Reader) *CapsuleReader { return &CapsuleReader{r: r} }

// Next skips what is left of the capsule before, and reads the type and the length of the next one, whose value Read returns. At the
// end of the stream it returns io.EOF, or io.ErrUnexpectedEOF if the last capsule is not complete.
//
// "Endpoints which receive a Capsule with an unknown Capsule Type MUST silently drop that Capsule and skip over it to parse the next
// Capsule." This is what another call of Next does.
// https://www.rfc-editor.org/rfc/rfc9297#section-3.2-8
func (c *CapsuleReader) Next() (typ, length uint64, err error) {
	if c.err != nil {
		return 0, 0, c.err
	}
	if c.left > 0 {
		if _, err := io.Copy(io.Discard, valueOf{c}); err != nil {
			return 0, 0, c.fail(err)
		}
	}
	var b [frame.MaxHeader]byte
	for n := 0; ; n++ {
		if h, size := frame.ParseHeader(b[:n]); size > 0 {
			c.left = h.Length
			if s, ok := c.r.(interface{ logParsed(typ, length uint64) }); ok { // a RequestStream or ClientStream
				s.logParsed(h.Type, h.Length)
			}
			return h.Type, h.Length, nil
		}
		if _, err := io.ReadFull(c.r, b[n:n+1]); err != nil {
			if err == io.EOF && n > 0 {
				err = io.ErrUnexpectedEOF
			}
			return 0, 0, c.fail(err)
		}
	}
}

// fail notes an error that further calls return too.
func (c *CapsuleReader) fail(err error) error {
	c.err = err
	return err
}

// Read reads the value of the capsule. At its end it returns io.EOF.
//
// "If the receive side of a stream carrying capsules is terminated cleanly [...] and the last capsule on the stream was truncated,
// this MUST be treated as if it were a malformed or incomplete message."
// https://www.rfc-editor.org/rfc/rfc9297#section-3.3-3
func (c *CapsuleReader) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	if uint64(len(p)) > c.left {
		p = p[:c.left]
	}
	n, err := c.r.Read(p)
	c.left -= uint64(n)
	if err == io.EOF {
		if err = nil; c.left > 0 {
			err = c.fail(io.ErrUnexpectedEOF)
		}
	}
	return n, err
}

// valueOf hides the other methods of a CapsuleReader.
type valueOf struct{ io.Reader }

// ReadAll reads the value of the capsule if it has at most limit bytes.
func (c *CapsuleReader) ReadAll(limit int) ([]byte, error) {
	if limit < 0 || c.left > uint64(limit) {
		return nil, fmt.Errorf("http3: a capsule has %d bytes, but at most %d are accepted", c.left, limit)
	}
	b := make([]byte, c.left)
	_, err := io.ReadFull(valueOf{c}, b)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return b, err
}

// AppendCapsule appends a capsule.
func AppendCapsule(b []byte, typ uint64, value []byte) []byte {
	return append(frame.AppendHeader(b, typ, uint64(len(value))), value...)
}
