//go:build linux

package main

import (
	"fmt"
	"time"

	"github.com/pqquic/pqquic/internal/link"
)

// A workload is something that stacks are measured with.
type workload struct {
	name    string
	metrics []metric
	// open prepares the measurements of a stack.
	open func(r *runner, stack string) (*session, error)
	// link is what it runs over, or nil for loopback.
	link *link.Config
}

// A metric is a figure of a workload.
type metric struct {
	name   string
	detail bool // not in the overview
	signed bool // can be zero or negative, so that ratios of it have no meaning
}

// figures are the results of one measurement by the names of the metrics. What could not be measured is missing.
type figures map[string]float64

// A session measures a workload on a stack.
type session struct {
	measure func(round int) (figures, error)
	close   func()
}

var workloads = append([]workload{
	connectWorkload(1), connectWorkload(32), aloneWorkload(), tlsWorkload(),
	bulkWorkload("down", 1), bulkWorkload("down", 10), bulkWorkload("up", 1), bulkWorkload("up", 10),
	requestWorkload(), streamsWorkload(), allocationsWorkload(), memoryWorkload(), locksWorkload(), isolationWorkload(),
	jumboWorkload(),
	linkWorkload("15ms-1%", 2e6, link.Config{Delay: 15 * time.Millisecond, Loss: 0.01, Queue: 375e3}),
	linkWorkload("50ms-0.1%", 4e6, link.Config{Delay: 50 * time.Millisecond, Loss: 0.001, Queue: 1250e3}),
}, httpWorkloads()...)

func workloadNames() (names []string) {
	for _, w := range workloads {
		names = append(names, w.name)
	}
	return names
}

// A steady is a workload that the same client and server carry out in all rounds.
type steady struct {
	// request returns the request for an amount of connections, bytes, requests or streams.
	request func(amount int64) string
	least   int64 // smallest amount of a run
	figures func(sample) figures
	setup   setup
	// rate, if not 0, is the amount a second: each stack then moves the same amount. It is for workloads over a link.
	rate int64
}

// open starts a pair and finds the amount of work.
func (st steady) open(r *runner, stack string) (*session, error) {
	p, err := r.start(stack, st.setup)
	if err != nil {
		return nil, err
	}
	amount, err := r.calibrate(p, st)
	if err != nil {
		p.stop()
		return nil, err
	}
	measure := func(round int) (figures, error) {
		if p.link != nil { // loses the same packets of every stack, and others in each round
			p.link.Reseed(uint64(round))
		}
		s, err := p.run(st.request(amount), r.cooldown)
		if err != nil {
			return nil, err
		}
		return st.figures(s), nil
	}
	return &session{measure, p.stop}, nil
}

// calibrate warms a pair up and returns the amount of work that takes about r.time.
func (r *runner) calibrate(p *pair, st steady) (int64, error) {
	if st.rate > 0 {
		_, err := p.run(st.request(st.least), 0)
		return max(st.least, int64(r.time.Seconds()*float64(st.rate))), err
	}
	amount := st.least
	for _, target := range []time.Duration{r.time / 16, r.time / 4, r.time} {
		s, err := p.run(st.request(amount), 0)
		if err != nil {
			return 0, err
		}
		amount = max(st.least, int64(float64(s.amount)*float64(target)/float64(s.elapsed)))
	}
	time.Sleep(r.cooldown)
	return amount, nil
}

// fresh returns a session that calls measure in each round, which starts processes itself.
func fresh(measure func(round int) (figures, error)) *session {
	return &session{measure, func() {}}
}

