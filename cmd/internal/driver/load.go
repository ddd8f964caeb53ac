package driver

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/pqquic/pqquic/cmd/internal/scenario"
)

// Load is another way to go through a client's connections than one after another.
type Load struct {
	// Concurrency is how many connections there are at a time.
	Concurrency int
	// ArrivalRate is how many connections begin in a second, whether or not earlier ones are
	// done. Times are taken from when a connection was due, not from when it could begin, so
	// that none is flattered by waiting for others (coordinated omission).
	ArrivalRate float64
	// Ramp is the time in which the arrival rate grows to what it is to be.
	Ramp time.Duration
	// Duration repeats the connections, or cuts them short, to last as long; 0: each once.
	Duration time.Duration
	// MaxInFlight bounds the connections at a time with an arrival rate; more are failures.
	MaxInFlight int
}

func (l *Load) open() bool { return l.Concurrency > 1 || l.ArrivalRate > 0 || l.Duration > 0 }

// due is when the nth connection begins, with the rate growing from 0 at first.
func (l *Load) due(n int) time.Duration {
	// During the ramp t²·rate/(2·ramp) connections have begun after the time t.
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

// place is a connect operation and where it stands.
type place struct {
	op    *scenario.Op
	where string
	i     int
}

// connects lists the connect operations; there must be no others but scopes around them.
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
				scriptError("concurrency, an arrival rate or a duration take a client that does nothing but connect"))
		}
	}
	return out, nil
}

// load goes through the connections by what Load says.
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

// pool keeps so many connections going.
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
