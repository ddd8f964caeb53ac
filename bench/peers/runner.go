//go:build linux

package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"github.com/pqquic/pqquic/bench/peers/link"
)

// A workload is something that a pair does.
type workload struct {
	name string
	// request returns the request for an amount of connections, bytes, requests or streams.
	request func(amount int64) string
	least   int64 // smallest amount of a run
	metrics []metric
	// fresh measures a stack once, in processes that it starts itself. If it is nil, the same processes run in all
	// rounds.
	fresh func(r *runner, w workload, stack, cert, key string) (sample, error)
	// link is what a workload runs over, or nil for loopback. Each stack then moves the same amount, in proportion to
	// the time of a measurement, of which rate is the amount a second.
	link *link.Config
	rate int64
	// datagram is the largest UDP payload, or 0 for that of the runner.
	datagram int
}

// A metric is a figure of a workload.
type metric struct {
	name   string
	detail bool // not in the overview
	value  func(sample) float64
}

func perUnit(total time.Duration, s sample, unit time.Duration) float64 {
	return float64(total) / float64(unit) / float64(s.amount)
}

var (
	connectMetrics = []metric{
		{"connections/s", false, func(s sample) float64 { return float64(s.amount) / s.elapsed.Seconds() }},
		{"CPU µs a connection, both", false, func(s sample) float64 { return perUnit(s.clientCPU+s.serverCPU, s, time.Microsecond) }},
		{"CPU µs a connection, client", true, func(s sample) float64 { return perUnit(s.clientCPU, s, time.Microsecond) }},
		{"CPU µs a connection, server", true, func(s sample) float64 { return perUnit(s.serverCPU, s, time.Microsecond) }},
		{"UDP datagrams a connection", false, func(s sample) float64 { return s.datagrams / float64(s.amount) }},
	}
	bulkMetrics = []metric{
		{"MB/s", false, func(s sample) float64 { return float64(s.amount) / 1e6 / s.elapsed.Seconds() }},
		{"CPU ns a byte, both", false, func(s sample) float64 { return perUnit(s.clientCPU+s.serverCPU, s, time.Nanosecond) }},
	}
	requestMetrics = []metric{
		{"p50 µs", false, func(s sample) float64 { return float64(s.p50) / float64(time.Microsecond) }},
		{"p99 µs", false, func(s sample) float64 { return float64(s.p99) / float64(time.Microsecond) }},
		{"CPU µs a request, both", true, func(s sample) float64 { return perUnit(s.clientCPU+s.serverCPU, s, time.Microsecond) }},
	}
	streamMetrics = []metric{
		{"streams/s", false, func(s sample) float64 { return float64(s.amount) / s.elapsed.Seconds() }},
		{"CPU µs a stream, both", false, func(s sample) float64 { return perUnit(s.clientCPU+s.serverCPU, s, time.Microsecond) }},
	}
)

func connectWorkload(concurrent int64) workload {
	return workload{name: fmt.Sprintf("connect-%d", concurrent), least: concurrent, metrics: connectMetrics,
		request: func(n int64) string { return fmt.Sprintf("connect %d %d", n, concurrent) }}
}

func bulkWorkload(direction string, streams int64) workload {
	return workload{name: fmt.Sprintf("bulk-%s-%d", direction, streams), least: 64 << 10, metrics: bulkMetrics,
		request: func(n int64) string { return fmt.Sprintf("bulk %s %d %d", direction, streams, max(n/streams, 1)) }}
}

var workloads = []workload{
	connectWorkload(1), connectWorkload(32),
	bulkWorkload("down", 1), bulkWorkload("down", 10), bulkWorkload("up", 1), bulkWorkload("up", 10),
	{name: "request", least: 10, metrics: requestMetrics,
		request: func(n int64) string { return fmt.Sprintf("request %d", n) }},
	{name: "streams-32", least: 32, metrics: streamMetrics,
		request: func(n int64) string { return fmt.Sprintf("streams %d 32", n) }},
	{name: memoryWorkload, least: 1, metrics: memoryMetrics, fresh: (*runner).holdConnections,
		request: func(n int64) string { return fmt.Sprintf("hold %d 32", n) }},
	{name: locksWorkload, least: 32, metrics: locksMetrics, fresh: (*runner).contend,
		request: func(n int64) string { return fmt.Sprintf("connect %d 32", n) }},
	jumboWorkload(),
	linkWorkload("15ms-1%", 2e6, link.Config{Delay: 15 * time.Millisecond, Loss: 0.01, Queue: 375e3}),
	linkWorkload("50ms-0.1%", 4e6, link.Config{Delay: 50 * time.Millisecond, Loss: 0.001, Queue: 1250e3}),
}

func workloadNames() (names []string) {
	for _, w := range workloads {
		names = append(names, w.name)
	}
	return names
}

