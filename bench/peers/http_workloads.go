//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// httpPrefix begins the names of the workloads of HTTP.
const httpPrefix = "h3-"

// Names of metrics that aims refer to.
const (
	httpRate        = "requests/s"
	httpServerCPU   = "CPU µs a request, server"
	httpToRaw       = "MB/s of HTTP / of raw streams"
	httpBeside      = "p99 beside a download / without"
	httpAllocations = "server allocations a request"
	httpMemory      = "server KB a connection, freed, HTTP"
	httpMemoryMore  = "server KB a connection more than the transport"
)

// httpAllocationsName is the workload that only stacks in Go have.
const httpAllocationsName = "h3-allocations"

// concurrentRequests is the number of requests at a time on each connection.
const concurrentRequests = 100

// overHTTP is the setup of these workloads.
var overHTTP = setup{http: true}

func httpWorkloads() []workload {
	return []workload{httpRequests(1), httpRequests(32), httpDownload(1), httpDownload(10), httpBesideWorkload(),
		httpAllocationsWorkload(), httpMemoryWorkload()}
}

func httpSteady(connections int64) steady {
	return steady{
		least:   connections * concurrentRequests,
		request: func(n int64) string { return fmt.Sprintf("get %d %d %d", n, connections, concurrentRequests) },
		setup:   overHTTP,
		figures: func(s sample) figures {
			return figures{
				httpRate:                   float64(s.amount) / s.elapsed.Seconds(),
				httpServerCPU:              perUnit(s.serverCPU, s, time.Microsecond),
				"CPU µs a request, client": perUnit(s.clientCPU, s, time.Microsecond),
			}
		},
	}
}

// httpRequests measures requests for 1 KB, 100 at a time on each connection.
func httpRequests(connections int64) workload {
	return workload{name: fmt.Sprintf("h3-requests-%d", connections), open: httpSteady(connections).open,
		metrics: []metric{{name: httpRate}, {name: httpServerCPU}, {name: "CPU µs a request, client", detail: true}}}
}

// httpDownload measures a transfer from the server, by HTTP and, where the stack has them, on raw streams.
func httpDownload(streams int64) workload {
	return workload{name: fmt.Sprintf("h3-download-%d", streams),
		metrics: []metric{{name: bulkRate}, {name: bulkCPU}, {name: httpToRaw}},
		open:    func(r *runner, stack string) (*session, error) { return r.openDownload(stack, streams) }}
}

func (r *runner) openDownload(stack string, streams int64) (*session, error) {
	raw := bulkSteady("down", streams, setup{})
	work := raw
	work.setup = overHTTP
	work.request = func(n int64) string { return fmt.Sprintf("download %d %d", streams, max(n/streams, 1)) }
	h, err := work.open(r, stack)
	if err != nil || httpOnly(stack) {
		return h, err
	}
	q, err := raw.open(r, stack)
	if err != nil {
		h.close()
		return nil, err
	}
	measure := func(round int) (f figures, err error) {
		var rate [2]float64
		for _, i := range rand.Perm(2) {
			g, err := []*session{h, q}[i].measure(round)
			if err != nil {
				return nil, err
			}
			rate[i] = g[bulkRate]
			if i == 0 {
				f = g
			}
		}
		f[httpToRaw] = rate[0] / rate[1]
		return f, nil
	}
	return &session{measure, func() { h.close(); q.close() }}, nil
}

// httpBesideWorkload measures requests for 1 KB, one after another, without and with a download on the same connection.
func httpBesideWorkload() workload {
	return workload{name: "h3-beside", open: (*runner).openBeside,
		metrics: []metric{{name: httpBeside}, {name: "p99 µs without a download"}, {name: "p99 µs beside a download"},
			{name: "p50 µs without a download", detail: true}, {name: "p50 µs beside a download", detail: true}}}
}

func (r *runner) openBeside(stack string) (*session, error) {
	p, err := r.start(stack, overHTTP)
	if err != nil {
		return nil, err
	}
	amount, err := r.calibrate(p, steady{least: 10, request: func(n int64) string { return fmt.Sprintf("beside %d", n) }})
	if err != nil {
		p.stop()
		return nil, err
	}
	measure := func(int) (figures, error) {
		var samples [2]sample
		for _, i := range rand.Perm(2) {
			var err error
			if samples[i], err = p.run(fmt.Sprintf("%s %d", []string{"alone", "beside"}[i], amount), r.cooldown); err != nil {
				return nil, err
			}
		}
		alone, beside := samples[0], samples[1]
		return figures{httpBeside: float64(beside.p99) / float64(alone.p99),
			"p99 µs without a download": micros(alone.p99), "p99 µs beside a download": micros(beside.p99),
			"p50 µs without a download": micros(alone.p50), "p50 µs beside a download": micros(beside.p50)}, nil
	}
	return &session{measure, p.stop}, nil
}

// httpAllocationsWorkload counts the heap allocations of the server in the requests of h3-requests-1.
func httpAllocationsWorkload() workload {
	return workload{name: httpAllocationsName, open: (*runner).openHTTPAllocations, metrics: []metric{{name: httpAllocations}}}
}

func (r *runner) openHTTPAllocations(stack string) (*session, error) {
	st := httpSteady(1)
	p, err := r.start(stack, st.setup)
	if err != nil {
		return nil, err
	}
	amount, err := r.calibrate(p, st)
	if err != nil {
		p.stop()
		return nil, err
	}
	measure := func(int) (figures, error) {
		before, err := p.server.mallocs()
		if err != nil {
			return nil, err
		}
		if _, err := p.client.ask(st.request(amount)); err != nil {
			return nil, err
		}
		after, err := p.server.mallocs()
		return figures{httpAllocations: float64(after-before) / float64(amount)}, err
	}
	return &session{measure, p.stop}, nil
}

// httpMemoryWorkload measures the resident memory of a server for open and idle connections with HTTP, and without it.
func httpMemoryWorkload() workload {
	return workload{name: "h3-memory", metrics: []metric{{name: httpMemory}, {name: httpMemoryMore, signed: true}},
		open: func(r *runner, stack string) (*session, error) {
			return fresh(func(int) (figures, error) {
				with, err := r.holdConnections(stack, overHTTP)
				if err != nil {
					return nil, err
				}
				f := figures{httpMemory: with[memoryFreed]}
				if httpOnly(stack) {
					return f, nil
				}
				without, err := r.holdConnections(stack, setup{})
				if err != nil {
					return nil, err
				}
				f[httpMemoryMore] = with[memoryFreed] - without[memoryFreed]
				return f, nil
			}), nil
		}}
}
