package report

import (
	"fmt"
	"math"
	"slices"
)

// A figure is a chart, independent of how it is drawn.
type figure struct {
	ID         string // element ID in the page
	Key, Title string
	XTitle     string
	unit       string // of y
	Lines      []line
	xticks     []tick
	top        float64 // highest tick of y
	right      float64
}

// A line is a series in a figure.
type line struct {
	Label  string
	Index  int // of the series, which determines its colour and dashes
	xs, ys []float64
}

type tick struct {
	at    float64
	label string
}

// maxPoints bounds the points of a line. More points than a page has pixels only make the file larger.
const maxPoints = 600

// figures returns all charts for which there is data.
func figures(all []*series) []figure {
	var out []figure
	for i := range metrics {
		if f := metrics[i].figure(all); len(f.Lines) > 0 {
			out = append(out, f)
		}
	}
	for _, l := range latencies(all) {
		if f := l.figure(all); len(f.Lines) > 0 {
			out = append(out, f)
		}
	}
	for i := range out {
		out[i].ID = fmt.Sprintf("chart-%d", i)
	}
	return out
}

// figure returns the metric over time.
func (m *metric) figure(all []*series) figure {
	f := figure{Key: m.key, Title: m.title, XTitle: "seconds since the start", unit: m.unit}
	for _, s := range all {
		ps := s.active
		if m.everywhere {
			ps = s.all
		}
		xs, ys := m.values(thin(ps, maxPoints))
		if len(ys) == 0 || slices.Max(ys) == 0 {
			continue
		}
		f.Lines = append(f.Lines, line{s.Label, s.Index, xs, ys})
	}
	f.scale()
	for _, x := range Ticks(f.right) {
		if x <= f.right*1.0001 {
			f.xticks = append(f.xticks, tick{x, seconds(x)})
		}
	}
	return f
}

// figure returns the distribution as quantiles, with the tail stretched: each additional nine takes the
// same width.
func (l *latency) figure(all []*series) figure {
	f := figure{Key: l.key, Title: l.title + ": latency by percentile", XTitle: "percentile", unit: "s"}
	var most int64
	for _, s := range all {
		p := l.by[s.Index]
		if p == nil {
			continue
		}
		var n int64
		for _, b := range p.Buckets {
			n += b.Count
		}
		if n == 0 {
			continue
		}
		most = max(most, n)
		var xs, ys []float64
		// The line ends where the values do: of a hundred values there is no 99.9th percentile.
		for x := 0.0; x <= nines(n)+1e-9; x += 0.05 {
			v, _ := p.Quantile(1 - math.Pow(10, -x))
			xs, ys = append(xs, x), append(ys, v/1e6)
		}
		f.Lines = append(f.Lines, line{s.Label, s.Index, xs, ys})
	}
	f.scale()
	f.right = max(nines(most), 1)
	for _, t := range []tick{{0, "0"}, {math.Log10(2), "50 %"}, {1, "90 %"}, {2, "99 %"}, {3, "99.9 %"}, {4, "99.99 %"}, {5, "99.999 %"}} {
		if t.at <= f.right+1e-9 {
			f.xticks = append(f.xticks, t)
		}
	}
	return f
}

// nines returns how far the tail of n values reaches: 2 for a hundred.
func nines(n int64) float64 { return min(5, math.Floor(math.Log10(float64(max(n, 1)))*20)/20) }

// scale determines the ends of the axes.
func (f *figure) scale() {
	var most float64
	for _, l := range f.Lines {
		most = max(most, slices.Max(l.ys))
		f.right = max(f.right, slices.Max(l.xs))
	}
	if f.right == 0 {
		f.right = 1
	}
	ys := Ticks(most)
	f.top = ys[len(ys)-1]
}
