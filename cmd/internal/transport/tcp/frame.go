package tcp

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
)

// The frames of s2n-netbench's multiplexing: a tag, then the fields. All integers are big-endian.
const (
	tagOpen          = 0 // id u64, bidirectional u8
	tagData          = 1 // id u64, owner u8, length u32, data
	tagFinish        = 2 // id u64, owner u8
	tagMaxStreams    = 3 // u64, total number of streams that may be opened
	tagMaxData       = 4 // id u64, owner u8, u64, total number of bytes that may be sent on the stream
	tagInitialWindow = 5 // u64, initial limit of each stream
)

// What a side may do before its limits are raised.
const (
	initialWindow  = 256_000
	initialStreams = 100
)

const maxFrame = 32_768

// A FrameError reports a frame that the peer must not send.
type FrameError struct{ Text string }

func (e *FrameError) Error() string { return "invalid frame from the peer: " + e.Text }

func frameError(format string, args ...any) error { return &FrameError{fmt.Sprintf(format, args...)} }

func u64(r io.Reader) (uint64, error) {
	var b [8]byte
	_, err := io.ReadFull(r, b[:])
	return binary.BigEndian.Uint64(b[:]), noEOF(err)
}

// flag reads a byte that is 0 or 1.
func flag(r io.ByteReader) (bool, error) {
	b, err := r.ReadByte()
	if err == nil && b > 1 {
		err = frameError("flag is %d, not 0 or 1", b)
	}
	return b == 1, noEOF(err)
}

// noEOF replaces io.EOF by io.ErrUnexpectedEOF, because the input ended within a frame.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (c *conn) frame(r *bufio.Reader) error {
	tag, err := r.ReadByte()
	if err != nil {
		return err
	}
	switch tag {
	case tagMaxStreams, tagInitialWindow:
		n, err := u64(r)
		if err != nil {
			return err
		}
		c.permitted(tag, n)
		return nil
	case tagOpen, tagData, tagFinish, tagMaxData:
	default:
		return frameError("unknown tag %d", tag)
	}
	id, err := u64(r)
	if err != nil {
		return err
	}
	yes, err := flag(r)
	if err != nil {
		return err
	}
	if tag == tagOpen {
		return c.peerOpened(id, yes)
	}
	// The owner is 0 for a stream that the receiver of the frame opened.
	c.mu.Lock()
	s := c.streams[key{id, !yes}]
	c.mu.Unlock()
	if s == nil {
		return frameError("frame with tag %d for stream %d, which is not open", tag, id)
	}
	return c.streamFrame(r, tag, s)
}

// permitted handles the peer's limits for the whole connection.
func (c *conn) permitted(tag byte, n uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if tag == tagInitialWindow {
		c.window = n
		return
	}
	if n > c.mayOpen {
		c.mayOpen = n
		close(c.room)
		c.room = make(chan struct{})
	}
}

func (c *conn) streamFrame(r *bufio.Reader, tag byte, s *stream) error {
	switch tag {
	case tagFinish:
		return s.finished()
	case tagMaxData:
		n, err := u64(r)
		if err != nil {
			return err
		}
		s.grant(n)
		return nil
	}
	var b [4]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return noEOF(err)
	}
	n := binary.BigEndian.Uint32(b[:])
	if n > maxFrame {
		return frameError("%d bytes of data, but the limit is %d", n, maxFrame)
	}
	if err := s.announced(n); err != nil {
		return err
	}
	if c.frameData == nil {
		c.frameData = make([]byte, maxFrame)
	}
	if _, err := io.ReadFull(r, c.frameData[:n]); err != nil {
		return noEOF(err)
	}
	s.arrived(c.frameData[:n])
	return nil
}

func (c *conn) peerOpened(id uint64, bidirectional bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := key{id, false}
	switch {
	case c.streams[k] != nil:
		return frameError("stream %d was opened twice", id)
	case c.accepted+uint64(len(c.queue)) >= c.granted:
		return frameError("stream %d exceeds the limit of %d streams", id, c.granted)
	}
	s := c.newStream(k)
	s.receiveOnly = !bidirectional
	c.queue = append(c.queue, s)
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return nil
}
