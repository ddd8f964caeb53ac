package compare

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
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
	Rows        []Row     `json:"rows"`
}

// A Row is the result for one Config.
type Row struct {
	Config string   `json:"config"`
	Rate   Interval `json:"connections_per_second"`
	// CPU is the CPU time of both ends per connection, in microseconds.
	CPU Interval `json:"cpu_us_per_connection"`
	// Latency is the time from dial to completed handshake in microseconds: the median over the blocks of
	// each block's percentile.
	P50    float64          `json:"connect_p50_us"`
	P99    float64          `json:"connect_p99_us"`
	Failed map[string]int64 `json:"failed,omitempty"`
	Group  string           `json:"group,omitempty"` // negotiated group

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
			Config: c.Name, Baseline: c.Baseline,
			Rate: bootstrap.Mean(each(os, (*Outcome).rate), seed),
			CPU:  bootstrap.Mean(each(os, func(o *Outcome) float64 { return o.cpu() * 1e6 }), seed),
			P50:  median(each(os, func(o *Outcome) float64 { return float64(o.Client.Latency["connect"].P50) })),
			P99:  median(each(os, func(o *Outcome) float64 { return float64(o.Client.Latency["connect"].P99) })),
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

// WriteTable writes the result as text.
func (r *Result) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "configuration\tconnections/s\t95 % interval\trelative\t95 % interval\tCPU µs/conn\trelative CPU\tconnect p50/p99 µs\tfailed")
	for _, row := range r.Rows {
		rel, relCI, cpu := "1 (baseline)", "", ""
		if row.RelativeRate != nil {
			rel = percent(row.RelativeRate.Value)
			relCI = percent(row.RelativeRate.Low) + " … " + percent(row.RelativeRate.High)
			cpu = percent(row.RelativeCPU.Value)
		}
		var failed int64
		for _, n := range row.Failed {
			failed += n
		}
		fmt.Fprintf(t, "%s\t%.0f\t%.0f … %.0f\t%s\t%s\t%.0f\t%s\t%.0f/%.0f\t%d\n", row.Config,
			row.Rate.Value, row.Rate.Low, row.Rate.High, rel, relCI, row.CPU.Value, cpu, row.P50, row.P99, failed)
	}
	return t.Flush()
}

// percent formats a ratio as a change.
func percent(ratio float64) string { return fmt.Sprintf("%+.1f %%", (ratio-1)*100) }

func median(xs []float64) float64 {
	if len(xs) == 0 {
		return 0
	}
	xs = slices.Sorted(slices.Values(xs))
	return xs[len(xs)/2]
}
