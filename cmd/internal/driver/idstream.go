package driver

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"sync"
)

// idStream is a QUIC stream that begins with its logical ID in 8 bytes. The ID is held back and sent
// together with the first bytes that are written.
type idStream struct {
	Stream
	pending []byte
	buf     []byte
}

// NewIDStream returns a stream that we opened. The ID is written in front of the first bytes.
func NewIDStream(s Stream, id uint64) Stream {
	return &idStream{Stream: s, pending: binary.BigEndian.AppendUint64(nil, id)}
}

func (s *idStream) Write(p []byte) (int, error) {
	if s.pending == nil {
		return s.Stream.Write(p)
	}
	// One write, so that the ID and the bytes share a packet.
	s.buf = append(append(s.buf[:0], s.pending...), p...)
	n, err := s.Stream.Write(s.buf)
	had := len(s.pending)
	if n < had {
		s.pending = s.pending[n:]
		return 0, err
	}
	s.pending, s.buf = nil, nil
	return n - had, err
}

func (s *idStream) Flush() error {
	if s.pending != nil {
		if _, err := s.Write(nil); err != nil {
			return err
		}
	}
	return s.Stream.Flush()
}

func (s *idStream) CloseWrite() error {
	if err := s.Flush(); err != nil {
		return err
	}
	return s.Stream.CloseWrite()
}

// An Acceptor accepts the streams of a connection, of both kinds, and reads their IDs. Streams accepted
// before the connection ended are still returned after it.
type Acceptor struct {
	mu      sync.Mutex
	queue   []accepted
	running int // goroutines that may add to the queue
	err     error
	wake    chan struct{}
}

type accepted struct {
	s   Stream
	id  uint64
	err error
}

// NewAcceptor starts one goroutine for each accept function. Each function waits for a stream of its kind
// and must fail when the connection ends.
func NewAcceptor(accept ...func(context.Context) (Stream, error)) *Acceptor {
	a := &Acceptor{running: len(accept), wake: make(chan struct{}, 1)}
	for _, f := range accept {
		go a.run(f)
	}
	return a
}

func (a *Acceptor) run(accept func(context.Context) (Stream, error)) {
	for {
		s, err := accept(context.Background())
		if err != nil {
			a.done(nil, err)
			return
		}
		a.mu.Lock()
		a.running++
		a.mu.Unlock()
		go a.identify(s)
	}
}

// identify reads the ID of a stream and queues the stream.
func (a *Acceptor) identify(s Stream) {
	var id [8]byte
	_, err := io.ReadFull(s, id[:])
	if err != nil {
		err = fmt.Errorf("reading a stream's ID: %w", err)
	}
	a.done(&accepted{s, binary.BigEndian.Uint64(id[:]), err}, nil)
}

func (a *Acceptor) done(one *accepted, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.running--
	if one != nil {
		a.queue = append(a.queue, *one)
	}
	if err != nil && a.err == nil {
		a.err = err
	}
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// Accept waits for a stream and returns it with its ID.
func (a *Acceptor) Accept(ctx context.Context) (Stream, uint64, error) {
	for {
		a.mu.Lock()
		if len(a.queue) > 0 {
			one := a.queue[0]
			a.queue = a.queue[1:]
			a.mu.Unlock()
			return one.s, one.id, one.err
		}
		running, err := a.running, a.err
		a.mu.Unlock()
		if running == 0 {
			return nil, 0, err
		}
		select {
		case <-a.wake:
		case <-ctx.Done():
			return nil, 0, context.Cause(ctx)
		}
	}
}
