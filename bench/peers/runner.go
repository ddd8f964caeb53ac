//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"time"
)

// A runner runs workloads on stacks.
type runner struct {
	rounds            int
	time              time.Duration // of a measurement
	cooldown          time.Duration // after a measurement, in which CPU time still counts for it
	datagram          int
	connections       int64         // of the workload memory
	idle              time.Duration // between the last of these connections and the measurement
	stacks, workloads []string
	program           func(stack string) string // the driver of a stack; empty if it is not built
	rustError         error                     // why there is no driver in Rust
	quicheError       error                     // why there is no driver of quiche
	baseCommit        string                    // of the stacks whose names end in baseSuffix
	file              string                    // of the results; empty if they are not stored
	log               io.Writer

	cert, key string // files of the server's certificate and key
	results   results
}

// run measures and adds to the results. It stores them after each workload, so that an interrupted run keeps what it
// has measured.
func (r *runner) run() error {
	dir, err := os.MkdirTemp("", "pqquic-peers")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if r.cert, r.key, err = writeCertificate(dir); err != nil {
		return err
	}
	current := r.provenance()
	usable := r.usable(current)
	for _, w := range workloads {
		if !slices.Contains(r.workloads, w.name) {
			continue
		}
		r.results.replace(w.name, r.measure(w, usable, current))
		current.LoadAfter = load()
		if r.file != "" {
			if err := r.results.store(r.file); err != nil {
				return err
			}
		}
	}
	if len(usable) == 0 {
		return errors.New("no stack can be measured")
	}
	return nil
}

// usable returns the stacks whose drivers start and negotiate what is to be compared.
func (r *runner) usable(current *provenance) (stacks []string) {
	for _, stack := range r.stacks {
		if r.program(stack) == "" {
			r.skip(&current.Missing, stack, fmt.Sprintf("its driver is not built: %v", r.buildError(stack)))
			continue
		}
		p, err := r.start(stack, setup{})
		if err != nil {
			r.skip(&current.Missing, stack, err.Error())
			continue
		}
		current.Buffers[stack] = p.server.ready["rcvbuf"] + " and " + p.server.ready["sndbuf"]
		p.stop()
		stacks = append(stacks, stack)
	}
	return stacks
}

// buildError returns why there is no driver of a stack.
func (r *runner) buildError(stack string) error {
	if stack == quiche {
		return r.quicheError
	}
	return r.rustError
}

// skip adds what is not measured to a list.
func (r *runner) skip(missing *[]string, what, why string) {
	*missing = append(*missing, what+": "+why)
	fmt.Fprintf(r.log, "NOT MEASURED: %s: %s\n", what, why)
}

// measure runs a workload: in each round every stack runs once, in random order. A stack that fails has no result.
func (r *runner) measure(w workload, stacks []string, current *provenance) *measured {
	m := &measured{run: current, Stacks: make(map[string][]figures)}
	if err := w.possible(); err != nil {
		r.skip(&m.Missing, w.name, err.Error())
		return m
	}
	sessions := make(map[string]*session)
	var order []string
	drop := func(stack string, err error) {
		r.skip(&m.Missing, stack+", "+w.name, err.Error())
		if s, ok := sessions[stack]; ok {
			s.close()
			delete(sessions, stack)
		}
		delete(m.Stacks, stack)
	}
	for _, stack := range stacks {
		if !supports(stack, w.name) {
			continue
		}
		s, err := w.open(r, stack)
		if err != nil {
			drop(stack, err)
			continue
		}
		sessions[stack] = s
		order = append(order, stack)
	}
	for round := range r.rounds {
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, stack := range order {
			s, ok := sessions[stack]
			if !ok {
				continue
			}
			f, err := s.measure(round)
			if err != nil {
				drop(stack, err)
				continue
			}
			m.Stacks[stack] = append(m.Stacks[stack], f)
			first := w.metrics[0].name
			fmt.Fprintf(r.log, "%s, round %d of %d, %s: %.4g %s\n", w.name, round+1, r.rounds, stack, f[first], first)
		}
	}
	for _, s := range sessions {
		s.close()
	}
	return m
}
