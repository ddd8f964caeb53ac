//go:build linux

package main

import (
	"fmt"
	"io"
	"math"
	"slices"
)

// ours are the stacks that have aims, and to which the others are compared.
var ours = []string{"pqquic-s2n", "pqquic-native"}

// An aim is a bound for a figure of our stacks, or for its relation to that of another one.
type aim struct {
	what, workload, metric string
	relation               relation
	atLeast                bool
	suffix                 string  // of our stacks' names
	s2n, native            *target // nil if the stack has no aim
}

// A target is the bound of one of our stacks, and what it is compared with: the best of the stacks. Without stacks the
// bound is for the figure itself. The bound is NaN if the figure is only shown.
type target struct {
	bound float64
	to    []string
}

// A relation describes how pqquic's figure is compared with that of another stack.
type relation int

const (
	ratioOf    relation = iota // ours divided by the other
	inverseOf                  // the other divided by ours
	difference                 // ours less the other
)

var (
	quicGo    = []string{"quic-go"}
	s2nQuic   = []string{"s2n-quic-s2n-tls", "s2n-quic-rustls"}
	allQUIC   = append(slices.Clone(rustStacks), "quic-go", "x/net")
	shownOnly = math.NaN()
)

// bulkAims are those of one direction and number of streams.
func bulkAims(what, workload string) []aim {
	return []aim{{what: "bulk, " + what + ": MB/s", workload: workload, metric: bulkRate, atLeast: true,
		s2n: &target{1.3, rustStacks}, native: &target{3, quicGo}}}
}

