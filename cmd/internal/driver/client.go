package driver

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pqquic/pqquic/cmd/internal/scenario"
)

// A Client runs one of the clients of a scenario.
type Client struct {
	*Common
	Transport Transport
	// Addr returns the address for a connect operation.
	Addr func(*scenario.Op) (string, error)
	// DialTimeout bounds a handshake; 0 means the transport's default.
	DialTimeout time.Duration
	// FailFast ends the run when the first connection fails.
	FailFast bool
	Load     Load

	tokens  *tokens
	numbers atomic.Uint64
	bad     atomic.Int64
	// closing waits for connections that are still delivering sent data.
	closing sync.WaitGroup
	end     context.CancelCauseFunc
}

// Run executes the client's operations and returns the number of connections that failed.
func (c *Client) Run(ctx context.Context) (failed int64, err error) {
	c.tokens = newTokens()
	ctx, c.end = context.WithCancelCause(ctx)
	defer c.end(nil)
	ops := c.Scenario.Clients[c.ID].Scenario
	where := fmt.Sprintf("clients[%d].scenario", c.ID)
	if c.Load.open() {
		err = c.load(ctx, ops, where)
	} else {
		err = c.ops(ctx, ops, where)
	}
	c.closing.Wait()
	if errors.Is(err, errFailFast) {
		err = nil
	}
	return c.bad.Load(), err
}

var errFailFast = errors.New("a connection failed")

// ops executes operations in order. A failed connection is counted and does not end the run.
func (c *Client) ops(ctx context.Context, ops []scenario.Op, where string) error {
	for i := range ops {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := c.op(ctx, &ops[i], where, i); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) op(ctx context.Context, op *scenario.Op, where string, i int) error {
	switch op.Kind {
	case scenario.Connect:
		c.connect(ctx, op, where, i, time.Now())
	case scenario.Sleep:
		return sleep(ctx, op.Period)
	case scenario.Park:
		return c.tokens.park(ctx, op.ID)
	case scenario.Unpark:
		c.tokens.unpark(op.ID)
	case scenario.Trace:
		c.Trace.event(0, "trce[%d]", op.ID)
	case scenario.Scope:
		var g group
		g.cancel = func(error) {}
		for j, t := range op.Threads {
			g.run(func() error { return c.ops(ctx, t, fmt.Sprintf("%s[%d].scope.threads[%d]", where, i, j)) })
		}
		g.wait.Wait()
		return g.err
	}
	return nil
}

// connect dials a connection and runs its script. began is the time at which the connection was due.
func (c *Client) connect(ctx context.Context, op *scenario.Op, where string, i int, began time.Time) {
	number := c.numbers.Add(1) - 1
	c.Recorder.Begin()
	conn, err := c.dial(ctx, op)
	if err != nil {
		c.connectFailed(ctx, in(fmt.Sprintf("%s[%d].connect", where, i), err))
		return
	}
	took := time.Since(began)
	info := conn.Info()
	c.Recorder.Connected(info.handshake(took))
	c.Trace.event(number, "conn[%d]=%dus", op.ClientConnectionID, took.Microseconds())
	s := &script{conn: conn, ops: &c.Scenario.Clients[c.ID].Connections[op.ClientConnectionID], index: op.ClientConnectionID,
		where: fmt.Sprintf("clients[%d].connections[%d]", c.ID, op.ClientConnectionID), number: number,
		tokens: c.tokens, rec: c.Recorder, trace: c.Trace, dialed: began, verify: c.Verify,
		peerStreams: c.Scenario.Servers[op.ServerID].Connections[op.ServerConnectionID].PeerStreams}
	if err := s.run(ctx); err != nil {
		conn.Abort("the script failed")
		c.connectFailed(ctx, err)
		return
	}
	c.Recorder.Completed()
	// The next connection does not wait until this one has closed.
	c.closing.Go(func() {
		stop := context.AfterFunc(ctx, func() { conn.Abort("canceled") })
		defer stop()
		s.ends.Wait()
		_ = conn.Close()
	})
}

func (c *Client) dial(ctx context.Context, op *scenario.Op) (Conn, error) {
	addr, err := c.Addr(op)
	if err != nil {
		return nil, err
	}
	if c.DialTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.DialTimeout)
		defer cancel()
	}
	return c.Transport.Dial(ctx, addr, fmt.Sprintf("%d.%s.net", op.ServerConnectionID, c.Scenario.ID))
}

func (c *Client) connectFailed(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return // the connection did not fail by itself
	}
	c.bad.Add(1)
	c.failed(err)
	if c.FailFast {
		c.end(errFailFast)
	}
}
