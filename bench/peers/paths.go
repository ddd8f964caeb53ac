//go:build linux

package main

import (
	"fmt"

	"github.com/pqquic/pqquic/bench/peers/link"
)

const jumbo = "bulk-9000"

// linkWorkload is bulk-down-1 over an emulated link. Its rate is so high, and its queue so long (the product of rate and
// round-trip time), that loss and delay limit a transfer.
func linkWorkload(name string, rate int64, c link.Config) workload {
	c.Rate, c.MTU = 100e6, 1500
	w := bulkWorkload("down", 1)
	w.name, w.rate, w.link = "link-"+name, rate, &c
	return w
}

// jumboWorkload is bulk-down-1 over a path of 9000 bytes, for the stacks that can use it.
func jumboWorkload() workload {
	w := bulkWorkload("down", 1)
	w.name, w.datagram = jumbo, 9000-20-8 // headers of IPv4 and UDP
	return w
}

// possible returns an error if this machine cannot run the workload.
func (w workload) possible() error {
	if w.link == nil {
		return nil
	}
	l, err := link.New(*w.link)
	if err != nil {
		return fmt.Errorf("the emulated link: %w", err)
	}
	return l.Close()
}
