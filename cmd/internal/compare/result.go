package compare

import (
	"fmt"
	"slices"
	"time"

	"github.com/pqquic/pqquic/cmd/internal/bootstrap"
)

// A Result is the result of a study.
type Result struct {
	Study       Study     `json:"study"`
	Began       time.Time `json:"began"`
	Seed        uint64    `json:"seed"`
	Interrupted bool      `json:"interrupted,omitempty"` // it has fewer rounds than requested
	Outcomes    []Outcome `json:"outcomes"`
	// Connections is the number of connections in each round and Datagrams the datagrams of a handshake, both by Config.
	Connections map[string]int        `json:"connections,omitempty"`
	Datagrams   map[string]*Datagrams `json:"handshake_datagrams,omitempty"`
	Rows        []Row                 `json:"rows"`
}

// A Row is the result for one Config.
type Row struct {
	Config string `json:"config"`
	// Connections is the number of connections in each round.
	Connections int      `json:"connections"`
	Rate        Interval `json:"connections_per_second"`
	// CPU is the CPU time of both ends per connection, in microseconds.
	CPU Interval `json:"cpu_us_per_connection"`
	// Latency is the time from dial to completed handshake in microseconds: the median over the blocks of
	// each block's percentile.
	P50    float64          `json:"connect_p50_us"`
	P99    float64          `json:"connect_p99_us"`
	Failed map[string]int64 `json:"failed,omitempty"`
	Group  string           `json:"group,omitempty"` // negotiated group
	// Datagrams is set if the study counts the datagrams of a handshake.
	Datagrams *Datagrams `json:"handshake_datagrams,omitempty"`

	// RelativeRate and RelativeCPU are ratios to the baseline, each within the same block of a round.
	Baseline     string    `json:"baseline,omitempty"`
	RelativeRate *Interval `json:"relative_rate,omitempty"`
	RelativeCPU  *Interval `json:"relative_cpu,omitempty"`
}

// An Interval is an estimate with its confidence interval of 95 %.
type Interval = bootstrap.Interval

// evaluate makes the rows.
func (r *Result) evaluate(seed uint64) error {
	by := make(map[string][]Outcome) // in the order of the blocks
	for _, o := range r.Outcomes {
		by[o.Config] = append(by[o.Config], o)
	}
	r.Rows = nil
	for _, c := range r.Study.Configs {
		os := by[c.Name]
		if len(os) == 0 {
			return fmt.Errorf("%s has no outcome", c.Name)
		}
		row := Row{
			Config: c.Name, Baseline: c.Baseline, Connections: r.Study.Connections, Datagrams: r.Datagrams[c.Name],
			Rate: bootstrap.Mean(each(os, (*Outcome).rate), seed),
			CPU:  bootstrap.Mean(each(os, func(o *Outcome) float64 { return o.cpu() * 1e6 }), seed),
			P50:  median(each(os, func(o *Outcome) float64 { return float64(o.Client.Latency["connect"].P50) })),
			P99:  median(each(os, func(o *Outcome) float64 { return float64(o.Client.Latency["connect"].P99) })),
		}
		if n := r.Connections[c.Name]; n > 0 {
			row.Connections = n
		}
		for _, o := range os {
			for class, n := range o.Client.Failed {
				if row.Failed == nil {
					row.Failed = make(map[string]int64)
				}
				row.Failed[class] += n
			}
			if o.Client.Provenance != nil {
				row.Group = o.Client.Provenance.Group
			}
		}
		if c.Baseline != "" {
			base := by[c.Baseline]
			rate := bootstrap.Ratio(each(os, (*Outcome).rate), each(base, (*Outcome).rate), seed)
			cpu := bootstrap.Ratio(each(os, (*Outcome).cpu), each(base, (*Outcome).cpu), seed)
			row.RelativeRate, row.RelativeCPU = &rate, &cpu
		}
		r.Rows = append(r.Rows, row)
	}
	return nil
}

func each(os []Outcome, f func(*Outcome) float64) (out []float64) {
	for i := range os {
		out = append(out, f(&os[i]))
	}
	return out
}

// Failures returns the number of failed connections in all rounds.
func (r *Result) Failures() (n int64) {
	for _, row := range r.Rows {
		for _, k := range row.Failed {
			n += k
		}
	}
	return n
}

func median(xs []float64) float64 {
	if len(xs) == 0 {
		return 0
	}
	xs = slices.Sorted(slices.Values(xs))
	return xs[len(xs)/2]
}
