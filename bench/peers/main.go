//go:build linux

// Command peers measures QUIC stacks side by side: pqquic with both of its providers, quic-go, x/net, and, in
// programs of the folders rust and quiche, s2n-quic, quinn and quiche. `make bench-peers` builds and runs it; docs/measuring.md explains
// the results.
//
// A client and a server of each stack run as separate processes. The same executable is the runner and, with the
// arguments "server", "client" and "pair", the driver of the Go stacks. protocol.go describes how the runner and the
// drivers communicate.
package main

import (
	"bytes"
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
	if len(os.Args) > 1 && roles[os.Args[1]] != nil {
		err = drive(os.Args[1], os.Args[2:])
	} else {
		err = benchmark(os.Args[1:])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// options are the runner's flags that are not fields of a runner.
type options struct {
	stacks, workloads   string
	crate, target, base string
	quiche              string // driver
	report, document    string
	section             string // of the document
	reportOnly          bool
}

// benchmark parses the runner's flags, runs it, and writes the report.
func benchmark(args []string) error {
	r := &runner{log: os.Stderr, cooldown: 300 * time.Millisecond}
	o, err := parseFlags(r, args)
	if err != nil {
		return err
	}
	if r.file != "" {
		if r.results, err = loadResults(r.file); err != nil {
			return err
		}
	}
	if !o.reportOnly {
		if err := r.choosePrograms(o); err != nil {
			return err
		}
		if err := r.run(); err != nil {
			return err
		}
	}
	return o.write(&r.results, os.Stdout)
}

func parseFlags(r *runner, args []string) (*options, error) {
	var o options
	fs := flag.NewFlagSet("peers", flag.ContinueOnError)
	fs.IntVar(&r.rounds, "rounds", 5, "number of rounds, in each of which every stack runs once")
	fs.DurationVar(&r.time, "time", time.Second, "approximate duration of one measurement")
	fs.IntVar(&r.datagram, "datagram", 1200, "largest UDP payload, for stacks that can set it")
	fs.Int64Var(&r.connections, "connections", 1000, "number of connections of the workload memory")
	fs.DurationVar(&r.idle, "idle", time.Second, "time for which these connections are idle")
	fs.StringVar(&o.stacks, "stacks", "", "comma-separated stacks; empty means all")
	fs.StringVar(&o.workloads, "workloads", "", "comma-separated workloads; empty means all")
	fs.StringVar(&o.crate, "rust", "", "folder of the crate of the stacks in Rust, which is built first")
	fs.StringVar(&o.target, "target", "target", "folder for what cargo builds")
	fs.StringVar(&o.quiche, "quiche", "", "driver of quiche, which scripts/build-quiche builds")
	fs.StringVar(&o.base, "base", "", "driver with pqquic of another commit: only pqquic of both commits is measured")
	fs.StringVar(&r.baseCommit, "base-commit", "", "name of that commit, for the report")
	fs.StringVar(&r.file, "results", "", "JSON file of results: the report also has those of its workloads that do not run now")
	fs.BoolVar(&o.reportOnly, "report", false, "measure nothing: write the report of -results again")
	fs.StringVar(&o.report, "o", "", "file that the report is also written to")
	fs.StringVar(&o.document, "document", "", "Markdown document in which the summary of the report is replaced")
	fs.StringVar(&o.section, "section", "bench-peers", "name in the marks of that summary")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	switch {
	case r.rounds < 1 || r.time <= 0:
		return nil, fmt.Errorf("-rounds %d and -time %v must be positive", r.rounds, r.time)
	case r.connections < 1:
		return nil, fmt.Errorf("-connections %d must be positive", r.connections)
	case o.reportOnly && r.file == "":
		return nil, errors.New("-report needs -results")
	}
	return &o, nil
}

// choosePrograms selects stacks and workloads and finds the drivers.
func (r *runner) choosePrograms(o *options) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	known := stackNames()
	if o.base != "" {
		known = comparedNames()
	}
	if r.stacks, err = choose("stack", known, o.stacks); err != nil {
		return err
	}
	if r.workloads, err = choose("workload", workloadNames(), o.workloads); err != nil {
		return err
	}
	r.quicheError = errors.New("it was not asked for with -quiche")
	if o.quiche != "" {
		_, r.quicheError = os.Stat(o.quiche)
	}
	if r.quicheError != nil {
		o.quiche = ""
	}
	rust := ""
	r.rustError = errors.New("it was not asked for with -rust")
	if o.crate != "" { // also the load generator
		rust, r.rustError = buildRust(o.crate, o.target, r.log)
	}
	r.program = func(stack string) string {
		switch {
		case stack == quiche:
			return o.quiche
		case isRust(stack):
			return rust
		case strings.HasSuffix(stack, baseSuffix):
			return o.base
		default:
			return self
		}
	}
	return nil
}

// write writes the report to out and to the files that the options name.
func (o *options) write(r *results, out io.Writer) error {
	var summary, tables bytes.Buffer
	r.writeSummary(&summary)
	r.writeTables(&tables)
	text := append(bytes.Clone(summary.Bytes()), tables.Bytes()...)
	if _, err := out.Write(text); err != nil {
		return err
	}
	if o.report != "" {
		if err := os.WriteFile(o.report, text, 0o644); err != nil {
			return err
		}
	}
	if o.document != "" {
		return replaceSummary(o.document, o.section, summary.Bytes())
	}
	return nil
}

// marks returns the lines between which a document has the summary of a report. The section is the target of make that
// writes it.
func marks(section string) (begins, ends string) {
	mark := func(verb string) string { return fmt.Sprintf("<!-- make %s: the summary %s -->\n", section, verb) }
	return mark("begins"), mark("ends")
}

// replaceSummary replaces what is between the marks of a section in a document.
func replaceSummary(file, section string, summary []byte) error {
	summaryBegins, summaryEnds := marks(section)
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, begins := bytes.Cut(text, []byte(summaryBegins))
	_, after, ends := bytes.Cut(rest, []byte(summaryEnds))
	if !begins || !ends {
		return fmt.Errorf("%s has no lines %q and %q", file, strings.TrimSpace(summaryBegins), strings.TrimSpace(summaryEnds))
	}
	text = slices.Concat(before, []byte(summaryBegins), summary, []byte("\n"+summaryEnds), after)
	return os.WriteFile(file, text, 0o644)
}

// choose returns the elements of all that list names, in the order of all. An empty list means all, and one whose
// names begin with "-" all but these. A name that ends in "*" stands for all that begin like it.
func choose(what string, all []string, list string) ([]string, error) {
	if list == "" {
		return all, nil
	}
	without := strings.HasPrefix(list, "-")
	named := make(map[string]bool)
	for name := range strings.SplitSeq(list, ",") {
		name = strings.TrimSpace(name)
		if without {
			name = strings.TrimPrefix(name, "-")
		}
		prefix, many := strings.CutSuffix(name, "*")
		known := false
		for _, one := range all {
			if one == name || many && strings.HasPrefix(one, prefix) {
				named[one], known = true, true
			}
		}
		if !known {
			return nil, fmt.Errorf("there is no %s %q; known are %s", what, name, strings.Join(all, ", "))
		}
	}
	var out []string
	for _, name := range all {
		if named[name] != without {
			out = append(out, name)
		}
	}
	return out, nil
}
