//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// locksWorkload is the workload of contend.
const locksWorkload = "locks"

var locksMetrics = []metric{
	{"server CPU, 2 CPUs / 1", false, func(s sample) float64 { return float64(s.serverCPU) / float64(s.oneCPU) }},
	{"server CPU µs a connection, 2 CPUs", true, func(s sample) float64 { return perUnit(s.serverCPU, s, time.Microsecond) }},
	{"server CPU µs a connection, 1 CPU", true, func(s sample) float64 { return perUnit(s.oneCPU, s, time.Microsecond) }},
}

// contend makes the same number of connections to a server with GOMAXPROCS=1 and to one with GOMAXPROCS=2, in random
// order. What the second one uses more is the cost of locks, wake-ups and caches that two threads share.
func (r *runner) contend(w workload, stack, cert, key string) (sample, error) {
	var samples [2]sample
	var amount int64
	for _, i := range rand.Perm(len(samples)) {
		p, err := startPair(r.program(stack), stack, cert, key, r.datagram, w.link, "-procs", fmt.Sprint(i+1))
		if err != nil {
			return sample{}, err
		}
		calibrated, err := r.calibrate(p, w)
		if amount == 0 {
			amount = calibrated
		}
		if err == nil {
			samples[i], err = p.run(w.request(amount), r.settle)
		}
		p.stop()
		if err != nil {
			return sample{}, err
		}
	}
	s := samples[1]
	s.oneCPU = samples[0].serverCPU
	return s, nil
}
