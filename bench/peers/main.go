//go:build linux

// Command peers measures QUIC stacks side by side: pqquic with both of its providers, quic-go, x/net, and, in a
// program of the folder rust, s2n-quic and quinn. `make bench-peers` builds and runs it; docs/measuring.md explains
// the results.
//
// A client and a server of each stack run as separate processes. The same executable is the runner and, with the
// arguments "server" and "client", the driver of the Go stacks. protocol.go describes how the runner and the
// drivers communicate.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

func main() {
	var err error
	if len(os.Args) > 1 && (os.Args[1] == "server" || os.Args[1] == "client") {
		err = drive(os.Args[1], os.Args[2:])
	} else {
		err = benchmark(os.Args[1:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// benchmark parses the runner's flags and runs it.
func benchmark(args []string) error {
	r := &runner{out: os.Stdout, log: os.Stderr, settle: 300 * time.Millisecond}
	var stacks, workloads, crate, target, file, base string
	fs := flag.NewFlagSet("peers", flag.ContinueOnError)
	fs.IntVar(&r.rounds, "rounds", 5, "number of rounds, in each of which every stack runs once")
	fs.DurationVar(&r.time, "time", time.Second, "approximate duration of one measurement")
	fs.IntVar(&r.datagram, "datagram", 1200, "largest UDP payload, for stacks that can set it")
	fs.Int64Var(&r.connections, "connections", 1000, "number of connections of the workload memory")
	fs.DurationVar(&r.idle, "idle", time.Second, "time for which these connections are idle")
	fs.StringVar(&stacks, "stacks", "", "comma-separated stacks; empty means all")
	fs.StringVar(&workloads, "workloads", "", "comma-separated workloads; empty means all")
	fs.StringVar(&crate, "rust", "", "folder of the crate of the stacks in Rust, which is built first")
	fs.StringVar(&target, "target", "target", "folder for what cargo builds")
	fs.StringVar(&base, "base", "", "driver with pqquic of another commit: only pqquic of both commits is measured")
	fs.StringVar(&r.baseCommit, "base-commit", "", "name of that commit, for the report")
	fs.StringVar(&file, "o", "", "file that the report is also written to")
	if err := fs.Parse(args); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	known := stackNames()
	if base != "" {
		known = comparedNames()
	}
	if r.stacks, err = choose("stack", known, stacks); err != nil {
		return err
	}
	if r.workloads, err = choose("workload", workloadNames(), workloads); err != nil {
		return err
	}
	if r.rounds < 1 || r.time <= 0 {
		return fmt.Errorf("-rounds %d and -time %v must be positive", r.rounds, r.time)
	}
	if r.connections < 1 {
		return fmt.Errorf("-connections %d must be positive", r.connections)
	}
	rust := ""
	if slices.ContainsFunc(r.stacks, isRust) {
		r.rustError = errors.New("it was not asked for with -rust")
		if crate != "" {
			rust, r.rustError = buildRust(crate, target, r.log)
		}
	}
	if file != "" {
		f, err := os.Create(file)
		if err != nil {
			return err
		}
		defer f.Close()
		r.out = io.MultiWriter(r.out, f)
	}
	r.program = func(stack string) string {
		if isRust(stack) {
			return rust
		}
		if strings.HasSuffix(stack, baseSuffix) {
			return base
		}
		return self
	}
	return r.run()
}

// choose returns the elements of all that list names, in the order of all. An empty list means all.
func choose(what string, all []string, list string) ([]string, error) {
	if list == "" {
		return all, nil
	}
	wanted := make(map[string]bool)
	for name := range strings.SplitSeq(list, ",") {
		wanted[strings.TrimSpace(name)] = true
	}
	var out []string
	for _, name := range all {
		if wanted[name] {
			out = append(out, name)
			delete(wanted, name)
		}
	}
	for name := range wanted {
		return nil, fmt.Errorf("there is no %s %q; known are %s", what, name, strings.Join(all, ", "))
	}
	return out, nil
}
