//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// memoryWorkload is the workload of holdConnections.
const memoryWorkload = "memory"

// idleTimeout is that of all stacks. It is long enough for 10,000 connections that are made and then idle for 30 s.
const idleTimeout = 5 * time.Minute

var memoryMetrics = []metric{
	{"server KB a connection, freed", false, func(s sample) float64 { return float64(s.freed) / 1e3 / float64(s.amount) }},
	{"server KB a connection", false, func(s sample) float64 { return float64(s.resident) / 1e3 / float64(s.amount) }},
}

// A memory is the resident memory of a process, in bytes.
type memory struct {
	resident int64
	freed    int64 // after the process has returned unused memory to the system
}

func (m memory) String() string { return fmt.Sprintf("memory %d %d", m.resident, m.freed) }

// memory returns the resident memory of the process.
func (p *process) memory() (m memory, err error) {
	line, err := p.ask("memory")
	if err != nil {
		return m, err
	}
	if _, err := fmt.Sscanf(line, "memory %d %d", &m.resident, &m.freed); err != nil {
		return m, fmt.Errorf("the answer %q is no memory: %w", line, err)
	}
	return m, nil
}

// measureFresh runs a workload that starts new processes each time. In each round every stack runs once, in random
// order.
func (r *runner) measureFresh(w workload, stacks []string, cert, key string) map[string][]sample {
	results := make(map[string][]sample)
	failed := make(map[string]bool)
	var order []string
	for _, stack := range stacks {
		if supports(stack, w.name) {
			order = append(order, stack)
		}
	}
	for round := range r.rounds {
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, stack := range order {
			if failed[stack] {
				continue
			}
			s, err := w.fresh(r, w, stack, cert, key)
			if err != nil {
				r.skip(stack+", "+w.name, err.Error())
				failed[stack] = true
				delete(results, stack)
				continue
			}
			results[stack] = append(results[stack], s)
			fmt.Fprintf(r.log, "%s, round %d of %d, %s: %.4g %s\n", w.name, round+1, r.rounds, stack, w.metrics[0].value(s), w.metrics[0].name)
		}
	}
	return results
}

// holdConnections measures how much a server's resident memory grows by connections that are open and idle. It starts
// a pair, opens connections, and measures the server's memory before them and when they have been idle for some time.
// Connections that are closed before the first measurement warm the server up.
func (r *runner) holdConnections(w workload, stack, cert, key string) (sample, error) {
	p, err := startPair(r.program(stack), stack, cert, key, r.datagram, w.link)
	if err != nil {
		return sample{}, err
	}
	defer p.stop()
	if _, err := p.run(fmt.Sprintf("connect %d 32", min(r.connections, 200)), r.settle); err != nil {
		return sample{}, err
	}
	before, err := p.server.memory()
	if err != nil {
		return sample{}, err
	}
	s, err := p.run(w.request(r.connections), r.idle)
	if err != nil {
		return s, err
	}
	after, err := p.server.memory()
	s.memory = memory{after.resident - before.freed, after.freed - before.freed}
	return s, err
}
