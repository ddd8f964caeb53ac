//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"time"
)

const (
	tlsPair    = "CPU µs of a handshake pair in memory"
	tlsOutside = "CPU µs a connection outside of TLS"
	tlsAdded   = "CPU µs that PQ adds outside of TLS"
)

// tlsWorkload separates the cost of TLS from that of the transport. In each round it makes connections and handshakes
// in memory, with X25519MLKEM768 and with X25519.
func tlsWorkload() workload {
	return workload{
		name: "tls",
		metrics: []metric{{name: connectCPU, detail: true}, {name: tlsPair}, {name: tlsOutside, signed: true},
			{name: connectCPU + ", X25519", detail: true}, {name: tlsPair + ", X25519"}, {name: tlsAdded, signed: true}},
		open: (*runner).openTLS,
	}
}

// A tlsPart is one of the four measurements of the workload tls.
type tlsPart struct {
	pair   *pair
	work   steady
	amount int64
}

// pairSteady makes handshakes in memory.
var pairSteady = steady{least: 1, request: func(n int64) string { return fmt.Sprintf("pair %d", n) }}

func (r *runner) openTLS(stack string) (*session, error) {
	var parts []tlsPart
	stop := func() {
		for _, part := range parts {
			part.pair.stop()
		}
	}
	for _, group := range []string{wantGroup, classicalGroup} {
		for _, work := range []steady{connectSteady(32), pairSteady} {
			part, err := r.startTLSPart(stack, group, work)
			if err != nil {
				stop()
				return nil, fmt.Errorf("%s: %w", group, err)
			}
			parts = append(parts, part)
		}
	}
	measure := func(int) (figures, error) {
		cpu := make([]float64, len(parts)) // µs
		for _, i := range rand.Perm(len(parts)) {
			s, err := parts[i].pair.run(parts[i].work.request(parts[i].amount), r.cooldown)
			if err != nil {
				return nil, err
			}
			cpu[i] = perUnit(s.clientCPU+s.serverCPU, s, time.Microsecond)
		}
		return figures{connectCPU: cpu[0], tlsPair: cpu[1], tlsOutside: cpu[0] - cpu[1], connectCPU + ", X25519": cpu[2],
			tlsPair + ", X25519": cpu[3], tlsAdded: (cpu[0] - cpu[2]) - (cpu[1] - cpu[3])}, nil
	}
	return &session{measure, stop}, nil
}

// startTLSPart starts what a measurement needs.
func (r *runner) startTLSPart(stack, group string, work steady) (part tlsPart, err error) {
	s := setup{group: group}
	part.work = work
	if work.figures != nil {
		part.pair, err = r.start(stack, s)
	} else {
		part.pair, err = r.startInMemory(stack, s)
	}
	if err != nil {
		return part, err
	}
	if part.amount, err = r.calibrate(part.pair, work); err != nil {
		part.pair.stop()
	}
	return part, err
}

// startInMemory starts a driver that makes handshakes in memory.
func (r *runner) startInMemory(stack string, s setup) (*pair, error) {
	args := append([]string{"pair", "-key", r.key}, r.arguments(stack, s)...)
	p, err := loopback.start(r.program(stack), args)
	if err != nil {
		return nil, fmt.Errorf("the handshake in memory: %w", err)
	}
	return &pair{client: p}, nil
}
