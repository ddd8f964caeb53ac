package report

import (
	"fmt"
	"image/color"
	"io"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Charts returns the names of the charts for which the inputs have data.
func Charts(inputs []Input) []string {
	var names []string
	for _, f := range figures(makeSeries(inputs)) {
		names = append(names, f.Key)
	}
	return names
}

// WriteChart writes one chart; the format is "svg" or "png".
func WriteChart(w io.Writer, inputs []Input, name, format string) error {
	for _, f := range figures(makeSeries(inputs)) {
		if f.Key == name {
			return f.write(w, format)
		}
	}
	return fmt.Errorf("no chart %q in these files: choose one of %s", name, strings.Join(Charts(inputs), ", "))
}

// chartColours are the page's colours on white.
var chartColours = [colours]color.RGBA{
	{0x0b, 0x62, 0xc4, 255}, {0xc2, 0x41, 0x0c, 255}, {0x0a, 0x7a, 0x55, 255}, {0x8b, 0x2b, 0xb0, 255},
	{0x8a, 0x65, 0x00, 255}, {0xc0, 0x1f, 0x5b, 255}, {0x0e, 0x74, 0x90, 255}, {0x4b, 0x55, 0x63, 255},
}

var chartDashes = [pageDashesPerColour][]vg.Length{
	nil, {vg.Points(7), vg.Points(4)}, {vg.Points(2), vg.Points(4)},
	{vg.Points(10), vg.Points(4), vg.Points(2), vg.Points(4)},
}

// write draws the figure with gonum's plot.
func (f *figure) write(w io.Writer, format string) error {
	p := plot.New()
	p.BackgroundColor = color.White
	p.Title.Text, p.Title.Padding = f.Title, vg.Points(10)
	p.Title.TextStyle.Font.Size = vg.Points(15)
	p.X.Label.Text = f.XTitle
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, f.right, 0, f.top
	var xs, ys plot.ConstantTicks
	for _, t := range f.xticks {
		xs = append(xs, plot.Tick{Value: t.at, Label: t.label})
	}
	for _, v := range Ticks(f.top) {
		ys = append(ys, plot.Tick{Value: v, Label: si(v, f.unit)})
	}
	p.X.Tick.Marker, p.Y.Tick.Marker = xs, ys
	grid := plotter.NewGrid()
	grid.Vertical.Width = 0
	grid.Horizontal.Color = color.Gray{0xdd}
	p.Add(grid)
	legend := plot.NewLegend()
	legend.ThumbnailWidth = vg.Points(34)
	legend.Top, legend.Left, legend.Padding = true, true, vg.Points(2)
	for _, l := range f.Lines {
		points := make(plotter.XYs, len(l.xs))
		for i := range l.xs {
			points[i].X, points[i].Y = l.xs[i], l.ys[i]
		}
		drawn, err := plotter.NewLine(points)
		if err != nil {
			return err
		}
		drawn.Color, drawn.Width = chartColours[l.Index%colours], vg.Points(1.8)
		drawn.Dashes = chartDashes[l.Index%pageDashesPerColour]
		p.Add(drawn)
		legend.Add(l.Label, drawn)
	}
	const width, height, lineHeight = 760, 380, 16
	below := vg.Points(lineHeight*float64(len(f.Lines)) + 14)
	canvas, err := draw.NewFormattedCanvas(vg.Points(width), vg.Points(height)+below, format)
	if err != nil {
		return err
	}
	all := draw.New(canvas)
	all.SetColor(color.White)
	all.Fill(all.Rectangle.Path())
	p.Draw(draw.Crop(all, vg.Points(8), -vg.Points(16), below, -vg.Points(8)))
	legend.Draw(draw.Crop(all, vg.Points(70), 0, vg.Points(6), -(vg.Points(height))))
	_, err = canvas.WriteTo(w)
	return err
}
