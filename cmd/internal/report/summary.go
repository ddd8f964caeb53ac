package report

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/pqquic/pqquic/cmd/internal/bootstrap"
)

func round(v float64) float64 { return math.Round(v*1e4) / 1e4 }

// percentile names a position on the axis of nines.
func percentile(nines float64) string {
	return strconv.FormatFloat((1-math.Pow(10, -nines))*100, 'f', max(1, int(nines)), 64) + " %"
}

// A table is one of the page's tables.
type table struct {
	Head []string
	Rows []row
}

// A row of a table. Series is the series that it describes, or -1.
type row struct {
	Series  int
	Head    string
	Cells   []cell
	Differs bool // the cells are not all equal
}

type cell struct{ Main, Small string }

// summary has a row for each series.
func summary(all []*series) table {
	t := table{Head: []string{"Run", "Time", "Connections", "Failed"}}
	var shown []*metric
	for i := range metrics {
		if slices.ContainsFunc(all, func(s *series) bool { _, n := metrics[i].estimate(s); return n > 0 }) {
			shown = append(shown, &metrics[i])
			t.Head = append(t.Head, metrics[i].short)
		}
	}
	for _, s := range all {
		r := row{Series: s.Index, Head: s.Label}
		var connections float64
		for _, p := range s.all {
			connections += p.connections
		}
		length := "0 s"
		if n := len(s.all); n > 0 {
			length = si(s.all[n-1].end, "s")
		}
		count := "–"
		failed := cell{Main: "–"}
		if !s.sampledOnly() {
			count = strconv.FormatFloat(connections, 'f', 0, 64)
			if !s.in.Run.FromS2N {
				failed = s.failures()
			}
		}
		r.Cells = append(r.Cells, cell{Main: length}, cell{Main: count}, failed)
		for _, m := range shown {
			in, n := m.estimate(s)
			r.Cells = append(r.Cells, estimateCell(in, n, m.unit))
		}
		t.Rows = append(t.Rows, r)
	}
	return t
}

func estimateCell(in bootstrap.Interval, intervals int, unit string) cell {
	switch intervals {
	case 0:
		return cell{Main: "–"}
	case 1, 2:
		return cell{si(in.Value, unit), "too short for an interval"}
	}
	return cell{si(in.Value, unit), between(in.Low, in.High, unit)}
}

// failures returns the number of failed connections, by class.
func (s *series) failures() cell {
	by := make(map[string]int64)
	var sum int64
	for i := range s.in.Run.Samples {
		for class, n := range s.in.Run.Samples[i].Failed {
			by[class] += n
			sum += n
		}
	}
	var parts []string
	for _, class := range slices.Sorted(maps.Keys(by)) {
		if by[class] > 0 && len(parts) < 8 {
			parts = append(parts, fmt.Sprintf("%s: %d", printable(class, 30), by[class]))
		}
	}
	return cell{strconv.FormatInt(sum, 10), strings.Join(parts, ", ")}
}

// latencyTable has a row for each distribution of each series.
func latencyTable(all []*series) table {
	t := table{Head: []string{"Latency", "Run", "Count", "Mean"}}
	for _, q := range quantiles {
		t.Head = append(t.Head, q.name)
	}
	for _, l := range latencies(all) {
		for _, s := range all {
			p := l.by[s.Index]
			if p == nil || p.Stat.Count == 0 {
				continue
			}
			r := row{Series: s.Index, Head: l.title, Cells: []cell{
				{Main: s.Label}, {Main: strconv.FormatInt(p.Stat.Count, 10)},
				{Main: si(float64(p.Stat.Total)/float64(p.Stat.Count)/1e6, "s")}}}
			for _, q := range quantiles {
				c := cell{Main: "–"}
				if v, ok := p.Quantile(q.q); ok {
					c.Main = si(v/1e6, "s")
				}
				r.Cells = append(r.Cells, c)
			}
			t.Rows = append(t.Rows, r)
		}
	}
	return t
}

// compared describes what was compared, with a column for each series.
func compared(all []*series) table {
	t := table{Head: []string{""}}
	for _, s := range all {
		t.Head = append(t.Head, s.Label)
	}
	add := func(name string, value func(*series) string) {
		r := row{Series: -1, Head: name}
		known := make(map[string]bool)
		for _, s := range all {
			v := printable(value(s), 300)
			if v == "" {
				v = "–"
			} else {
				known[v] = true
			}
			r.Cells = append(r.Cells, cell{Main: v})
		}
		// Every run has its own file and time.
		r.Differs = len(known) > 1 && name != "File" && name != "Started"
		if len(known) > 0 {
			t.Rows = append(t.Rows, r)
		}
	}
	add("File", func(s *series) string { return s.in.Name })
	add("Driver", func(s *series) string { return s.in.Run.Header.Driver })
	add("Role", func(s *series) string { return s.in.Run.Header.Role })
	add("Scenario", func(s *series) string { return s.in.Run.Header.Scenario })
	add("Started", func(s *series) string { return started(&s.in.Run.Header) })
	add("Collected by", func(s *series) string {
		if s.in.Run.FromS2N {
			return "s2n-netbench-collector"
		}
		return s.in.Run.Header.Collector
	})
	for _, p := range provenanceRows {
		add(p.name, func(s *series) string {
			if s.in.Run.Header.Provenance == nil {
				return ""
			}
			return p.value(s.in.Run.Header.Provenance)
		})
	}
	return t
}

// Colour returns the number of the colour of the row's series.
func (r row) Colour() int { return max(r.Series, 0) % colours }
