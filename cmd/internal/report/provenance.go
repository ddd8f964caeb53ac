package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pqquic/pqquic/cmd/internal/stats"
)

// started returns the start time of a run, or "" if the file has no plausible one.
func started(h *stats.Header) string {
	const endOfYear9999 = 253402300799
	if h.StartTime.Secs <= 0 || h.StartTime.Secs > endOfYear9999 {
		return ""
	}
	return time.Unix(h.StartTime.Secs, 0).UTC().Format("2006-01-02 15:04:05 UTC")
}

var provenanceRows = []struct {
	name  string
	value func(*stats.Provenance) string
}{
	{"Version", func(p *stats.Provenance) string { return p.Version }},
	{"Transport", func(p *stats.Provenance) string { return p.Transport }},
	{"Provider", func(p *stats.Provenance) string { return p.Provider }},
	{"Library", func(p *stats.Provenance) string { return p.Library }},
	{"FIPS", func(p *stats.Provenance) string {
		if p.FIPS {
			return "yes"
		}
		return ""
	}},
	{"Group", func(p *stats.Provenance) string { return p.Group }},
	{"Cipher suite", func(p *stats.Provenance) string { return p.CipherSuite }},
	{"Certificate", func(p *stats.Provenance) string { return p.Certificate }},
	{"Flags", func(p *stats.Provenance) string { return strings.Join(p.Flags, " ") }},
	{"Go", func(p *stats.Provenance) string { return p.Go }},
	{"System", func(p *stats.Provenance) string { return p.OS }},
	{"Kernel", func(p *stats.Provenance) string { return p.Kernel }},
	{"CPU", func(p *stats.Provenance) string { return p.CPU }},
	{"CPUs", func(p *stats.Provenance) string {
		if p.CPUs == 0 {
			return ""
		}
		return strconv.Itoa(p.CPUs)
	}},
	{"Governor", func(p *stats.Provenance) string { return p.Governor }},
}

// remarks returns what a reader must know to interpret the page.
func remarks(all []*series) []string {
	var texts []string
	of := make(map[string][]string) // the runs that a text concerns
	for _, s := range all {
		run := s.in.Run
		say := func(text string) {
			text = printable(text, 400)
			if of[text] == nil {
				texts = append(texts, text)
			}
			of[text] = append(of[text], s.Label)
		}
		if run.FromS2N {
			say("written by the collector of s2n-netbench. Its times are nominal (sample number times interval), " +
				"not measured. It counts too few connections and accepted streams; where it has the times that " +
				"connections took, their number is used. Cycles, instructions and branches are numbers of samples.")
			if slices.ContainsFunc(run.Samples, func(x stats.Sample) bool { return len(x.Profiles) > 0 }) {
				say("its histograms have steps of powers of two, and those above 1 ms are up to 5 % too low: " +
					"percentiles of its traces are imprecise.")
			}
		}
		for _, p := range run.Problems {
			say(p)
		}
		for _, n := range unique(run.Notes) {
			say(n)
		}
		// A collector's file contains this note itself.
		if run.FromS2N && s.sampledOnly() {
			say("only CPU and memory were sampled: connections, bytes and latencies are unknown.")
		}
		if len(run.Samples) < 2 {
			say("the file contains no complete interval: the run was too short or ended early.")
		}
	}
	var out []string
	for _, text := range texts {
		who := strings.Join(of[text], "; ")
		if n := len(of[text]); n == len(all) && n > 1 {
			who = "All runs"
		}
		out = append(out, who+": "+text)
	}
	return append(out, mismatches(all)...)
}

// mismatches returns differences that make a comparison doubtful.
func mismatches(all []*series) (out []string) {
	differ := func(what string, value func(*stats.Header) string) {
		seen := make(map[string]bool)
		for _, s := range all {
			if v := value(&s.in.Run.Header); v != "" {
				seen[v] = true
			}
		}
		if len(seen) > 1 {
			out = append(out, fmt.Sprintf("The runs differ in %s: %d values. This may explain the differences below.", what, len(seen)))
		}
	}
	of := func(f func(*stats.Provenance) string) func(*stats.Header) string {
		return func(h *stats.Header) string {
			if h.Provenance == nil {
				return ""
			}
			return f(h.Provenance)
		}
	}
	differ("scenario", func(h *stats.Header) string { return base(h.Scenario) })
	differ("CPU", of(func(p *stats.Provenance) string { return p.CPU }))
	differ("kernel", of(func(p *stats.Provenance) string { return p.Kernel }))
	differ("number of CPUs", of(func(p *stats.Provenance) string { return strconv.Itoa(p.CPUs) }))
	return out
}

func base(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

func unique(list []string) (out []string) {
	seen := make(map[string]bool)
	for _, s := range list {
		if !seen[s] {
			seen[s] = true
			out = append(out, s)
		}
	}
	return out
}
