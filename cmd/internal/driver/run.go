package driver

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pqquic/pqquic/cmd/internal/scenario"
	"github.com/pqquic/pqquic/cmd/internal/stats"
)

// script runs one side of a connection.
type script struct {
	conn   Conn
	ops    *scenario.Connection
	where  string // "clients[0].connections[0]"
	index  uint64 // index of ops in its list
	number uint64 // number of the connection, for traces
	tokens *tokens
	rec    *stats.Recorder
	trace  *Tracer
	dialed time.Time // zero on a server
	verify bool
	// peerStreams holds the server's scripts for the streams that we open. It is nil on a server.
	peerStreams [][]scenario.Op
	// ends counts stream ends that a client waits for before it closes.
	ends sync.WaitGroup

	mu        sync.Mutex
	streams   map[uint64]*stream // streams that we opened
	firstByte sync.Once
	// interrupted reports whether the script was ended from outside before it failed.
	interrupted bool
}

// run executes the whole script: the local operations, and those for the streams that the peer opens. Each
// of these streams must arrive. The first error ends everything else.
func (s *script) run(ctx context.Context) error {
	outside := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.streams = make(map[uint64]*stream)
	g := &group{cancel: func(err error) {
		s.interrupted = outside.Err() != nil
		cancel(err)
		s.conn.Abort("the script failed")
	}}
	stop := context.AfterFunc(ctx, func() { s.conn.Abort("canceled") })
	defer stop()
	if len(s.ops.PeerStreams) > 0 {
		g.run(func() error { return s.accept(ctx, g) })
	}
	t := &thread{s: s}
	g.fail(s.placed(".ops", t.ops(ctx, s.ops.Ops)))
	g.wait.Wait()
	stop()
	return g.err
}

func (s *script) placed(where string, err error) error {
	if err == nil || errors.Is(err, errPeerDone) {
		return nil
	}
	return in(s.where+where, err)
}

// accept accepts the peer's streams and runs their scripts. A stream without a script is noticed as long as
// accept waits for one that has a script.
func (s *script) accept(ctx context.Context, g *group) error {
	missing := len(s.ops.PeerStreams)
	seen := make([]bool, missing)
	for missing > 0 {
		raw, id, err := s.conn.AcceptStream(ctx)
		if err != nil {
			next := 0
			for seen[next] {
				next++
			}
			return in(fmt.Sprintf("%s.peer_streams[%d]", s.where, next), fmt.Errorf("the stream was not opened: %w", err))
		}
		switch {
		case id >= uint64(len(seen)):
			return in(s.where+".peer_streams", scriptError("the peer opened stream %d, which has no script", id))
		case seen[id]:
			return in(fmt.Sprintf("%s.peer_streams[%d]", s.where, id), scriptError("the peer opened the stream a second time"))
		}
		seen[id] = true
		missing--
		s.rec.Accept()
		s.trace.event(s.number, "acpt[%d]", id)
		st := s.newStream(raw, id)
		g.run(func() error {
			t := &thread{s: s, peer: st}
			return s.placed(fmt.Sprintf(".peer_streams[%d]", id), t.ops(ctx, s.ops.PeerStreams[id]))
		})
	}
	return nil
}

func (s *script) newStream(raw Stream, id uint64) *stream {
	return &stream{Stream: raw, id: id, opened: time.Now(), count: s.rec.Stream(s.index, id)}
}

func (s *script) open(ctx context.Context, id uint64, bidirectional bool) (*stream, error) {
	raw, err := s.conn.OpenStream(ctx, id, bidirectional)
	if err != nil {
		return nil, err
	}
	s.trace.event(s.number, "open[%d]", id)
	st := s.newStream(raw, id)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.streams[id] = st
	return st, nil
}

func (s *script) opened(id uint64) (*stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if st := s.streams[id]; st != nil {
		return st, nil
	}
	return nil, scriptError("stream %d is not open", id)
}

// group waits for goroutines and keeps the first error.
type group struct {
	wait   sync.WaitGroup
	once   sync.Once
	err    error
	cancel func(error)
}

func (g *group) run(f func() error) { g.wait.Go(func() { g.fail(f()) }) }

func (g *group) fail(err error) {
	if err != nil {
		g.once.Do(func() {
			g.err = err
			g.cancel(err)
		})
	}
}
