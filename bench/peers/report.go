//go:build linux

package main

import (
	_ "embed"
	"fmt"
	"maps"
	"math/rand/v2"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
)

// ours are the stacks to which the others are compared.
var ours = []string{"pqquic-s2n", "pqquic-native"}

// report prints the results as Markdown.
func (r *runner) report() {
	r.provenance()
	r.overview()
	for _, w := range workloads {
		results := r.results[w.name]
		if len(results) == 0 {
			continue
		}
		fmt.Fprintf(r.out, "\n### %s\n", w.name)
		for _, m := range w.metrics {
			r.table(m, results)
		}
	}
	if len(r.missing) > 0 {
		fmt.Fprintf(r.out, "\nNot measured:\n\n")
		for _, text := range r.missing {
			fmt.Fprintf(r.out, "* %s\n", text)
		}
	}
}

// overview prints the medians of the metrics that matter most, with a column for each stack.
func (r *runner) overview() {
	head, line := "| median |", "|---|"
	var stacks []string
	for _, stack := range r.stacks {
		if _, ok := r.buffers[stack]; ok {
			stacks = append(stacks, stack)
			head += " " + stack + " |"
			line += "---|"
		}
	}
	fmt.Fprintf(r.out, "\n%s\n%s\n", head, line)
	for _, w := range workloads {
		results := r.results[w.name]
		for _, m := range w.metrics {
			if m.detail || len(results) == 0 {
				continue
			}
			fmt.Fprintf(r.out, "| %s: %s |", w.name, m.name)
			for _, stack := range stacks {
				cell := "–"
				if values := valuesOf(m, results[stack]); len(values) > 0 && median(values) > 0 {
					cell = fmt.Sprintf("%.4g", median(values))
				}
				fmt.Fprintf(r.out, " %s |", cell)
			}
			fmt.Fprintln(r.out)
		}
	}
}

// table prints the results of a metric, one row for each stack. A row has the median of the rounds and the ratios of
// our stacks to this one, which are medians of the rounds' ratios, each with its 95 % confidence interval.
func (r *runner) table(m metric, results map[string][]sample) {
	var base []string
	head, line := "| stack | "+m.name+" | 95 % |", "|---|---|---|"
	for _, name := range ours {
		if len(results[name]) > 0 {
			base = append(base, name)
			head += " " + name + " / stack | 95 % |"
			line += "---|---|"
		}
	}
	fmt.Fprintf(r.out, "\n%s\n%s\n", head, line)
	for _, stack := range r.stacks {
		samples := results[stack]
		if len(samples) == 0 {
			continue
		}
		values := valuesOf(m, samples)
		if slices.Min(values) <= 0 { // no datagrams
			continue
		}
		low, high := interval(values)
		fmt.Fprintf(r.out, "| %s | %.4g | %.4g – %.4g |", stack, median(values), low, high)
		for _, name := range base {
			if name == stack {
				fmt.Fprint(r.out, " 1 | |")
				continue
			}
			ratios := valuesOf(m, results[name])
			for i := range ratios {
				ratios[i] /= values[i]
			}
			low, high := interval(ratios)
			fmt.Fprintf(r.out, " %.2f | %.2f – %.2f |", median(ratios), low, high)
		}
		fmt.Fprintln(r.out)
	}
}

func valuesOf(m metric, samples []sample) (values []float64) {
	for _, s := range samples {
		values = append(values, m.value(s))
	}
	return values
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

// provenance prints what was measured, and where.
func (r *runner) provenance() {
	fmt.Fprintf(r.out, "%s, load average %s before the run and %s after it. %d rounds of %v. pqquic %s.\n",
		machine(), r.load, load(), r.rounds, r.time, r.commit)
	fmt.Fprintf(r.out, "%s, %s, ECDSA P-256, no tickets, datagrams of at most %d bytes. %s.\n",
		wantGroup, wantSuite, r.datagram, strings.Join(versions(), ", "))
	if r.baseCommit != "" {
		fmt.Fprintf(r.out, "Stacks that end in %s are pqquic at commit %s.\n", baseSuffix, r.baseCommit)
	}
	if r.isolated != nil {
		fmt.Fprintf(r.out, "Counts of datagrams include those of other programs: %v.\n", r.isolated)
	}
	sizes := make(map[string][]string)
	for _, stack := range r.stacks {
		if size, ok := r.buffers[stack]; ok {
			sizes[size] = append(sizes[size], stack)
		}
	}
	for _, size := range slices.Sorted(maps.Keys(sizes)) {
		fmt.Fprintf(r.out, "Socket buffers (receive and send), in bytes: %s: %s.\n", size, strings.Join(sizes[size], ", "))
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

//go:embed rust/Cargo.lock
var cargoLock string

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
	for block := range strings.SplitSeq(cargoLock, "[[package]]") {
		fields := make(map[string]string)
		for line := range strings.Lines(block) {
			if name, value, ok := strings.Cut(line, " = "); ok {
				fields[name] = strings.Trim(strings.TrimSpace(value), `"`)
			}
		}
		switch fields["name"] {
		case "s2n-quic", "s2n-tls", "rustls", "quinn", "aws-lc-sys":
			out = append(out, fields["name"]+" "+fields["version"])
		}
	}
	return out
}
