//go:build linux

package main

import (
	"fmt"
	"time"
)

const isolation = "isolation"

const (
	isolationAdded     = "p99 µs that half the rate adds to requests"
	isolationAnswered  = "requests answered at twice the rate, %"
	isolationLate      = "handshakes neither done nor refused in time at twice the rate, %"
	isolationDone      = "handshakes done at twice the rate, %"
	isolationCounted   = "clients refused by the server's own count at twice the rate, %"
	isolationRefused   = "clients that saw a refusal at twice the rate, %"
	isolationValidated = "clients asked to validate their address at twice the rate, %"
	isolationSurplus   = "surplus refused or asked to validate at twice the rate, %"
)

const (
	probeInterval = 2 * time.Millisecond
	probeLimit    = 5 * time.Second // in which a request must be answered
)

// isolationWorkload measures requests on an established connection while others make handshakes at fixed rates: half
// and twice the rate that the server sustains. The clients are those of the load generator, in two processes, so that
// stacks differ only in the server.
func isolationWorkload() workload {
	return workload{
		name: isolation,
		metrics: []metric{{name: isolationAdded, signed: true}, {name: isolationAnswered, signed: true},
			{name: isolationLate, signed: true}, {name: isolationDone, signed: true}, {name: isolationRefused, signed: true},
			{name: isolationValidated, signed: true}, {name: isolationSurplus, signed: true},
			{name: isolationCounted, signed: true, detail: true},
			{name: "p99 µs without handshakes", detail: true},
			{name: "p99 µs at half the rate", detail: true}, {name: "p99 µs at twice the rate", detail: true},
			{name: "handshakes/s sustained", detail: true}, {name: "handshakes/s offered at twice the rate", detail: true},
			{name: "p99 µs of a handshake at twice the rate", detail: true}},
		open: (*runner).openIsolation,
	}
}

// A crowd is a server with two clients.
type crowd struct {
	*pair                  // makes handshakes
	prober   *process      // makes requests
	window   time.Duration // of a measurement
	cooldown time.Duration
	work     steady
	amount   int64
}

func (r *runner) openIsolation(stack string) (*session, error) {
	c := &crowd{window: r.time, cooldown: r.cooldown, work: connectSteady(32)}
	s := setup{client: r.generator()}
	var err error
	if c.pair, err = r.start(stack, s); err != nil {
		return nil, err
	}
	stop := func() {
		if c.prober != nil {
			c.prober.stop()
		}
		c.stop()
	}
	if c.prober, err = r.startClient(loopback, c.server, s.client, s); err == nil {
		c.amount, err = r.calibrate(c.pair, c.work)
	}
	if err != nil {
		stop()
		return nil, err
	}
	return &session{func(int) (figures, error) { return c.measure() }, stop}, nil
}

func (c *crowd) measure() (figures, error) {
	s, err := c.run(c.work.request(c.amount), c.cooldown)
	if err != nil {
		return nil, err
	}
	sustained := float64(s.amount) / s.elapsed.Seconds()
	alone, err := c.probe()
	if err != nil {
		return nil, err
	}
	half, _, err := c.offer(sustained / 2)
	if err != nil {
		return nil, err
	}
	time.Sleep(c.cooldown)
	refused, validated, err := c.refusals()
	if err != nil {
		return nil, err
	}
	twice, load, err := c.offer(2 * sustained)
	if err != nil {
		return nil, err
	}
	f := figures{
		isolationAdded:                            micros(half.p99 - alone.p99),
		isolationAnswered:                         percent(twice.amount, twice.amount+twice.failed+twice.late),
		isolationLate:                             percent(load.late+load.failed, load.offered()),
		isolationDone:                             percent(load.amount, load.offered()),
		isolationRefused:                          percent(load.refused, load.offered()),
		"p99 µs without handshakes":               micros(alone.p99),
		"p99 µs at half the rate":                 micros(half.p99),
		"p99 µs at twice the rate":                micros(twice.p99),
		"handshakes/s sustained":                  sustained,
		"handshakes/s offered at twice the rate":  float64(load.offered()) / load.elapsed.Seconds(),
		"p99 µs of a handshake at twice the rate": micros(load.p99),
	}
	refusedAfter, validatedAfter, err := c.refusals()
	handled := load.refused
	if refused >= 0 {
		handled = refusedAfter - refused
		f[isolationCounted] = percent(handled, load.offered())
	}
	if validated >= 0 {
		handled += validatedAfter - validated
		f[isolationValidated] = percent(validatedAfter-validated, load.offered())
	}
	if refused >= 0 || validated >= 0 {
		f[isolationSurplus] = load.surplus(handled)
	}
	time.Sleep(c.cooldown)
	return f, err
}

// offerLimit returns the time in which a handshake is done or refused. If the server queues what it cannot do, half of
// the handshakes that are offered at twice the rate wait longer than half of the time for which they are offered.
func (c *crowd) offerLimit() time.Duration { return max(c.window/2, 100*time.Millisecond) }

func (d done) offered() int64 { return d.amount + d.failed + d.late + d.refused }

// surplus returns the percentage of the handshakes that were not done which the server refused or asked to validate their
// address. handled is the number of clients that it did this to, done or not.
func (d done) surplus(handled int64) float64 {
	surplus := d.offered() - d.amount
	if surplus == 0 {
		return 100
	}
	return percent(min(handled, surplus), surplus)
}

func percent(part, of int64) float64 { return 100 * float64(part) / float64(max(of, 1)) }

// probe makes requests for the length of a measurement.
func (c *crowd) probe() (done, error) {
	line, err := c.prober.ask(fmt.Sprintf("probe %d %d %d", max(c.window/probeInterval, 1), probeInterval, probeLimit))
	if err != nil {
		return done{}, err
	}
	return parseDone(line)
}

// offer makes requests while handshakes are offered at a rate.
func (c *crowd) offer(rate float64) (requests, handshakes done, err error) {
	count := max(int64(rate*c.window.Seconds()), 1)
	interval := time.Duration(float64(time.Second) / rate)
	ended := make(chan error, 1)
	go func() {
		line, err := c.client.ask(fmt.Sprintf("offer %d %d %d", count, interval, c.offerLimit()))
		if err == nil {
			handshakes, err = parseDone(line)
		}
		ended <- err
	}()
	requests, err = c.probe()
	if loadErr := <-ended; err == nil {
		err = loadErr
	}
	return requests, handshakes, err
}

// refusals returns how many clients the server has refused and asked to validate their address, each -1 if the
// stack does not count them.
func (c *crowd) refusals() (refused, validated int64, err error) {
	err = c.server.scan("refusals", "refusals %d %d", &refused, &validated)
	return refused, validated, err
}
