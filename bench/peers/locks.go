//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"time"
)

const locks = "locks"

const (
	locksCPU   = "server CPU, 2 CPUs / 1"
	locksShare = "waits for the largest lock, % of the CPU time"
	locksTwo   = "server CPU µs a connection, 2 CPUs"
	locksOne   = "server CPU µs a connection, 1 CPU"
)

// locksWorkload shows what locks, wake-ups and caches that threads share cost a server.
func locksWorkload() workload {
	return workload{
		name: locks,
		metrics: []metric{{name: locksCPU}, {name: locksShare, signed: true}, {name: locksTwo, detail: true},
			{name: locksOne, detail: true}},
		open: func(r *runner, stack string) (*session, error) {
			return fresh(func(int) (figures, error) { return r.contend(stack) }), nil
		},
	}
}

// contend makes the same number of connections to a server with GOMAXPROCS=1, to one with GOMAXPROCS=2, and to one
// with GOMAXPROCS=2 and a mutex profile, in random order.
func (r *runner) contend(stack string) (figures, error) {
	variants := [][]string{{"-procs", "1"}, {"-procs", "2"}, {"-procs", "2", "-mutex"}}
	var cpu [3]float64 // µs a connection
	var amount int64
	f := make(figures)
	for _, i := range rand.Perm(len(variants)) {
		st := connectSteady(32)
		p, err := r.start(stack, setup{serverArgs: variants[i]})
		if err != nil {
			return nil, err
		}
		calibrated, err := r.calibrate(p, st)
		if amount == 0 {
			amount = calibrated
		}
		if err == nil {
			var s sample
			s, err = p.run(st.request(amount), r.cooldown)
			cpu[i] = perUnit(s.serverCPU, s, time.Microsecond)
		}
		if err == nil && i == 2 {
			f[locksShare], err = r.lockShare(stack, p.server)
		}
		p.stop()
		if err != nil {
			return nil, err
		}
	}
	f[locksCPU], f[locksTwo], f[locksOne] = cpu[1]/cpu[0], cpu[1], cpu[0]
	return f, nil
}

// lockShare returns the time for which goroutines of a server have waited for one lock, of the lock with the longest
// waits, in percent of the CPU time of the server. Both include the start and the warm-up.
func (r *runner) lockShare(stack string, server *process) (float64, error) {
	waited, name, err := server.mutex()
	if err != nil {
		return 0, err
	}
	cpu, err := server.cpu()
	share := 100 * float64(waited) / float64(cpu)
	fmt.Fprintf(r.log, "%s: the lock with the longest waits is that of %s: %.2f %%\n", stack, name, share)
	return share, err
}

// mutex returns the time for which goroutines of the process have waited for the lock with the longest waits, and the
// function that unlocks it.
func (p *process) mutex() (waited time.Duration, name string, err error) {
	err = p.scan("mutex", "mutex %d %s", &waited, &name)
	return waited, name, err
}
