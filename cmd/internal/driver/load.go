package driver

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/pqquic/pqquic/cmd/internal/scenario"
)

// Load makes a client's connections concurrently instead of one after another.
type Load struct {
	// Concurrency is the number of concurrent connections.
	Concurrency int
	// ArrivalRate is the number of connections that begin in a second, whether or not earlier ones are
	// done. Times are measured from when a connection was due and not from when it could begin, so that
	// waiting for other connections counts (coordinated omission).
	ArrivalRate float64
	// Ramp is the time in which the arrival rate grows from 0 to ArrivalRate.
	Ramp time.Duration
	// Duration is how long to run: connections are repeated or omitted to fit. 0 makes each connection
	// once.
	Duration time.Duration
	// MaxInFlight bounds concurrent connections with an arrival rate. Connections beyond it fail.
	MaxInFlight int
}

func (l *Load) open() bool { return l.Concurrency > 1 || l.ArrivalRate > 0 || l.Duration > 0 }

// due returns the time at which connection n begins. The rate grows from 0 during the ramp.
func (l *Load) due(n int) time.Duration {
	// By the time t during the ramp, t²·rate/(2·ramp) connections have begun.
	ramp := l.Ramp.Seconds()
	during := ramp * l.ArrivalRate / 2
	var t float64
	if float64(n) < during {
		t = math.Sqrt(2 * float64(n) * ramp / l.ArrivalRate)
	} else {
		t = ramp + (float64(n)-during)/l.ArrivalRate
	}
	return time.Duration(t * float64(time.Second))
}

// place is a connect operation and its place in the scenario.
type place struct {
	op    *scenario.Op
	where string
	i     int
}

// connects lists the connect operations. Only scopes may surround them; any other operation is an error.
func connects(ops []scenario.Op, where string, out []place) ([]place, error) {
	for i := range ops {
		switch op := &ops[i]; op.Kind {
		case scenario.Connect:
			out = append(out, place{op, where, i})
		case scenario.Scope:
			for j, t := range op.Threads {
				var err error
				if out, err = connects(t, fmt.Sprintf("%s[%d].scope.threads[%d]", where, i, j), out); err != nil {
					return nil, err
				}
			}
		default:
			return nil, in(fmt.Sprintf("%s[%d].%s", where, i, op.Kind),
				scriptError("--concurrency, --arrival-rate and --duration need a client whose only operation is connect"))
		}
	}
	return out, nil
}

// load makes the connections as Load specifies.
func (c *Client) load(ctx context.Context, ops []scenario.Op, where string) error {
	list, err := connects(ops, where, nil)
	if err != nil || len(list) == 0 {
		return err
	}
	began := time.Now()
	next := func(n int) (place, bool) {
		if c.Load.Duration > 0 {
			return list[n%len(list)], (n == 0 || time.Since(began) < c.Load.Duration) && ctx.Err() == nil
		}
		if n >= len(list) || ctx.Err() != nil {
			return place{}, false
		}
		return list[n], true
	}
	if c.Load.ArrivalRate > 0 {
		err = c.arrivals(ctx, began, next)
	} else {
		c.pool(ctx, next)
	}
	if err == nil {
		err = context.Cause(ctx)
	}
	return err
}

// pool keeps Concurrency connections going.
func (c *Client) pool(ctx context.Context, next func(int) (place, bool)) {
	var mu sync.Mutex
	n := 0
	take := func() (place, bool) {
		mu.Lock()
		defer mu.Unlock()
		n++
		return next(n - 1)
	}
	var workers sync.WaitGroup
	for range max(1, c.Load.Concurrency) {
		workers.Go(func() {
			for p, ok := take(); ok; p, ok = take() {
				c.connect(ctx, p.op, p.where, p.i, time.Now())
			}
		})
	}
	workers.Wait()
}

// arrivals begins connections when they are due.
func (c *Client) arrivals(ctx context.Context, began time.Time, next func(int) (place, bool)) error {
	var running sync.WaitGroup
	defer running.Wait()
	slots := make(chan struct{}, c.Load.MaxInFlight)
	for n := 0; ; n++ {
		due := began.Add(c.Load.due(n))
		if d := time.Until(due); d > 0 {
			if err := sleep(ctx, d); err != nil {
				return err
			}
		}
		p, ok := next(n)
		if !ok {
			return nil
		}
		select {
		case slots <- struct{}{}:
		default:
			c.connectFailed(ctx, in(fmt.Sprintf("%s[%d].connect", p.where, p.i), errOverload))
			continue
		}
		running.Go(func() {
			defer func() { <-slots }()
			c.connect(ctx, p.op, p.where, p.i, due)
		})
	}
}
