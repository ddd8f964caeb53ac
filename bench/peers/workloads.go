//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// An endpoint is a stack's socket, which accepts or makes connections.
type endpoint interface {
	addr() string
	buffers() (receive, send string)
	accept() (connection, error)
	dial(ctx context.Context, addr string) (connection, error)
	// refusals returns how many clients were refused and asked to validate their address, each -1 if the stack does
	// not count them.
	refusals() (refused, validated int64)
	close()
}

// A connection is a connection of any stack.
type connection interface {
	acceptStream() (stream, error)
	openStream() (stream, error)
	// negotiated returns the names of the key exchange group and the cipher suite.
	negotiated() (group, suite string)
	// abort closes the connection at once.
	abort()
}

// A streamHandler is a connection of a stack that calls a function for each new stream, on a goroutine of its own, so
// that no goroutine waits for streams.
type streamHandler interface {
	handleStreams(func(stream))
}

// A stream is a stream of any stack.
type stream interface {
	io.ReadWriter
	CloseWrite() error
}

// bufferSize is the size of the pieces in which drivers read and write.
const bufferSize = 64 << 10

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// serve answers all streams of all connections until the endpoint is closed.
func serve(e endpoint) {
	for {
		c, err := e.accept()
		if err != nil {
			return
		}
		// The client reports an answer that is missing or too short.
		if h, ok := c.(streamHandler); ok {
			h.handleStreams(func(s stream) { _ = answer(s) })
			continue
		}
		go func() {
			for {
				s, err := c.acceptStream()
				if err != nil {
					return
				}
				go func() { _ = answer(s) }()
			}
		}()
	}
}

// answer reads a message to its end and answers it.
func answer(s stream) error {
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	var header [headerSize]byte
	total, err := readAll(s, buf[:], header[:])
	if err != nil {
		return err
	}
	var n int64
	switch {
	case total > 0 && header[0] == answerByte:
		n = 1
	case total > 0 && header[0] == answerResponse:
		n = messageSize
	case total >= headerSize && header[0] == answerCount:
		n = int64(binary.BigEndian.Uint64(header[1:]))
	default:
		return fmt.Errorf("a message of %d bytes that begins with %x asks for no answer", total, header[0])
	}
	if err := write(s, buf[:], n); err != nil {
		return err
	}
	return s.CloseWrite()
}

// readAll reads s to its end into buf, again and again, copies the first bytes to head and returns the number of all
// bytes. Once it has filled buf, it reads without copying if the stack can, as the drivers in Rust do.
func readAll(s io.Reader, buf, head []byte) (total int64, err error) {
	for {
		n, err := s.Read(buf)
		if total < int64(len(head)) {
			copy(head[total:], buf[:n])
		}
		total += int64(n)
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
		if w, ok := s.(io.WriterTo); ok && n == len(buf) {
			more, err := w.WriteTo(io.Discard)
			return total + more, err
		}
	}
}

// A lender is a stream that sends without copying.
type lender interface {
	WriteNoCopy(p []byte, release func([]byte)) (int, error)
}

// constant is what is sent without copying.
var constant [1 << 20]byte

// write writes n bytes of any value from buf, or without copying if they are many and the stack can.
func write(s io.Writer, buf []byte, n int64) error {
	l, ok := s.(lender)
	for ok && n > int64(len(buf)) {
		k, err := l.WriteNoCopy(constant[:min(n, int64(len(constant)))], nil)
		if err != nil {
			return err
		}
		n -= int64(k)
	}
	for n > 0 {
		k, err := s.Write(buf[:min(n, int64(len(buf)))])
		if err != nil {
			return err
		}
		n -= int64(k)
	}
	return nil
}

// A client carries out workloads.
type client struct {
	endpoint
	server string // address

	mu   sync.Mutex
	held []connection // of hold

	probed connection // of probe; nil before the first one
	again  connection // of bulkAgain; nil before the first one
}

// exchange sends a message of size bytes that begins with head on a new stream, and reads an answer of want bytes.
func exchange(c connection, head []byte, size, want int64) error {
	s, err := c.openStream()
	if err != nil {
		return err
	}
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	copy(buf[:], head)
	if err := write(s, buf[:], size); err != nil {
		return err
	}
	if err := s.CloseWrite(); err != nil {
		return err
	}
	got, err := readAll(s, buf[:], nil)
	if err == nil && got != want {
		err = fmt.Errorf("the answer has %d of %d bytes", got, want)
	}
	return err
}

