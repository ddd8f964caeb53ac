//go:build linux

package main

import (
	_ "embed"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
)

// writeSummary prints what was measured and where, the aims, the medians that matter most, and what is missing.
func (r *results) writeSummary(out io.Writer) {
	said := make(map[string]bool) // by earlier runs
	for _, run := range r.Runs {
		var text strings.Builder
		run.write(&text, r.of(run))
		for line := range strings.Lines(text.String()) {
			if line == "\n" || !said[line] {
				io.WriteString(out, line)
			}
			said[line] = true
		}
	}
	r.writeAims(out)
	r.writeOverview(out)
	if missing := r.missing(); len(missing) > 0 {
		fmt.Fprintf(out, "\nNot measured:\n\n")
		for _, text := range missing {
			fmt.Fprintf(out, "* %s\n", text)
		}
	}
}

// writeTables prints every metric.
func (r *results) writeTables(out io.Writer) {
	for _, w := range workloads {
		m := r.Workloads[w.name]
		if m == nil || len(m.Stacks) == 0 {
			continue
		}
		fmt.Fprintf(out, "\n### %s\n", w.name)
		for _, metric := range w.metrics {
			r.writeTable(out, metric, m)
		}
	}
}

// of returns the workloads that a run has measured.
func (r *results) of(run *provenance) (names []string) {
	for _, w := range workloads {
		if m := r.Workloads[w.name]; m != nil && m.run == run {
			names = append(names, w.name)
		}
	}
	return names
}

// writeOverview prints the medians of the metrics that matter most, with a column for each stack.
func (r *results) writeOverview(out io.Writer) {
	head, line := "| median |", "|---|"
	stacks := r.stacks()
	for _, stack := range stacks {
		head += " " + stack + " |"
		line += "---|"
	}
	fmt.Fprintf(out, "\n%s\n%s\n", head, line)
	for _, w := range workloads {
		m := r.Workloads[w.name]
		for _, metric := range w.metrics {
			if metric.detail || m == nil || len(m.Stacks) == 0 {
				continue
			}
			fmt.Fprintf(out, "| %s: %s |", w.name, metric.name)
			for _, stack := range stacks {
				cell := "–"
				if values := m.values(metric.name, stack); len(values) > 0 {
					cell = figure(median(values))
				}
				fmt.Fprintf(out, " %s |", cell)
			}
			fmt.Fprintln(out)
		}
	}
}

// writeTable prints the results of a metric, one row for each stack. A row has the median of the rounds and the ratios
// of our stacks to this one, which are medians of the rounds' ratios, each with its 95 % confidence interval.
func (r *results) writeTable(out io.Writer, metric metric, m *measured) {
	var base []string
	head, line := "| stack | "+metric.name+" | 95 % |", "|---|---|---|"
	for _, name := range ours {
		if len(m.values(metric.name, name)) > 0 && !metric.signed {
			base = append(base, name)
			head += " " + name + " / stack | 95 % |"
			line += "---|---|"
		}
	}
	fmt.Fprintf(out, "\n%s\n%s\n", head, line)
	for _, stack := range r.stacks() {
		values := m.values(metric.name, stack)
		if len(values) == 0 {
			continue
		}
		low, high := interval(values)
		fmt.Fprintf(out, "| %s | %s | %s – %s |", stack, figure(median(values)), figure(low), figure(high))
		for _, name := range base {
			if name == stack {
				fmt.Fprint(out, " 1 | |")
				continue
			}
			ratios := m.values(metric.name, name)
			for i := range ratios {
				ratios[i] /= values[i]
			}
			low, high := interval(ratios)
			fmt.Fprintf(out, " %.2f | %.2f – %.2f |", median(ratios), low, high)
		}
		fmt.Fprintln(out)
	}
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// interval returns the 95 % confidence interval of the median, by the bootstrap: the range of the medians of
// samples that are drawn from values, without the 2.5 % at either end. With few values it is too narrow.
func interval(values []float64) (low, high float64) {
	const draws = 2000
	rng := rand.New(rand.NewPCG(1, uint64(len(values)))) // the same result for the same values
	medians := make([]float64, draws)
	drawn := make([]float64, len(values))
	for i := range medians {
		for j := range drawn {
			drawn[j] = values[rng.IntN(len(values))]
		}
		medians[i] = median(drawn)
	}
	slices.Sort(medians)
	return medians[draws*25/1000], medians[draws*975/1000-1]
}

// write prints what a run has measured, and where.
func (p *provenance) write(out io.Writer, workloads []string) {
	fmt.Fprintf(out, "\n%s, on %s: %s, load average %s before the run and %s after it. %d rounds of %v. pqquic %s.\n",
		strings.Join(workloads, ", "), p.Date, p.Machine, p.LoadBefore, p.LoadAfter, p.Rounds, p.Time, p.Commit)
	fmt.Fprintf(out, "%s, %s, ECDSA P-256, no tickets, datagrams of at most %d bytes. %s.\n",
		wantGroup, wantSuite, p.Datagram, strings.Join(p.Versions, ", "))
	fmt.Fprintf(out, "The load generator is the client of %s. The workload memory has %d connections, idle for %v.\n",
		p.Generator, p.Connections, p.Idle)
	if p.BaseCommit != "" {
		fmt.Fprintf(out, "Stacks that end in %s are pqquic at commit %s.\n", baseSuffix, p.BaseCommit)
	}
	if p.Shared != "" {
		fmt.Fprintf(out, "Counts of datagrams include those of other programs: %s.\n", p.Shared)
	}
	sizes := make(map[string][]string)
	for _, stack := range slices.Sorted(maps.Keys(p.Buffers)) {
		sizes[p.Buffers[stack]] = append(sizes[p.Buffers[stack]], stack)
	}
	for _, size := range slices.Sorted(maps.Keys(sizes)) {
		fmt.Fprintf(out, "Socket buffers (receive and send), in bytes: %s: %s.\n", size, strings.Join(sizes[size], ", "))
	}
}

// commit returns the commit of the tree in which this program runs.
func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty", "--abbrev=9", "--exclude=*").Output()
	if err != nil {
		return "of an unknown commit"
	}
	return "at commit " + strings.TrimSpace(string(out))
}

var (
	//go:embed rust/Cargo.lock
	rustLock string
	//go:embed quiche/Cargo.lock
	quicheLock string
)

// versions returns the versions of Go and of the other stacks.
func versions() []string {
	out := []string{runtime.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == "github.com/quic-go/quic-go" || m.Path == "golang.org/x/net" {
				out = append(out, m.Path[strings.LastIndexByte(m.Path, '/')+1:]+" "+m.Version)
			}
		}
	}
	for block := range strings.SplitSeq(rustLock+quicheLock, "[[package]]") {
		fields := make(map[string]string)
		for line := range strings.Lines(block) {
			if name, value, ok := strings.Cut(line, " = "); ok {
				fields[name] = strings.Trim(strings.TrimSpace(value), `"`)
			}
		}
		switch fields["name"] {
		case "s2n-quic", "s2n-tls", "rustls", "quinn", "h3", "aws-lc-sys", "quiche", "boring-sys":
			out = append(out, fields["name"]+" "+fields["version"])
		}
	}
	return out
}