func perUnit(total time.Duration, s sample, unit time.Duration) float64 {
	return float64(total) / float64(unit) / float64(s.amount)
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// Names of metrics that aims refer to.
const (
	connectRate   = "connections/s"
	connectCPU    = "CPU µs a connection, both"
	connectServer = "CPU µs a connection, server"
	bulkRate      = "MB/s"
	bulkCPU       = "CPU ns a byte, both"
	requestP50    = "p50 µs"
	requestP99    = "p99 µs"
	streamRate    = "streams/s"
)

// connectSteady makes connections, some of them at a time.
func connectSteady(concurrent int64) steady {
	return steady{
		least:   concurrent,
		request: func(n int64) string { return fmt.Sprintf("connect %d %d", n, concurrent) },
		figures: func(s sample) figures {
			f := figures{
				connectRate:                   float64(s.amount) / s.elapsed.Seconds(),
				connectCPU:                    perUnit(s.clientCPU+s.serverCPU, s, time.Microsecond),
				"CPU µs a connection, client": perUnit(s.clientCPU, s, time.Microsecond),
				connectServer:                 perUnit(s.serverCPU, s, time.Microsecond),
			}
			if s.datagrams > 0 {
				f["UDP datagrams a connection"] = s.datagrams / float64(s.amount)
			}
			return f
		},
	}
}

func connectWorkload(concurrent int64) workload {
	return workload{name: fmt.Sprintf("connect-%d", concurrent), open: connectSteady(concurrent).open, metrics: []metric{
		{name: connectRate}, {name: connectCPU}, {name: "CPU µs a connection, client", detail: true},
		{name: connectServer, detail: true}, {name: "UDP datagrams a connection"}}}
}

// aloneWorkload measures servers under the same load generator.
func aloneWorkload() workload {
	w := workload{name: "server-alone", metrics: []metric{{name: connectServer}}}
	w.open = func(r *runner, stack string) (*session, error) {
		st := connectSteady(32)
		st.setup.client = r.generator()
		return st.open(r, stack)
	}
	return w
}

func bulkSteady(direction string, streams int64, s setup) steady {
	return steady{
		least:   64 << 10,
		request: func(n int64) string { return fmt.Sprintf("bulk %s %d %d", direction, streams, max(n/streams, 1)) },
		setup:   s,
		figures: func(s sample) figures {
			return figures{
				bulkRate: float64(s.amount) / 1e6 / s.elapsed.Seconds(),
				bulkCPU:  perUnit(s.clientCPU+s.serverCPU, s, time.Nanosecond),
			}
		},
	}
}

var bulkMetrics = []metric{{name: bulkRate}, {name: bulkCPU}}

func bulkWorkload(direction string, streams int64) workload {
	return workload{name: fmt.Sprintf("bulk-%s-%d", direction, streams), metrics: bulkMetrics,
		open: bulkSteady(direction, streams, setup{}).open}
}

func requestWorkload() workload {
	st := steady{
		least:   10,
		request: func(n int64) string { return fmt.Sprintf("request %d", n) },
		figures: func(s sample) figures {
			return figures{requestP50: micros(s.p50), requestP99: micros(s.p99),
				"CPU µs a request, both": perUnit(s.clientCPU+s.serverCPU, s, time.Microsecond)}
		},
	}
	return workload{name: "request", open: st.open,
		metrics: []metric{{name: requestP50}, {name: requestP99}, {name: "CPU µs a request, both", detail: true}}}
}

func streamsWorkload() workload {
	st := steady{
		least:   32,
		request: func(n int64) string { return fmt.Sprintf("streams %d 32", n) },
		figures: func(s sample) figures {
			return figures{streamRate: float64(s.amount) / s.elapsed.Seconds(),
				"CPU µs a stream, both": perUnit(s.clientCPU+s.serverCPU, s, time.Microsecond)}
		},
	}
	return workload{name: "streams-32", open: st.open, metrics: []metric{{name: streamRate}, {name: "CPU µs a stream, both"}}}
}

// generator returns the stack whose client is the load generator of workloads that measure servers alone.
func (r *runner) generator() string {
	const preferred = "s2n-quic-rustls"
	if r.program(preferred) == "" {
		return "quic-go"
	}
	return preferred
}
