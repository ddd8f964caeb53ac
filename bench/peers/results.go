//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"
)

// results are what runs have measured. Runs of some workloads complete those of others.
type results struct {
	Runs      []*provenance        `json:"runs"`
	Workloads map[string]*measured `json:"workloads"`
}

// measured are the results of a workload.
type measured struct {
	Run     int                  `json:"run"`               // index in results.Runs, only in a file
	Stacks  map[string][]figures `json:"stacks"`            // the rounds of each stack
	Missing []string             `json:"missing,omitempty"` // what was not measured, and why

	run *provenance
}

// A provenance says what a run has measured, and where.
type provenance struct {
	Date        string            `json:"date"`
	Machine     string            `json:"machine"`
	Commit      string            `json:"commit"`
	BaseCommit  string            `json:"base_commit,omitempty"`
	Versions    []string          `json:"versions"`
	LoadBefore  string            `json:"load_before"`
	LoadAfter   string            `json:"load_after"`
	Rounds      int               `json:"rounds"`
	Time        time.Duration     `json:"time_ns"`
	Datagram    int               `json:"datagram"`
	Connections int64             `json:"connections"`
	Idle        time.Duration     `json:"idle_ns"`
	Generator   string            `json:"generator"`
	Shared      string            `json:"shared,omitempty"` // why the datagrams of other programs are counted
	Buffers     map[string]string `json:"buffers"`          // of the sockets of each stack
	Missing     []string          `json:"missing,omitempty"`
}

// provenance describes the run that begins. It moves the drivers into a network namespace of their own.
func (r *runner) provenance() *provenance {
	p := &provenance{Date: time.Now().UTC().Format("2 January 2006, 15:04 UTC"), Machine: machine(), Commit: commit(),
		BaseCommit: r.baseCommit, Versions: versions(), LoadBefore: load(), Rounds: r.rounds, Time: r.time,
		Datagram: r.datagram, Connections: r.connections, Idle: r.idle, Generator: r.generator(),
		Buffers: make(map[string]string)}
	if err := isolate(); err != nil {
		p.Shared = err.Error()
	}
	return p
}

// replace sets the results of a workload.
func (r *results) replace(workload string, m *measured) {
	if r.Workloads == nil {
		r.Workloads = make(map[string]*measured)
	}
	r.Workloads[workload] = m
	r.Runs = nil
	// The runs stay in the order of the workloads. A run without a remaining result is dropped.
	for _, w := range workloads {
		if m := r.Workloads[w.name]; m != nil && !slices.Contains(r.Runs, m.run) {
			r.Runs = append(r.Runs, m.run)
		}
	}
}

// store writes the results to a file.
func (r *results) store(file string) error {
	for _, m := range r.Workloads {
		m.Run = slices.Index(r.Runs, m.run)
	}
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	// An interrupted run must not leave half a file.
	if err := os.WriteFile(file+".new", append(text, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// loadResults reads the results in a file. Without that there are none.
func loadResults(file string) (r results, err error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("%s has no results: %w", file, err)
	}
	for name, m := range r.Workloads {
		if m.Run < 0 || m.Run >= len(r.Runs) {
			return r, fmt.Errorf("%s has no run %d of the workload %s", file, m.Run, name)
		}
		m.run = r.Runs[m.Run]
	}
	return r, nil
}

// stacks returns those that have results, in the order of the report.
func (r *results) stacks() (stacks []string) {
	found := make(map[string]bool)
	for _, m := range r.Workloads {
		for stack := range m.Stacks {
			found[stack] = true
		}
	}
	for _, stack := range append(stackNames(), comparedNames()...) {
		if found[stack] && !slices.Contains(stacks, stack) {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}

// values returns a metric of the rounds of a stack, or nil if it was not measured in all of them.
func (m *measured) values(metric, stack string) (values []float64) {
	if m == nil {
		return nil
	}
	for _, f := range m.Stacks[stack] {
		v, ok := f[metric]
		if !ok {
			return nil
		}
		values = append(values, v)
	}
	return values
}

// missing returns what was not measured, without repetitions.
func (r *results) missing() (all []string) {
	for _, run := range r.Runs {
		for _, text := range run.Missing {
			if !slices.Contains(all, text) {
				all = append(all, text)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Workloads)) {
		all = append(all, r.Workloads[name].Missing...)
	}
	return all
}