// aims are what the project wants to reach, in the order of the report.
var aims = slices.Concat([]aim{
	{what: "CPU a connection, both ends, 32 at a time", workload: "connect-32", metric: connectCPU,
		s2n: &target{0.85, rustStacks}, native: &target{0.6, quicGo}},
	{what: "CPU a connection, server alone", workload: "server-alone", metric: connectServer,
		s2n: &target{0.9, rustStacks}, native: &target{0.6, quicGo}},
	{what: "connections/s, 32 at a time", workload: "connect-32", metric: connectRate, atLeast: true,
		s2n: &target{1.15, allQUIC}, native: &target{1.5, quicGo}},
	{what: "connections/s, one after another", workload: "connect-1", metric: connectRate, atLeast: true,
		s2n: &target{1.2, allQUIC}, native: &target{1.4, quicGo}},
	{what: "CPU a connection outside of TLS", workload: "tls", metric: tlsOutside,
		s2n: &target{0.8, s2nQuic}, native: &target{0.8, s2nQuic}},
	{what: "CPU that PQ adds outside of TLS, µs", workload: "tls", metric: tlsAdded,
		s2n: &target{bound: 20}, native: &target{bound: 20}},
}, bulkAims("1 stream, down", "bulk-down-1"), bulkAims("10 streams, down", "bulk-down-10"),
	bulkAims("1 stream, up", "bulk-up-1"), bulkAims("10 streams, up", "bulk-up-10"), []aim{
		{what: "bulk: CPU a byte of the floor / ours", workload: "bulk-down-1", metric: bulkCPU, relation: inverseOf,
			atLeast: true, s2n: &target{0.45, []string{rawFloor}}, native: &target{0.35, []string{rawFloor}}},
		{what: "CPU a byte, down", workload: "bulk-down-1", metric: bulkCPU,
			s2n: &target{2, []string{tlsTCP}}, native: &target{2.5, []string{tlsTCP}}},
		{what: "CPU a byte, up", workload: "bulk-up-1", metric: bulkCPU,
			s2n: &target{2, []string{tlsTCP}}, native: &target{2.5, []string{tlsTCP}}},
		{what: "CPU a connection, 32 at a time", workload: "connect-32", metric: connectCPU,
			s2n: &target{0.6, []string{tlsTCP}}, native: &target{1.05, []string{tlsTCP}}},
		{what: "bulk, a path of 9000 bytes: MB/s", workload: jumbo, metric: bulkRate, atLeast: true,
			s2n: &target{shownOnly, rustStacks}, native: &target{shownOnly, quicGo}},
		{what: "server memory of an idle connection, KB", workload: "memory", metric: memoryFreed,
			s2n: &target{bound: 8}, native: &target{bound: 12}},
		{what: "the same without FreeOSMemory / with", workload: "memory", metric: memoryRatio,
			s2n: &target{bound: 2}, native: &target{bound: 2}},
		// A bound of 0 cannot be told from the allocations of the runtime and of the drivers.
		{what: "heap allocations a packet, down", workload: allocations, metric: allocationsDown,
			s2n: &target{bound: 0.005}, native: &target{bound: 0.005}},
		{what: "heap allocations a packet, up", workload: allocations, metric: allocationsUp,
			s2n: &target{bound: 0.005}, native: &target{bound: 0.005}},
		{what: "request of 100 bytes, p50", workload: "request", metric: requestP50,
			s2n: &target{0.8, quicGo}, native: &target{0.8, quicGo}},
		{what: "request of 100 bytes, p99", workload: "request", metric: requestP99,
			s2n: &target{0.8, quicGo}, native: &target{0.8, quicGo}},
		{what: "request of 100 bytes, p50", workload: "request", metric: requestP50, s2n: &target{1, rustStacks}},
		{what: "request of 100 bytes, p99", workload: "request", metric: requestP99, s2n: &target{1, rustStacks}},
		{what: "streams/s", workload: "streams-32", metric: streamRate, atLeast: true,
			s2n: &target{2, quicGo}, native: &target{2, quicGo}},
		{what: "bulk, 15 ms, 1 % loss: MB/s", workload: "link-15ms-1%", metric: bulkRate, atLeast: true,
			s2n: &target{1, allQUIC}, native: &target{1, allQUIC}},
		{what: "bulk, 50 ms, 0.1 % loss: MB/s", workload: "link-50ms-0.1%", metric: bulkRate, atLeast: true,
			s2n: &target{1, allQUIC}, native: &target{1, allQUIC}},
		{what: "bulk, 15 ms, 1 % loss, with BBR: MB/s", workload: "link-15ms-1%", metric: bulkRate, atLeast: true,
			suffix: bbrSuffix, s2n: &target{1, allQUIC}, native: &target{1, allQUIC}},
		{what: "bulk, 50 ms, 0.1 % loss, with BBR: MB/s", workload: "link-50ms-0.1%", metric: bulkRate, atLeast: true,
			suffix: bbrSuffix, s2n: &target{1, allQUIC}, native: &target{1, allQUIC}},
		{what: "locks: server CPU with 2 CPUs / 1", workload: locks, metric: locksCPU,
			s2n: &target{bound: 1.15}, native: &target{bound: 1.15}},
		{what: "locks: waits for the largest, % of CPU time", workload: locks, metric: locksShare,
			s2n: &target{bound: 5}, native: &target{bound: 5}},
		{what: "isolation: added p99 at half the rate, µs more than", workload: isolation, metric: isolationAdded,
			relation: difference, s2n: &target{0, s2nQuic}, native: &target{0, s2nQuic}},
		{what: "isolation: requests answered at twice the rate, %", workload: isolation, metric: isolationAnswered,
			atLeast: true, s2n: &target{bound: 100}, native: &target{bound: 100}},
		{what: "isolation: surplus refused or asked to validate, %", workload: isolation, metric: isolationSurplus,
			atLeast: true, s2n: &target{bound: 100}, native: &target{bound: 100}},
	}, httpAims)

