//go:build linux

package main

import (
	"fmt"
	"time"
)

// idleTimeout is that of all stacks. It is long enough for 10,000 connections that are made and then idle for 30 s.
const idleTimeout = 5 * time.Minute

const (
	memoryFreed    = "server KB a connection, freed"
	memoryResident = "server KB a connection"
	memoryRatio    = "not freed / freed"
)

// memoryWorkload measures how much a server's resident memory grows by connections that are open and idle.
func memoryWorkload() workload {
	return workload{
		name:    "memory",
		metrics: []metric{{name: memoryFreed}, {name: memoryResident}, {name: memoryRatio, detail: true}},
		open: func(r *runner, stack string) (*session, error) {
			return fresh(func(int) (figures, error) { return r.holdConnections(stack, setup{}) }), nil
		},
	}
}

// A memory is the resident memory of a process, in bytes.
type memory struct {
	resident int64
	freed    int64 // after the process has returned unused memory to the system
}

func (m memory) String() string { return fmt.Sprintf("memory %d %d", m.resident, m.freed) }

// memory returns the resident memory of the process.
func (p *process) memory() (m memory, err error) {
	err = p.scan("memory", "memory %d %d", &m.resident, &m.freed)
	return m, err
}

// holdConnections starts a pair, opens connections, and measures the server's memory before them and when they have
// been idle for some time. Connections that are closed before the first measurement warm the server up.
func (r *runner) holdConnections(stack string, with setup) (figures, error) {
	p, err := r.start(stack, with)
	if err != nil {
		return nil, err
	}
	defer p.stop()
	if _, err := p.run(fmt.Sprintf("connect %d 32", min(r.connections, 200)), r.cooldown); err != nil {
		return nil, err
	}
	before, err := p.server.memory()
	if err != nil {
		return nil, err
	}
	s, err := p.run(fmt.Sprintf("hold %d 32", r.connections), r.idle)
	if err != nil {
		return nil, err
	}
	after, err := p.server.memory()
	if err != nil {
		return nil, err
	}
	freed, resident := float64(after.freed-before.freed), float64(after.resident-before.freed)
	perConnection := 1e3 * float64(s.amount)
	f := figures{memoryFreed: freed / perConnection, memoryResident: resident / perConnection}
	if freed > 0 { // a few connections may fit in memory that the server already has
		f[memoryRatio] = resident / freed
	}
	return f, nil
}
