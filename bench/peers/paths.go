//go:build linux

package main

import (
	"fmt"

	"github.com/pqquic/pqquic/internal/link"
)

const jumbo = "bulk-9000"

// linkWorkload is bulk-down-1 over an emulated link. Its rate is so high, and its queue so long (the product of rate and
// round-trip time), that loss and delay limit a transfer. All stacks move the same amount, in proportion to the time of
// a measurement, of which perSecond is the amount a second.
func linkWorkload(name string, perSecond int64, c link.Config) workload {
	c.Rate, c.MTU = 100e6, 1500
	st := bulkSteady("down", 1, setup{link: &c})
	st.rate = perSecond
	return workload{name: "link-" + name, metrics: bulkMetrics, link: &c, open: st.open}
}

// jumboWorkload is bulk-down-1 over a path of 9000 bytes, for the stacks that can use it.
func jumboWorkload() workload {
	const headers = 20 + 8 // of IPv4 and UDP
	return workload{name: jumbo, metrics: bulkMetrics, open: bulkSteady("down", 1, setup{datagram: 9000 - headers}).open}
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
