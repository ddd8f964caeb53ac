package tcp

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/pqquic/pqquic/cmd/internal/driver"
)

// The frames of s2n-netbench's multiplexing, all integers big-endian: a tag, then the fields.
const (
	tagOpen          = 0 // id u64, bidirectional u8
	tagData          = 1 // id u64, owner u8, length u32, data
	tagFinish        = 2 // id u64, owner u8
	tagMaxStreams    = 3 // u64
	tagMaxData       = 4 // id u64, owner u8, u64
	tagInitialWindow = 5 // u64
)

const (
	initialWindow = 256_000
	maxFrame      = 32_768
	// maxStreams is what we let the peer open in all: it grows with those that end.
	maxStreams = 1 << 20
)

// key names a stream: its ID and which side opened it.
type key struct {
	id   uint64
	ours bool
}

// conn is a connection. One goroutine reads frames; writers take turns.
type conn struct {
	tls  *tls.Conn
	info driver.Info

	writing sync.Mutex
	out     *bufio.Writer

	mu      sync.Mutex
	streams map[key]*stream
	window  uint64 // of the peer, for each new stream
	queue   []*stream
	wake    chan struct{}
	err     error
	done    chan struct{}
}

func newConn(t *tls.Conn, info driver.Info, rx, tx int) *conn {
	c := &conn{tls: t, info: info, out: bufio.NewWriterSize(t, tx), streams: make(map[key]*stream), window: initialWindow,
		wake: make(chan struct{}, 1), done: make(chan struct{})}
	go c.read(bufio.NewReaderSize(t, rx))
	return c
}

func (c *conn) Info() driver.Info     { return c.info }
func (c *conn) Done() <-chan struct{} { return c.done }

// read takes frames until the connection ends.
func (c *conn) read(r *bufio.Reader) {
	var err error
	for err == nil {
		err = c.frame(r)
	}
	if err == io.EOF {
		err = driver.ErrClosedCleanly
	}
	c.fail(err)
	_ = c.tls.Close()
}

// fail ends the connection for all that wait.
func (c *conn) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.err = err
	close(c.done)
	for _, s := range c.streams {
		s.changed.Broadcast()
	}
}

func u64(r io.Reader) (uint64, error) {
	var b [8]byte
	_, err := io.ReadFull(r, b[:])
	return binary.BigEndian.Uint64(b[:]), noEOF(err)
}

// noEOF: within a frame the end comes too early.
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
	case tagMaxStreams:
		_, err = u64(r) // more than a scenario has streams, at all times
		return err
	case tagInitialWindow:
		n, err := u64(r)
		c.mu.Lock()
		c.window = n
		c.mu.Unlock()
		return err
	case tagOpen, tagData, tagFinish, tagMaxData:
	default:
		return fmt.Errorf("frame %d of the peer is none", tag)
	}
	id, err := u64(r)
	if err != nil {
		return err
	}
	flag, err := r.ReadByte()
	if err != nil {
		return noEOF(err)
	}
	if tag == tagOpen {
		return c.opened(id, flag == 1)
	}
	// The owner is 0 for a stream that the receiver of the frame opened.
	c.mu.Lock()
	s := c.streams[key{id, flag == 0}]
	c.mu.Unlock()
	if s == nil {
		return fmt.Errorf("a frame for stream %d, which is not open", id)
	}
	return c.streamFrame(r, tag, s)
}

func (c *conn) streamFrame(r *bufio.Reader, tag byte, s *stream) error {
	switch tag {
	case tagFinish:
		s.finished()
	case tagMaxData:
		n, err := u64(r)
		if err != nil {
			return err
		}
		s.grant(n)
	case tagData:
		var b [4]byte
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return noEOF(err)
		}
		n := binary.BigEndian.Uint32(b[:])
		if n > maxFrame {
			return fmt.Errorf("a frame of %d bytes: %d is the most", n, maxFrame)
		}
		data := make([]byte, n)
		if _, err := io.ReadFull(r, data); err != nil {
			return noEOF(err)
		}
		return s.arrived(data)
	}
	return nil
}

func (c *conn) opened(id uint64, bidirectional bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := key{id, false}
	if c.streams[k] != nil || len(c.streams) >= maxStreams {
		return fmt.Errorf("stream %d cannot be opened: it is, or there are too many", id)
	}
	s := c.newStream(k)
	s.sendOnly, s.receiveOnly = false, !bidirectional
	c.queue = append(c.queue, s)
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return nil
}

func (c *conn) newStream(k key) *stream {
	s := &stream{c: c, k: k, limit: c.window, granted: initialWindow}
	s.changed = sync.NewCond(&c.mu)
	c.streams[k] = s
	return s
}

// write sends one frame.
func (c *conn) write(b []byte, flush bool) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	_, err := c.out.Write(b)
	if err == nil && flush {
		err = c.out.Flush()
	}
	if err == nil {
		return nil
	}
	// Why it ended is better known to the reader.
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	return err
}

func (c *conn) OpenStream(_ context.Context, id uint64, bidirectional bool) (driver.Stream, error) {
	c.mu.Lock()
	k := key{id, true}
	if c.err != nil || c.streams[k] != nil {
		err := c.err
		c.mu.Unlock()
		if err == nil {
			err = fmt.Errorf("stream %d is open already", id)
		}
		return nil, err
	}
	s := c.newStream(k)
	s.sendOnly = !bidirectional
	c.mu.Unlock()
	b := binary.BigEndian.AppendUint64([]byte{tagOpen}, id)
	flag := byte(0)
	if bidirectional {
		flag = 1
	}
	return s, c.write(append(b, flag), false)
}

func (c *conn) AcceptStream(ctx context.Context) (driver.Stream, uint64, error) {
	for {
		c.mu.Lock()
		if len(c.queue) > 0 {
			s := c.queue[0]
			c.queue = c.queue[1:]
			c.mu.Unlock()
			return s, s.k.id, nil
		}
		err := c.err
		c.mu.Unlock()
		if err != nil {
			return nil, 0, err
		}
		select {
		case <-c.wake:
		case <-c.done:
		case <-ctx.Done():
			return nil, 0, context.Cause(ctx)
		}
	}
}

// Close sends what is left and then the end, and waits for the peer's.
func (c *conn) Close() error {
	c.writing.Lock()
	err := errors.Join(c.out.Flush(), c.tls.CloseWrite())
	c.writing.Unlock()
	if err != nil {
		c.Abort("")
		return err
	}
	<-c.done
	return nil
}

// Abort closes at once.
func (c *conn) Abort(string) {
	c.fail(errAborted)
	_ = c.tls.NetConn().Close()
}

var errAborted = errors.New("the connection was given up")
