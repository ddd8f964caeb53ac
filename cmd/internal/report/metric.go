package report

import (
	"maps"
	"slices"

	"github.com/pqquic/pqquic/cmd/internal/bootstrap"
	"github.com/pqquic/pqquic/cmd/internal/stats"
)

// A metric is a quotient of two quantities. Intervals can be joined by adding both, without weights.
type metric struct {
	key, title string
	short      string // for column heads
	unit       string // follows a number with an SI prefix
	above      func(*point) float64
	below      func(*point) float64
	everywhere bool // also for intervals in which nothing happened
}

var metrics = []metric{
	{key: "connection-rate", short: "Connections per second", title: "Connections completed per second", unit: "/s",
		above: func(p *point) float64 { return p.connections }, below: func(p *point) float64 { return p.seconds }},
	{key: "throughput", short: "Throughput", title: "Throughput, sent and received", unit: "B/s",
		above: func(p *point) float64 { return p.bytes }, below: func(p *point) float64 { return p.seconds }},
	{key: "cpu", short: "CPU", title: "CPU, in cores", unit: "cores", everywhere: true,
		above: func(p *point) float64 { return p.cpu }, below: func(p *point) float64 { return p.seconds }},
	{key: "cpu-per-connection", short: "CPU per connection", title: "CPU time per connection", unit: "s",
		above: func(p *point) float64 { return p.cpu }, below: func(p *point) float64 { return p.connections }},
	{key: "cpu-per-byte", short: "CPU per byte", title: "CPU time per byte", unit: "s/B",
		above: func(p *point) float64 { return p.cpu }, below: func(p *point) float64 { return p.bytes }},
	{key: "memory", short: "Memory", title: "Resident memory", unit: "B", everywhere: true,
		above: func(p *point) float64 { return p.memory * p.n }, below: func(p *point) float64 {
			if p.memory == 0 {
				return 0
			}
			return p.n
		}},
}

// values returns a metric by interval. Intervals without a value are left out.
func (m *metric) values(ps []point) (xs, ys []float64) {
	for i := range ps {
		if below := m.below(&ps[i]); below > 0 {
			xs = append(xs, ps[i].end)
			ys = append(ys, m.above(&ps[i])/below)
		}
	}
	return xs, ys
}

// estimate returns a metric of a whole run with its confidence interval.
func (m *metric) estimate(s *series) (in bootstrap.Interval, intervals int) {
	var as, bs []float64
	var sum float64
	ps := thin(s.active, maxPoints)
	for i := range ps {
		if b := m.below(&ps[i]); b > 0 {
			a := m.above(&ps[i])
			as, bs, sum = append(as, a), append(bs, b), sum+a
		}
	}
	if sum == 0 {
		return in, 0
	}
	return bootstrap.RatioOfSums(as, bs, 1), len(as)
}

// latencyNames lists the kinds of latency with their titles.
var latencyNames = []struct{ key, title string }{
	{"connect", "Handshake"},
	{"ttfb", "Time to first byte"},
	{"request", "Request"},
}

// A latency is a distribution of each series, in microseconds.
type latency struct {
	key, title string
	by         map[int]*stats.Profile // by series
}

// latencies returns the distributions: those that our drivers write, and the profiles of named traces.
func latencies(all []*series) []latency {
	kinds := make(map[string]*latency)
	add := func(key, title string, s *series, p *stats.Profile) {
		l := kinds[key]
		if l == nil {
			l = &latency{key: key, title: title, by: make(map[int]*stats.Profile)}
			kinds[key] = l
		}
		if l.by[s.Index] == nil {
			l.by[s.Index] = new(stats.Profile)
		}
		l.by[s.Index].Merge(p)
	}
	for _, s := range all {
		for i := range s.in.Run.Samples {
			x := &s.in.Run.Samples[i]
			for _, name := range latencyNames {
				if p := x.Latency[name.key]; p != nil {
					add("latency-"+name.key, name.title, s, p)
				}
			}
			if x.Latency["connect"] == nil && x.ConnectTime.Count > 0 {
				add("latency-connect", "Handshake", s, &stats.Profile{Stat: x.ConnectTime})
			}
			for id, p := range x.Profiles {
				name := traceName(s.in.Run.Header.Traces, id)
				add("trace-"+name, "Trace “"+name+"”", s, p)
			}
		}
	}
	var out []latency
	for _, name := range latencyNames {
		if l := kinds["latency-"+name.key]; l != nil {
			out = append(out, *l)
			delete(kinds, "latency-"+name.key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(kinds)) {
		out = append(out, *kinds[key])
	}
	return out
}

// quantiles are shown for each distribution.
var quantiles = []struct {
	q    float64
	name string
}{{0.5, "p50"}, {0.9, "p90"}, {0.99, "p99"}, {0.999, "p99.9"}, {1, "max"}}
