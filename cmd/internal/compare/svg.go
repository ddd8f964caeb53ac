package compare

import (
	"fmt"
	"html"
	"io"
	"strings"

	"github.com/pqquic/pqquic/cmd/internal/report"
)

// WriteSVG writes the connection rates as a drawing of its own: over time with a legend, or one bar for each
// Config if the study has too few blocks for that.
func (r *Result) WriteSVG(w io.Writer) error {
	var b strings.Builder
	lines := r.lines()
	width, height := 900, 500+legendRow*len(lines)
	if lines == nil {
		height = legendTop + 30*len(r.Rows) + 10
	}
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d">`, width, height, width, height)
	fmt.Fprintf(&b, `<title>%s</title><style>%stext{font:14px var(--font);fill:var(--fg)}text.tick{font-size:13px;fill:var(--soft)}</style>`,
		html.EscapeString(r.Study.Title), report.ChartStyle)
	fmt.Fprintf(&b, `<rect width="100%%" height="100%%" fill="var(--bg)"/><text x="16" y="28" style="font-size:18px;font-weight:600">%s</text>`,
		html.EscapeString(r.Study.Title+": connections per second"))
	if lines == nil {
		drawBars(&b, r.rateBars().Groups[0].Bars)
	} else {
		drawLegend(&b, lines)
		top := legendTop + legendRow*len(lines) + 10
		fmt.Fprintf(&b, `<svg y="%d" width="%d" height="%d">%s</svg>`, top, width, height-top, canvas{"", width, height - top}.draw(lines))
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// Where the legend begins, and the height of its rows.
const legendTop, legendRow = 44, 22

func drawLegend(b *strings.Builder, lines []line) {
	for i, l := range lines {
		y := legendTop + legendRow*i + legendRow/2
		fmt.Fprintf(b, `<g class="line c%d"><polyline points="16,%d 50,%d" stroke-dasharray="%s"/></g><text x="60" y="%d" dy=".35em">%s</text>`,
			l.Colour, y, y, l.Dash, y, html.EscapeString(l.Label))
	}
}

func drawBars(b *strings.Builder, bars []bar) {
	const left, width, row = 290, 430, 30
	x := func(share float64) float64 { return left + share/100*width }
	for i, v := range bars {
		y := legendTop + row*i
		fmt.Fprintf(b, `<text x="16" y="%d" dy=".35em">%s</text>`, y+row/2, html.EscapeString(v.Label))
		fmt.Fprintf(b, `<rect class="c%d" x="%d" y="%d" width="%.1f" height="%d" fill="var(--c)" opacity=".75"/>`, v.Colour, left, y+7, x(v.Width)-left, row-14)
		fmt.Fprintf(b, `<path d="M%.1f %dh%.1f" stroke="var(--fg)" stroke-width="2"/>`, x(v.Low), y+row/2, max(2, x(v.High)-x(v.Low)))
		for _, dot := range v.Dots {
			fmt.Fprintf(b, `<circle cx="%.1f" cy="%d" r="3" fill="var(--fg)" stroke="var(--bg)"/>`, x(dot), y+row/2)
		}
		fmt.Fprintf(b, `<text x="%d" y="%d" dy=".35em">%s</text>`, left+width+16, y+row/2, html.EscapeString(v.Text))
	}
}
