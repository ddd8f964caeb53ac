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
	"time"

	"github.com/pqquic/pqquic/cmd/internal/driver"
)

// key identifies a stream: its ID and which side opened it.
type key struct {
	id   uint64
	ours bool
}

// conn is a connection. One goroutine reads frames; writers take turns.
type conn struct {
	tls  *tls.Conn
	info driver.Info
	// idle ends the connection after IdleTimeout without traffic; nil without a limit.
	idle    *time.Timer
	silence time.Duration

	writing sync.Mutex
	out     *bufio.Writer

	frameData []byte // used by the reader

	mu      sync.Mutex
	streams map[key]*stream
	window  uint64 // initial window that the peer grants for each stream
	queue   []*stream
	wake    chan struct{}
	err     error
	done    chan struct{}

	opened, mayOpen   uint64        // streams that we opened, and how many the peer permits
	room              chan struct{} // closed when the peer permits more
	accepted, granted uint64        // streams of the peer: accepted, and how many we permit
}

func newConn(t *tls.Conn, info driver.Info, rx, tx int, idle time.Duration) *conn {
	c := makeConn(t, tx)
	c.tls, c.info = t, info
	if idle > 0 {
		c.silence = idle
		c.idle = time.AfterFunc(idle, func() {
			c.fail(errIdle)
			_ = t.NetConn().Close() // ends pending reads and writes
		})
	}
	go c.read(bufio.NewReaderSize(t, rx))
	return c
}

func makeConn(w io.Writer, tx int) *conn {
	return &conn{out: bufio.NewWriterSize(w, tx), streams: make(map[key]*stream), window: initialWindow,
		mayOpen: initialStreams, granted: initialStreams, room: make(chan struct{}),
		wake: make(chan struct{}, 1), done: make(chan struct{})}
}

func (c *conn) Info() driver.Info     { return c.info }
func (c *conn) Done() <-chan struct{} { return c.done }

// active restarts the idle timer.
func (c *conn) active() {
	if c.idle != nil {
		c.idle.Reset(c.silence)
	}
}

// read handles frames until the connection ends.
func (c *conn) read(r *bufio.Reader) {
	var err error
	for err == nil {
		err = c.frame(r)
		c.active()
	}
	switch t, ok := c.tls.NetConn().(*socket); {
	case err != io.EOF:
	case ok && t.ended:
		err = io.ErrUnexpectedEOF // no close_notify
	default:
		err = driver.ErrClosedCleanly
	}
	c.fail(err)
	if c.idle != nil {
		c.idle.Stop()
	}
	_ = c.tls.Close()
}

// fail ends the connection and wakes all waiting calls.
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
		c.active()
		return nil
	}
	// The reader knows better why the connection ended.
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	return err
}

// permission waits until the peer permits another stream, and registers it in c.streams.
func (c *conn) permission(ctx context.Context, k key) (*stream, error) {
	for {
		c.mu.Lock()
		switch {
		case c.err != nil:
			defer c.mu.Unlock()
			return nil, c.err
		case c.streams[k] != nil:
			defer c.mu.Unlock()
			return nil, fmt.Errorf("stream %d is already open", k.id)
		case c.opened < c.mayOpen:
			defer c.mu.Unlock()
			c.opened++
			return c.newStream(k), nil
		}
		room := c.room
		c.mu.Unlock()
		// The peer permits more once it has received the frames that are still buffered.
		if err := c.write(nil, true); err != nil {
			return nil, err
		}
		select {
		case <-room:
		case <-c.done:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (c *conn) OpenStream(ctx context.Context, id uint64, bidirectional bool) (driver.Stream, error) {
	s, err := c.permission(ctx, key{id, true})
	if err != nil {
		return nil, err
	}
	s.sendOnly = !bidirectional
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
			more := c.permit()
			c.mu.Unlock()
			if more > 0 {
				// The peer may be gone. That does not affect what it sent before.
				_ = c.write(binary.BigEndian.AppendUint64([]byte{tagMaxStreams}, more), true)
			}
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

// permit counts an accepted stream of the peer. If it is time to raise the peer's limit, it returns the new
// limit, otherwise 0. Only streams that have not been accepted count against the limit; there are never
// more accepted ones than scripts.
func (c *conn) permit() uint64 {
	c.accepted++
	if c.accepted+initialStreams < c.granted+initialStreams/2 {
		return 0
	}
	c.granted = c.accepted + initialStreams
	return c.granted
}

// Close sends what is left and the end, and then waits for the peer's end.
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

// Abort closes the connection immediately.
func (c *conn) Abort(string) {
	c.fail(errAborted)
	_ = c.tls.NetConn().Close()
}

var (
	errAborted = errors.New("the connection was aborted")
	errIdle    = errors.New("the connection was idle for --idle-timeout")
)
