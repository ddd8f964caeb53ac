//go:build linux

package main

import (
	"fmt"
	"math"
)

const allocations = "allocations"

const (
	allocationsDown = "heap allocations a packet, both, down"
	allocationsUp   = "heap allocations a packet, both, up"
)

// allocationsWorkload counts the heap allocations of both processes while a stream transfers data on a connection that has
// carried as much before, for stacks in Go. The unit is what fills a packet: as many bytes as the largest datagram.
func allocationsWorkload() workload {
	return workload{
		name:    allocations,
		metrics: []metric{{name: allocationsDown, signed: true}, {name: allocationsUp, signed: true}},
		open:    (*runner).openAllocations,
	}
}

func (r *runner) openAllocations(stack string) (*session, error) {
	p, err := r.start(stack, setup{})
	if err != nil {
		return nil, err
	}
	amount, err := r.calibrate(p, bulkSteady("down", 1, setup{}))
	if err != nil {
		p.stop()
		return nil, err
	}
	measure := func(int) (figures, error) {
		f := make(figures)
		for _, way := range [][2]string{{"down", allocationsDown}, {"up", allocationsUp}} {
			perByte, err := p.allocations(way[0], amount)
			if err != nil {
				return nil, err
			}
			f[way[1]] = perByte * float64(r.datagram)
		}
		return f, nil
	}
	return &session{measure, p.stop}, nil
}

// allocations returns the heap allocations for a byte of a transfer on an established connection: those of the cheapest of
// several transfers, after one that does not count. In the others more packets or buffers were in use at a time than ever
// before, so that there are more of them now.
func (p *pair) allocations(direction string, amount int64) (float64, error) {
	least := int64(math.MaxInt64)
	var before int64
	for i := range 4 {
		if _, err := p.client.ask(fmt.Sprintf("again %s %d", direction, amount)); err != nil {
			return 0, err
		}
		after, err := p.mallocs()
		if err != nil {
			return 0, err
		}
		if i > 0 {
			least = min(least, after-before)
		}
		before = after
	}
	return float64(least) / float64(amount), nil
}

// mallocs returns how many heap objects both processes have allocated.
func (p *pair) mallocs() (int64, error) {
	client, err := p.client.mallocs()
	if err != nil {
		return 0, err
	}
	server, err := p.server.mallocs()
	return client + server, err
}

// mallocs returns how many heap objects the process has allocated.
func (p *process) mallocs() (n int64, err error) {
	err = p.scan("mallocs", "mallocs %d", &n)
	return n, err
}
