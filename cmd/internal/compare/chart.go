package compare

import (
	"cmp"
	"fmt"
	"html"
	"html/template"
	"slices"
	"strconv"
	"strings"

	"github.com/pqquic/pqquic/cmd/internal/report"
)

// A look distinguishes a Config in charts and tables. Colour is a number of the page's style. Each position
// in a family, which is a baseline and the configurations that refer to it, has its own colour, and each
// family has its own dashes.
type look struct {
	Colour int
	Dash   string
}

const colours = 8

var dashes = []string{"", "8 4", "2 4", "10 4 2 4"}

func looks(configs []Config) []look {
	out := make([]look, len(configs))
	family, place := -1, 0
	for i, c := range configs {
		place++
		if c.Baseline == "" || family < 0 {
			family, place = family+1, 0
		}
		out[i] = look{Colour: place % colours, Dash: dashes[family%len(dashes)]}
	}
	return out
}

// A line is the connection rate of a Config over time.
type line struct {
	look
	Label  string
	points []point
}

type point struct{ x, y float64 }

// minPoints is the number of blocks from which on a study has a rate over time. With fewer, a line through
// them would suggest a course that was not measured.
const minPoints = 4

// lines returns the rate over time of each Config: the rate of each block of a round, as the median over the
// rounds, at the time that the Config's own connections took up to the middle of that block. It returns nil
// if the study has too few blocks.
func (r *Result) lines() (out []line) {
	if r.Study.Blocks < minPoints {
		return nil
	}
	look := looks(r.Study.Configs)
	for i, c := range r.Study.Configs {
		if ps := r.points(c.Name); len(ps) > 0 {
			out = append(out, line{look: look[i], Label: c.Name, points: ps})
		}
	}
	return out
}

func (r *Result) points(config string) (out []point) {
	at := 0.0
	for block := 1; block <= r.Study.Blocks; block++ {
		var rates, lengths []float64
		for i := range r.Outcomes {
			if o := &r.Outcomes[i]; o.Config == config && o.Block == block {
				rates, lengths = append(rates, o.rate()), append(lengths, o.Client.Seconds)
			}
		}
		if len(rates) == 0 {
			break
		}
		length := median(lengths)
		out = append(out, point{at + length/2, median(rates)})
		at += length
	}
	return out
}

// A canvas is the size of a drawing. A page has one for each range of window widths, so that its texts have
// about the same size in all of them.
type canvas struct {
	Class         string
	width, height int
}

var canvases = []canvas{{"wide", 1120, 360}, {"middle", 720, 320}, {"narrow", 350, 280}}

// The margins of a drawing.
const marginLeft, marginRight, marginTop, marginBottom = 52, 14, 12, 46

// draw draws the lines. The page's style colours them.
func (c canvas) draw(lines []line) template.HTML {
	var most, end float64
	for _, l := range lines {
		most = max(most, slices.MaxFunc(l.points, func(a, b point) int { return cmp.Compare(a.y, b.y) }).y)
		end = max(end, l.points[len(l.points)-1].x)
	}
	xs, ys := report.Ticks(end), report.Ticks(most)
	right, top := xs[len(xs)-1], ys[len(ys)-1]
	w, h := float64(c.width-marginLeft-marginRight), float64(c.height-marginTop-marginBottom)
	x := func(v float64) float64 { return marginLeft + v/right*w }
	y := func(v float64) float64 { return marginTop + h - v/top*h }

	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" class="%s" viewBox="0 0 %d %d" role="img" aria-label="%s">`,
		c.Class, c.width, c.height, html.EscapeString(describe(lines)))
	for _, v := range ys {
		fmt.Fprintf(&b, `<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`, marginLeft, c.width-marginRight, y(v), y(v))
		fmt.Fprintf(&b, `<text class="tick" x="%d" y="%.1f" text-anchor="end" dy=".32em">%s</text>`, marginLeft-8, y(v), number(v))
	}
	for i, v := range xs {
		anchor := "middle"
		if i == len(xs)-1 {
			anchor = "end"
		}
		fmt.Fprintf(&b, `<text class="tick" x="%.1f" y="%.0f" text-anchor="%s">%s</text>`, x(v), marginTop+h+18, anchor, number(v))
	}
	fmt.Fprintf(&b, `<line class="axis" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`, marginLeft, c.width-marginRight, y(0), y(0))
	fmt.Fprintf(&b, `<text class="tick" x="%.1f" y="%d" text-anchor="middle">seconds of a round</text>`, marginLeft+w/2, c.height-8)
	for _, l := range lines {
		fmt.Fprintf(&b, `<g class="line c%d"><polyline stroke-dasharray="%s" points="`, l.Colour, l.Dash)
		for _, p := range l.points {
			fmt.Fprintf(&b, "%.1f,%.1f ", x(p.x), y(p.y))
		}
		b.WriteString(`"/>`)
		for _, p := range l.points {
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="2.5"/>`, x(p.x), y(p.y))
		}
		b.WriteString("</g>")
	}
	b.WriteString("</svg>")
	return template.HTML(b.String())
}

// describe describes the lines in words for readers who cannot see them.
func describe(lines []line) string {
	parts := make([]string, len(lines))
	for i, l := range lines {
		least, most := l.points[0].y, l.points[0].y
		for _, p := range l.points {
			least, most = min(least, p.y), max(most, p.y)
		}
		parts[i] = fmt.Sprintf("%s: from %.0f to %.0f", l.Label, least, most)
	}
	return "Connections per second over the seconds of a round. " + strings.Join(parts, "; ")
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