// A runner runs workloads on stacks.
type runner struct {
	rounds            int
	time              time.Duration // of a measurement
	settle            time.Duration // after a measurement, in which CPU time still counts for it
	datagram          int
	connections       int64         // of the workload memory
	idle              time.Duration // between the last of these connections and the measurement
	stacks, workloads []string
	program           func(stack string) string // the driver of a stack; empty if it is not built
	rustError         error                     // why there is no driver in Rust
	out, log          io.Writer

	commit     string
	baseCommit string   // of the stacks whose names end in baseSuffix
	load       string   // load average before the run
	missing    []string // what was not measured, and why
	isolated   error    // nil if the drivers have a network namespace of their own
	buffers    map[string]string
	results    map[string]map[string][]sample // by workload and stack; nil for a round that failed
}

func (r *runner) run() error {
	dir, err := os.MkdirTemp("", "pqquic-peers")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	cert, key, err := writeCertificate(dir)
	if err != nil {
		return err
	}
	r.commit, r.load = commit(), load()
	r.isolated = isolate()
	r.buffers = make(map[string]string)
	r.results = make(map[string]map[string][]sample)
	usable := r.usable(cert, key)
	if len(usable) == 0 {
		r.report()
		return errors.New("no stack can be measured")
	}
	for _, w := range workloads {
		if !slices.Contains(r.workloads, w.name) {
			continue
		}
		if err := w.possible(); err != nil {
			r.skip(w.name, err.Error())
			continue
		}
		if w.fresh != nil {
			r.results[w.name] = r.measureFresh(w, usable, cert, key)
		} else {
			r.results[w.name] = r.measure(w, usable, cert, key)
		}
	}
	r.report()
	return nil
}

// usable returns the stacks whose drivers start and negotiate what is to be compared.
func (r *runner) usable(cert, key string) (stacks []string) {
	for _, stack := range r.stacks {
		program := r.program(stack)
		if program == "" {
			r.skip(stack, fmt.Sprintf("its driver is not built: %v", r.rustError))
			continue
		}
		p, err := startPair(program, stack, cert, key, r.datagram, nil)
		if err != nil {
			r.skip(stack, err.Error())
			continue
		}
		r.buffers[stack] = p.server.ready["rcvbuf"] + " and " + p.server.ready["sndbuf"]
		p.stop()
		stacks = append(stacks, stack)
	}
	return stacks
}

// skip records what is not measured.
func (r *runner) skip(what, why string) {
	r.missing = append(r.missing, what+": "+why)
	fmt.Fprintf(r.log, "NOT MEASURED: %s: %s\n", what, why)
}

// measure runs a workload: in each round every stack runs once, in random order.
func (r *runner) measure(w workload, stacks []string, cert, key string) map[string][]sample {
	type running struct {
		*pair
		amount int64
	}
	pairs := make(map[string]running)
	var order []string
	drop := func(stack string, err error) {
		r.skip(stack+", "+w.name, err.Error())
		if p, ok := pairs[stack]; ok {
			p.stop()
			delete(pairs, stack)
		}
	}
	for _, stack := range stacks {
		if !supports(stack, w.name) {
			continue
		}
		p, err := startPair(r.program(stack), stack, cert, key, cmp.Or(w.datagram, r.datagram), w.link)
		if err != nil {
			drop(stack, err)
			continue
		}
		pairs[stack] = running{pair: p}
		amount, err := r.calibrate(p, w)
		if err != nil {
			drop(stack, err)
			continue
		}
		pairs[stack] = running{p, amount}
		order = append(order, stack)
	}
	results := make(map[string][]sample)
	for round := range r.rounds {
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, stack := range order {
			p, ok := pairs[stack]
			if !ok {
				continue
			}
			if p.link != nil { // loses the same packets of every stack, and others in each round
				p.link.Reseed(uint64(round))
			}
			s, err := p.run(w.request(p.amount), r.settle)
			if err != nil {
				drop(stack, err)
				delete(results, stack)
				continue
			}
			results[stack] = append(results[stack], s)
			fmt.Fprintf(r.log, "%s, round %d of %d, %s: %.4g %s\n", w.name, round+1, r.rounds, stack, w.metrics[0].value(s), w.metrics[0].name)
		}
	}
	for _, p := range pairs {
		p.stop()
	}
	return results
}

// calibrate warms a pair up and returns the amount of work that takes about r.time.
func (r *runner) calibrate(p *pair, w workload) (int64, error) {
	amount := w.least
	if w.link != nil {
		_, err := p.run(w.request(amount), 0)
		return max(w.least, int64(r.time.Seconds()*float64(w.rate))), err
	}
	for _, target := range []time.Duration{r.time / 16, r.time / 4, r.time} {
		s, err := p.run(w.request(amount), 0)
		if err != nil {
			return 0, err
		}
		amount = max(w.least, int64(float64(s.amount)*float64(target)/float64(s.elapsed)))
	}
	time.Sleep(r.settle)
	return amount, nil
}
