package driver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/pqquic/pqquic/cmd/internal/scenario"
	"github.com/pqquic/pqquic/cmd/internal/stats"
)

// Common holds what servers and clients share.
type Common struct {
	Scenario *scenario.Scenario
	ID       int // number of the server or client in the scenario
	Stack    Stack
	Recorder *stats.Recorder
	Trace    *Tracer
	// Errors receives a line for each connection that fails.
	Errors io.Writer
	// Verify compares received bytes with the expected pattern.
	Verify bool

	errs     sync.Mutex
	reported map[string]int // failures, by class
}

// maxReported is how many failures of each class are printed. The others are only counted.
const maxReported = 10

func (c *Common) failed(err error) {
	class := c.Stack.Class(err)
	c.Recorder.Failed(class)
	if c.Errors == nil {
		return
	}
	c.errs.Lock()
	defer c.errs.Unlock()
	if c.reported == nil {
		c.reported = make(map[string]int)
	}
	switch c.reported[class]++; {
	case c.reported[class] <= maxReported:
		fmt.Fprintf(c.Errors, "error: %s: %v\n", class, err)
	case c.reported[class] == maxReported+1:
		fmt.Fprintf(c.Errors, "error: %s: further errors of this class are only counted\n", class)
	}
}

// A Server runs one of a scenario's servers.
type Server struct {
	*Common
	numbers atomic.Uint64
}

// Serve accepts connections and runs their scripts until ctx ends.
func (s *Server) Serve(ctx context.Context, l Listener) error {
	var conns sync.WaitGroup
	defer conns.Wait()
	defer l.Close()
	for {
		c, err := l.Accept(ctx)
		var one *HandshakeError
		switch {
		case errors.As(err, &one):
			s.failed(in(fmt.Sprintf("servers[%d]", s.ID), one.Err))
			continue
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return err
		case err != nil:
			return err
		}
		info := c.Info()
		s.Recorder.Connected(info.handshake(info.HandshakeTime))
		number := s.numbers.Add(1) - 1
		conns.Go(func() { s.serve(ctx, c, info.ServerName, number) })
	}
}

// serve runs the script of one connection and waits for the client to close.
func (s *Server) serve(ctx context.Context, c Conn, name string, number uint64) {
	ops, i, err := s.pick(name)
	interrupted := false
	if err == nil {
		sc := &script{conn: c, ops: ops, index: i, number: number, tokens: newTokens(), rec: s.Recorder, trace: s.Trace,
			where: fmt.Sprintf("servers[%d].connections[%d]", s.ID, i), verify: s.Verify}
		err = sc.run(ctx)
		interrupted = sc.interrupted
	}
	if err != nil {
		c.Abort("the script failed")
		if !interrupted {
			s.failed(err)
		}
		return
	}
	select {
	case <-c.Done():
	case <-ctx.Done():
		c.Abort("the server is shutting down")
	}
	s.Recorder.Completed()
}

// pick returns the script that the first label of the server name selects.
func (s *Server) pick(name string) (*scenario.Connection, uint64, error) {
	all := s.Scenario.Servers[s.ID].Connections
	label, _, _ := strings.Cut(name, ".")
	i, err := strconv.ParseUint(label, 10, 64)
	where := fmt.Sprintf("servers[%d].connections", s.ID)
	if err != nil {
		return nil, 0, in(where, scriptError("the client asked for the server name %q, which does not begin with a connection's number", name))
	}
	if i >= uint64(len(all)) {
		return nil, 0, in(where, scriptError("the client asked for connection %d, but the scenario has %d", i, len(all)))
	}
	return &all[i], i, nil
}
