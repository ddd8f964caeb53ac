// Package report presents statistics files: as a page that needs only a browser, as a chart in a file, and
// as a specification for Vega like s2n-netbench's report.
package report

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/pqquic/pqquic/cmd/internal/stats"
)

// An Input is a statistics file.
type Input struct {
	Name string // of the file
	Run  *stats.Run
}

// A series is one Input, prepared for display.
type series struct {
	Label  string
	Index  int
	in     *Input
	all    []point
	active []point // from the first to the last interval in which something happened
}

// A point is an interval between two samples.
type point struct {
	end, seconds float64 // end since the start; length
	connections  float64
	bytes        float64 // sent and received
	cpu          float64 // seconds
	memory       float64 // at its end; 0 if not known
	n            float64 // number of samples
}

// makeSeries prepares the inputs.
func makeSeries(inputs []Input) []*series {
	labels := makeLabels(inputs)
	all := make([]*series, len(inputs))
	for i := range inputs {
		s := &series{Label: labels[i], Index: i, in: &inputs[i]}
		s.all = joinShort(points(inputs[i].Run))
		s.active = activePart(s.all)
		all[i] = s
	}
	return all
}

// points returns the intervals. s2n-netbench's collector counts too few connections, but the times that
// they took to connect are complete if there are any.
func points(run *stats.Run) []point {
	var ps []point
	var early point // counts before the first sample of a collector with nominal times
	last := int64(0)
	for i := range run.Samples {
		s := &run.Samples[i]
		p := point{
			end: float64(s.T) / 1e3, seconds: float64(s.T-last) / 1e3, connections: float64(s.Connections),
			bytes: float64(total(s.Send).Total) + float64(total(s.Receive).Total),
			cpu:   float64(s.CPUTime) / 1e6, memory: float64(s.Memory), n: 1,
		}
		if run.FromS2N {
			p.connections = float64(max(s.Connections, s.ConnectTime.Count))
		}
		if s.CPUTime == 0 {
			p.cpu = s.CPU / 100 * p.seconds
		}
		if p.seconds == 0 && i+1 < len(run.Samples) {
			early.connections += p.connections
			early.bytes += p.bytes
			early.cpu += p.cpu
			p.connections, p.bytes, p.cpu = 0, 0, 0
		} else {
			p.connections += early.connections
			p.bytes += early.bytes
			p.cpu += early.cpu
			early = point{}
		}
		ps, last = append(ps, p), s.T
	}
	return ps
}

func total(m map[string]stats.Stat) (sum stats.Stat) {
	for _, v := range m {
		sum.Merge(v)
	}
	return sum
}

// join merges two intervals.
func (p *point) join(q point) {
	p.end = q.end
	p.seconds += q.seconds
	p.connections += q.connections
	p.bytes += q.bytes
	p.cpu += q.cpu
	if q.memory > 0 {
		p.memory = max(p.memory, q.memory)
	}
	p.n += q.n
}

// joinShort joins each interval that is less than half as long as usual, such as the last one of a run,
// with the one before: its rates would be noise.
func joinShort(ps []point) []point {
	var lengths []float64
	for _, p := range ps {
		if p.seconds > 0 {
			lengths = append(lengths, p.seconds)
		}
	}
	if len(lengths) == 0 {
		return ps
	}
	slices.Sort(lengths)
	usual := lengths[len(lengths)/2]
	var out []point
	for _, p := range ps {
		// The first sample belongs to no interval and stays for its memory.
		if n := len(out); n > 0 && p.seconds < usual/2 && out[n-1].seconds > 0 {
			out[n-1].join(p)
			continue
		}
		out = append(out, p)
	}
	return out
}

// activePart leaves out the time before the first connection or byte and after the last: a waiting server
// would show a low rate. If neither is known, everything is active.
func activePart(ps []point) []point {
	busy := func(p point) bool { return p.connections > 0 || p.bytes > 0 }
	first := slices.IndexFunc(ps, busy)
	if first < 0 {
		return ps
	}
	last := len(ps) - 1
	for !busy(ps[last]) {
		last--
	}
	return ps[first : last+1]
}

// thin joins neighbouring intervals so that no more than n remain.
func thin(ps []point, n int) []point {
	step := (len(ps) + n - 1) / n
	if step <= 1 {
		return ps
	}
	var out []point
	for chunk := range slices.Chunk(ps, step) {
		p := chunk[0]
		for _, q := range chunk[1:] {
			p.join(q)
		}
		out = append(out, p)
	}
	return out
}

// sampledOnly reports whether only the process's use of the machine is known.
func (s *series) sampledOnly() bool {
	for i := range s.in.Run.Samples {
		x := &s.in.Run.Samples[i]
		if x.Connections != 0 || x.Accept != 0 || x.ConnectTime.Count != 0 || len(x.Send) != 0 ||
			len(x.Receive) != 0 || len(x.Profiles) != 0 || len(x.Latency) != 0 || len(x.Failed) != 0 || x.Completed != 0 {
			return false
		}
	}
	return true
}

// makeLabels returns a unique name for each input.
func makeLabels(inputs []Input) []string {
	labels := make([]string, len(inputs))
	for i := range inputs {
		labels[i] = label(&inputs[i].Run.Header)
	}
	distinguish(labels, func(i int) string { return " (" + printable(filepath.Base(inputs[i].Name), 40) + ")" })
	distinguish(labels, func(i int) string { return fmt.Sprintf(" #%d", i+1) })
	return labels
}

// distinguish adds text to labels that more than one input has.
func distinguish(labels []string, more func(int) string) {
	count := make(map[string]int)
	for _, l := range labels {
		count[l]++
	}
	for i, l := range labels {
		if count[l] > 1 {
			labels[i] += more(i)
		}
	}
}

// label returns the driver's name without the common prefix, or what the driver reports about itself.
func label(h *stats.Header) string {
	if p := h.Provenance; p != nil && p.Transport != "" {
		parts := []string{p.Transport, p.Provider, p.Group, h.Role}
		parts = slices.DeleteFunc(parts, func(s string) bool { return s == "" })
		return printable(strings.Join(parts, " "), 60)
	}
	name := filepath.Base(h.Driver)
	for _, prefix := range []string{"s2n-netbench-driver-", "netbench-driver-"} {
		if rest, ok := strings.CutPrefix(name, prefix); ok && rest != "" {
			name = rest
			break
		}
	}
	return printable(name, 60)
}

// printable bounds the length of a text from a file and removes characters that are invisible or change the
// direction.
func printable(s string, most int) string {
	r := []rune(strings.ToValidUTF8(s, "\uFFFD"))
	if len(r) > most {
		r = append(r[:most-1], '…')
	}
	for i, c := range r {
		if !unicode.IsPrint(c) {
			r[i] = '\uFFFD'
		}
	}
	return string(r)
}
