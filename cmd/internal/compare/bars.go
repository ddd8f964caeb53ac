package compare

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pqquic/pqquic/cmd/internal/report"
)

// A barChart shows one value for each of several configurations, with its interval.
type barChart struct {
	Groups []barGroup
	Axis   []axisTick
	// Published reports whether any bar has a published value beside it.
	Published bool
}

// A barGroup is a part of a barChart with a heading.
type barGroup struct {
	Title string
	Bars  []bar
}

// A bar is one value. Positions are shares of the axis, in percent.
type bar struct {
	Label       string
	Colour      int
	Width       float64
	Low, High   float64   // of the interval
	Dots        []float64 // single measurements
	Text, Small string
	Published   *published
}

// Span returns the length of the interval.
func (b bar) Span() float64 { return b.High - b.Low }

// published is the value that others have published for the same configuration.
type published struct {
	Width float64
	Text  string
}

type axisTick struct {
	At    float64
	Label string
}

// relativeBars shows the relative rates of the results, each family with the rate of its baseline as 100 %.
func relativeBars(results []*Result) *barChart {
	most := 1.0
	for _, r := range results {
		for _, row := range r.Rows {
			if row.RelativeRate != nil {
				most = max(most, row.RelativeRate.High)
			}
		}
	}
	at := func(v float64) float64 { return v / most * 100 }
	step := 0.25
	if most > 2 {
		step = report.Ticks(most)[1]
	}
	chart := &barChart{}
	for v := 0.0; v <= most; v += step {
		chart.Axis = append(chart.Axis, axisTick{at(v), fmt.Sprintf("%.0f %%", v*100)})
	}
	for _, r := range results {
		look := looks(r.Study.Configs)
		for i, row := range r.Rows {
			if row.RelativeRate == nil {
				continue
			}
			title := row.Baseline + " is 100 %"
			if len(results) > 1 {
				title = r.Study.label() + ": " + title
			}
			k := slices.IndexFunc(chart.Groups, func(g barGroup) bool { return g.Title == title })
			if k < 0 {
				k = len(chart.Groups)
				chart.Groups = append(chart.Groups, barGroup{Title: title})
			}
			rel := row.RelativeRate
			b := bar{Label: shortName(row.Config, row.Baseline), Colour: look[i].Colour, Width: at(rel.Value), Low: at(rel.Low), High: at(rel.High),
				Text: change(rel.Value), Small: span(rel)}
			if p := r.Study.Configs[i].Published; p > 0 {
				b.Published = &published{at(p), wholePercent(p) + " published"}
				chart.Published = true
			}
			chart.Groups[k].Bars = append(chart.Groups[k].Bars, b)
		}
	}
	if len(chart.Groups) == 0 {
		return nil
	}
	return chart
}

// shortName returns the name of a Config without the provider, if its baseline has the same.
func shortName(config, baseline string) string {
	provider, name, ok := strings.Cut(config, " ")
	if of, _, _ := strings.Cut(baseline, " "); !ok || of != provider {
		return config
	}
	return name
}

// rateBars shows the rate of each Config, with a dot for each of its runs. It is for studies whose rounds
// have too few blocks for a rate over time.
func (r *Result) rateBars() *barChart {
	most := 0.0
	for _, row := range r.Rows {
		most = max(most, row.Rate.High)
	}
	for i := range r.Outcomes {
		most = max(most, r.Outcomes[i].rate())
	}
	ends := report.Ticks(most)
	at := func(v float64) float64 { return v / ends[len(ends)-1] * 100 }
	chart := &barChart{Groups: []barGroup{{}}}
	for _, v := range ends {
		chart.Axis = append(chart.Axis, axisTick{at(v), number(v)})
	}
	look := looks(r.Study.Configs)
	for i, row := range r.Rows {
		b := bar{Label: row.Config, Colour: look[i].Colour, Width: at(row.Rate.Value), Low: at(row.Rate.Low), High: at(row.Rate.High),
			Text: fmt.Sprintf("%.0f /s", row.Rate.Value), Small: fmt.Sprintf("%.0f … %.0f", row.Rate.Low, row.Rate.High)}
		for k := range r.Outcomes {
			if o := &r.Outcomes[k]; o.Config == row.Config {
				b.Dots = append(b.Dots, at(o.rate()))
			}
		}
		chart.Groups[0].Bars = append(chart.Groups[0].Bars, b)
	}
	return chart
}
