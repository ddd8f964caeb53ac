//go:build linux

package main

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// errRefusedByServer is the error of a connection that the server has refused.
var errRefusedByServer = errors.New("the server refuses the connection")

// offer starts n calls of f, one after each interval, however long they take. A call has to return when its context
// ends, limit after it was due; it is late then. The time that a call takes counts from when it was due, so that a delay of
// this process does not hide that of the server.
func offer(n int, interval, limit time.Duration, f func(context.Context) error) (d done) {
	var mu sync.Mutex
	var times []time.Duration
	var wg sync.WaitGroup
	began := time.Now()
	for i := range n {
		due := began.Add(time.Duration(i) * interval)
		time.Sleep(time.Until(due))
		wg.Go(func() {
			ctx, cancel := context.WithDeadline(background, due.Add(limit))
			defer cancel()
			err := f(ctx)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				times = append(times, time.Since(due))
			case errors.Is(err, errRefusedByServer):
				d.refused++
			case ctx.Err() != nil:
				d.late++
			default:
				d.failed++
			}
		})
	}
	d.elapsed = time.Since(began)
	wg.Wait()
	slices.Sort(times)
	d.amount, d.p50, d.p99 = int64(len(times)), percentile(times, 50), percentile(times, 99)
	return d
}

// offer makes n connections, one after each interval.
func (c *client) offer(n int, interval, limit time.Duration) done {
	return offer(n, interval, limit, c.connect)
}

// probe sends n requests, one after each interval, on a connection that stays open for the next call.
func (c *client) probe(n int, interval, limit time.Duration) (done, error) {
	if c.probed == nil {
		conn, err := c.dial(background, c.server)
		if err != nil {
			return done{}, err
		}
		c.probed = conn
	}
	return offer(n, interval, limit, func(ctx context.Context) error {
		result := make(chan error, 1)
		go func() { result <- exchange(c.probed, []byte{answerResponse}, messageSize, messageSize) }()
		select {
		case err := <-result:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}), nil
}