// check makes one connection and returns what it negotiated.
func (c *client) check() (group, suite string, err error) {
	conn, err := c.dial(background, c.server)
	if err != nil {
		return "", "", err
	}
	defer conn.abort()
	if err := exchange(conn, []byte{answerByte}, 1, 1); err != nil {
		return "", "", err
	}
	group, suite = conn.negotiated()
	return group, suite, nil
}

// repeat calls f n times, concurrent times at once. A worker whose call fails makes no more calls.
func repeat(n, concurrent int, f func() error) (done, error) {
	work := make(chan struct{})
	errs := make([]error, concurrent)
	var wg sync.WaitGroup
	began := time.Now()
	for i := range concurrent {
		wg.Go(func() {
			for range work {
				if errs[i] == nil {
					errs[i] = f()
				}
			}
		})
	}
	for range n {
		work <- struct{}{}
	}
	close(work)
	wg.Wait()
	return done{amount: int64(n), elapsed: time.Since(began)}, errors.Join(errs...)
}

// connections makes n connections, some of them at a time. Each moves one byte in each direction of one stream.
func (c *client) connections(n, concurrent int) (done, error) {
	return repeat(n, concurrent, func() error { return c.connect(background) })
}

// connect makes a connection and closes it, when the context ends at the latest.
func (c *client) connect(ctx context.Context) error {
	conn, err := c.dial(ctx, c.server)
	if err != nil {
		return err
	}
	defer conn.abort()
	defer context.AfterFunc(ctx, conn.abort)()
	return exchange(conn, []byte{answerByte}, 1, 1)
}

// hold makes n connections, some of them at a time, and keeps them open.
func (c *client) hold(n, concurrent int) (done, error) {
	return repeat(n, concurrent, func() error {
		conn, err := c.dial(background, c.server)
		if err != nil {
			return err
		}
		c.mu.Lock()
		c.held = append(c.held, conn)
		c.mu.Unlock()
		return exchange(conn, []byte{answerByte}, 1, 1)
	})
}

// bulk moves size bytes on each of several streams of one connection.
func (c *client) bulk(up bool, streams int, size int64) (done, error) {
	conn, err := c.dial(background, c.server)
	if err != nil {
		return done{}, err
	}
	defer conn.abort()
	return transfer(conn, up, streams, size)
}

// bulkAgain moves size bytes on a stream of a connection that stays open for the next call.
func (c *client) bulkAgain(up bool, size int64) (d done, err error) {
	if c.again == nil {
		if c.again, err = c.dial(background, c.server); err != nil {
			return d, err
		}
	}
	return transfer(c.again, up, 1, size)
}

// transfer moves size bytes on each of several new streams.
func transfer(conn connection, up bool, streams int, size int64) (done, error) {
	head := []byte{answerByte}
	sent, want := size, int64(1)
	if !up {
		head = binary.BigEndian.AppendUint64([]byte{answerCount}, uint64(size))
		sent, want = headerSize, size
	}
	errs := make([]error, streams)
	var wg sync.WaitGroup
	began := time.Now()
	for i := range streams {
		wg.Go(func() { errs[i] = exchange(conn, head, sent, want) })
	}
	wg.Wait()
	return done{amount: int64(streams) * size, elapsed: time.Since(began)}, errors.Join(errs...)
}

// streams opens n streams on one connection, some of them at a time. Each moves one byte in each direction.
func (c *client) streams(n, concurrent int) (done, error) {
	conn, err := c.dial(background, c.server)
	if err != nil {
		return done{}, err
	}
	defer conn.abort()
	return repeat(n, concurrent, func() error { return exchange(conn, []byte{answerByte}, 1, 1) })
}

// requests sends n requests on one connection, each after the response to the one before.
func (c *client) requests(n int) (done, error) {
	conn, err := c.dial(background, c.server)
	if err != nil {
		return done{}, err
	}
	defer conn.abort()
	times := make([]time.Duration, n)
	began := time.Now()
	for i := range times {
		start := time.Now()
		if err := exchange(conn, []byte{answerResponse}, messageSize, messageSize); err != nil {
			return done{}, err
		}
		times[i] = time.Since(start)
	}
	elapsed := time.Since(began)
	slices.Sort(times)
	return done{amount: int64(n), elapsed: elapsed, p50: percentile(times, 50), p99: percentile(times, 99)}, nil
}
