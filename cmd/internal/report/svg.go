package report

import (
	"fmt"
	"html"
	"html/template"
	"strings"
)

// The size of a figure in its own units. The page scales it to the available width.
const (
	figureWidth, figureHeight = 720, 320
	plotLeft, plotTop         = 84, 16
	plotRight, plotBottom     = figureWidth - 20, figureHeight - 48
	plotWidth, plotHeight     = plotRight - plotLeft, plotBottom - plotTop
	colours                   = 8
	pageDashesPerColour       = 4
)

// dashes distinguish series without colours.
var dashes = [pageDashesPerColour]string{"", "7 4", "2 4", "10 4 2 4"}

// Colour returns the number of the series' colour in the page's style.
func (l line) Colour() int { return l.Index % colours }

// Dash returns the series' dash pattern.
func (l line) Dash() string { return dash(l.Index) }

func dash(index int) string { return dashes[index%pageDashesPerColour] }

func (f *figure) x(v float64) float64 { return plotLeft + v/f.right*plotWidth }
func (f *figure) y(v float64) float64 { return plotBottom - v/f.top*plotHeight }

// SVG draws the figure for the page, whose style colours it.
func (f figure) SVG() template.HTML {
	var b strings.Builder
	id := f.ID
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img" aria-labelledby="t-%s d-%s">`, figureWidth, figureHeight, id, id)
	fmt.Fprintf(&b, `<title id="t-%s">%s</title><desc id="d-%s">%s</desc>`, id, html.EscapeString(f.Title), id, html.EscapeString(f.describe()))
	for _, v := range Ticks(f.top) {
		y := f.y(v)
		fmt.Fprintf(&b, `<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/><text class="tick" x="%d" y="%.1f" text-anchor="end" dy=".32em">%s</text>`,
			plotLeft, plotRight, y, y, plotLeft-8, y, html.EscapeString(si(v, f.unit)))
	}
	for _, t := range f.xticks {
		x := f.x(t.at)
		fmt.Fprintf(&b, `<line class="grid" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/><text class="tick" x="%.1f" y="%d" text-anchor="middle">%s</text>`,
			x, x, plotBottom, plotBottom+5, x, plotBottom+20, html.EscapeString(t.label))
	}
	fmt.Fprintf(&b, `<line class="axis" x1="%d" x2="%d" y1="%d" y2="%d"/>`, plotLeft, plotRight, plotBottom, plotBottom)
	fmt.Fprintf(&b, `<text class="tick" x="%d" y="%d" text-anchor="middle">%s</text>`, plotLeft+plotWidth/2, figureHeight-8, html.EscapeString(f.XTitle))
	for i := range f.Lines {
		f.Lines[i].draw(&b, &f)
	}
	b.WriteString(`<line class="cross" y1="` + fmt.Sprint(plotTop) + `" y2="` + fmt.Sprint(plotBottom) + `" x1="0" x2="0" visibility="hidden"/></svg>`)
	return template.HTML(b.String())
}

func (l *line) draw(b *strings.Builder, f *figure) {
	fmt.Fprintf(b, `<g class="line c%d" data-series="%d">`, l.Colour(), l.Index)
	if len(l.xs) > 1 {
		fmt.Fprintf(b, `<polyline stroke-dasharray="%s" points="`, l.Dash())
		for i := range l.xs {
			fmt.Fprintf(b, "%.1f,%.1f ", f.x(l.xs[i]), f.y(l.ys[i]))
		}
		b.WriteString(`"/>`)
	}
	if len(l.xs) == 1 || len(l.xs) <= 40 && f.XTitle != "percentile" {
		for i := range l.xs {
			fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="2.5"/>`, f.x(l.xs[i]), f.y(l.ys[i]))
		}
	}
	b.WriteString("</g>")
}

// describe describes the figure in words for readers who cannot see it.
func (f *figure) describe() string {
	parts := make([]string, 0, len(f.Lines))
	for _, l := range f.Lines {
		least, most := l.ys[0], l.ys[0]
		for _, y := range l.ys {
			least, most = min(least, y), max(most, y)
		}
		parts = append(parts, fmt.Sprintf("%s: from %s to %s", l.Label, si(least, f.unit), si(most, f.unit)))
	}
	return "Lines over " + f.XTitle + ". " + strings.Join(parts, "; ") + "."
}

// data is what the page's script shows beside the pointer.
type data struct {
	Left, Width, Right float64
	Unit               string
	Lines              []dataLine
}

type dataLine struct {
	Label  string
	Series int
	X      []float64
	Y      []string
	Name   []string // of x
}

// Data returns the data for the page's script.
func (f figure) Data() data {
	d := data{Left: plotLeft, Width: plotWidth, Right: f.right, Unit: f.unit}
	for i := range f.Lines {
		l := &f.Lines[i]
		dl := dataLine{Label: l.Label, Series: l.Index}
		for k := range l.xs {
			dl.X = append(dl.X, round(l.xs[k]))
			dl.Y = append(dl.Y, si(l.ys[k], f.unit))
			if f.XTitle == "percentile" {
				dl.Name = append(dl.Name, percentile(l.xs[k]))
			}
		}
		d.Lines = append(d.Lines, dl)
	}
	return d
}