// httpAims are those of package http3.
var httpAims = slices.Concat(
	bothAims("requests/s, 1 connection", "h3-requests-1", httpRate, true, target{2, quicGo}),
	bothAims("requests/s, 32 connections", "h3-requests-32", httpRate, true, target{2, quicGo}),
	bothAims("requests/s, 1 connection", "h3-requests-1", httpRate, true, target{1, []string{"quinn"}}),
	bothAims("requests/s, 1 connection", "h3-requests-1", httpRate, true, target{1, []string{quiche}}),
	bothAims("requests/s, 32 connections", "h3-requests-32", httpRate, true, target{1, []string{"quinn"}}),
	bothAims("requests/s, 32 connections", "h3-requests-32", httpRate, true, target{1, []string{quiche}}),
	bothAims("CPU a request, server, 1 connection", "h3-requests-1", httpServerCPU, false, target{0.5, quicGo}),
	bothAims("CPU a request, server, 1 connection", "h3-requests-1", httpServerCPU, false, target{1, []string{http2TCP}}),
	bothAims("download, 1 stream: MB/s", "h3-download-1", bulkRate, true, target{3, quicGo}),
	bothAims("download, 10 streams: MB/s", "h3-download-10", bulkRate, true, target{3, quicGo}),
	bothAims("download, 1 stream: MB/s / raw stream", "h3-download-1", httpToRaw, true, target{bound: 0.9}),
	bothAims("download, 10 streams: MB/s / raw streams", "h3-download-10", httpToRaw, true, target{bound: 0.9}),
	bothAims("p99 of a request beside a download / without", "h3-beside", httpBeside, false, target{bound: 2}),
	bothAims("server allocations a request", "h3-allocations", httpAllocations, false, target{1, []string{http2TCP}}),
	bothAims("server memory of an idle connection, KB more than the transport", "h3-memory", httpMemoryMore, false,
		target{bound: 4}),
)

// bothAims is an aim with the same target for both of our stacks.
func bothAims(what, workload, metric string, atLeast bool, t target) []aim {
	return []aim{{what: what, workload: workload, metric: metric, atLeast: atLeast, s2n: &t, native: &t}}
}

// compare returns the values of the rounds that an aim of a stack is about, and the stack that it is compared with.
// There are no values if something was not measured.
func (a aim) compare(m *measured, stack string, to []string) (values []float64, other string) {
	values = m.values(a.metric, stack)
	if len(to) == 0 || len(values) == 0 {
		return values, ""
	}
	var others []float64
	for _, name := range to {
		candidate := m.values(a.metric, name)
		if len(candidate) != len(values) {
			continue
		}
		// A rate is better if it is higher, everything else if it is lower.
		higher := a.atLeast && a.relation != inverseOf
		if others == nil || (median(candidate) > median(others)) == higher {
			other, others = name, candidate
		}
	}
	if others == nil {
		return nil, ""
	}
	for i := range values {
		switch a.relation {
		case ratioOf:
			values[i] /= others[i]
		case inverseOf:
			values[i] = others[i] / values[i]
		case difference:
			values[i] -= others[i]
		}
	}
	return values, other
}

// verdict says whether the whole interval, a part of it or nothing of it is within the bound.
func (a aim) verdict(bound, low, high float64) string {
	if a.atLeast {
		bound, low, high = -bound, -high, -low
	}
	switch {
	case math.IsNaN(bound):
		return ""
	case high <= bound:
		return "met"
	case low > bound:
		return "**not met**"
	default:
		return "open"
	}
}

// writeAims prints a row for each aim of each of our stacks. It is empty if no aim was measured.
func (r *results) writeAims(out io.Writer) {
	begun := false
	for _, a := range aims {
		for i, t := range []*target{a.s2n, a.native} {
			if t == nil {
				continue
			}
			m, stack := r.Workloads[a.workload], ours[i]+a.suffix
			values, other := a.compare(m, stack, t.to)
			if len(values) == 0 {
				continue
			}
			if !begun {
				fmt.Fprint(out, "\n| aim | stack | compared with | bound | median | 95 % | |\n|---|---|---|---|---|---|---|\n")
				begun = true
			}
			low, high := interval(values)
			fmt.Fprintf(out, "| %s | %s | %s | %s | %s | %s – %s | %s |\n", a.what, stack, other, a.boundText(t.bound),
				figure(median(values)), figure(low), figure(high), a.verdict(t.bound, low, high))
		}
	}
}

func (a aim) boundText(bound float64) string {
	switch {
	case math.IsNaN(bound):
		return "shown"
	case a.atLeast:
		return fmt.Sprintf("≥ %g", bound)
	default:
		return fmt.Sprintf("≤ %g", bound)
	}
}

// figure formats numbers below 10 with two decimals, near 0 with more, and others with four digits.
func figure(v float64) string {
	switch size := math.Abs(v); {
	case size >= 10:
		return fmt.Sprintf("%.4g", v)
	case size >= 0.1 || size == 0:
		return fmt.Sprintf("%.2f", v)
	default:
		return fmt.Sprintf("%.4f", v)
	}
}
