package compare

import (
	"fmt"
	"image/color"
	"io"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// palette are colours that stay apart for most kinds of colour blindness (Okabe and Ito).
var palette = []color.RGBA{
	{0, 114, 178, 255}, {213, 94, 0, 255}, {0, 158, 115, 255}, {204, 121, 167, 255},
	{86, 180, 233, 255}, {230, 159, 0, 255}, {90, 90, 90, 255}, {148, 103, 189, 255},
}

// WriteSVG draws the connection rate over time: for each Config the median over the rounds of what it
// completed in each second.
func (r *Result) WriteSVG(w io.Writer) error {
	p := plot.New()
	p.Title.Text = r.Study.Title
	p.X.Label.Text = "seconds since the start of a round"
	p.Y.Label.Text = "connections a second"
	p.Legend.Top = true
	p.Legend.Padding = vg.Points(3)
	p.Add(plotter.NewGrid())
	// A family, which is a baseline and what refers to it, has a kind of line, and a place in a family a
	// colour.
	family, place, end := 0, 0, 0.0
	for _, c := range r.Study.Configs {
		place++
		if c.Baseline == "" {
			family, place = family+1, 0
		}
		xy := r.rates(c.Name)
		if len(xy) == 0 {
			continue
		}
		line, points, err := plotter.NewLinePoints(xy)
		if err != nil {
			return err
		}
		line.Color = palette[place%len(palette)]
		line.Width = vg.Points(1.6)
		if family > 1 {
			line.Dashes = []vg.Length{vg.Points(float64(9 - 2*family)), vg.Points(3)}
		}
		end = max(end, xy[len(xy)-1].X)
		points.Color, points.Shape, points.Radius = line.Color, draw.CircleGlyph{}, vg.Points(1.5)
		p.Add(line, points)
		p.Legend.Add(c.Name, line)
	}
	p.X.Min, p.Y.Min = 0, 0
	p.X.Max = 1.4 * end // room for the legend
	canvas := vgsvg.New(9*vg.Inch, 5*vg.Inch)
	p.Draw(draw.New(canvas))
	_, err := canvas.WriteTo(w)
	return err
}

// rates are a Config's medians by second. A second in which less than half of the rounds still ran is
// left out; a run of less than a second is shown by its mean.
func (r *Result) rates(config string) (xy plotter.XYs) {
	bySecond := map[int][]float64{}
	rounds, last := 0, 0
	var means []float64
	for i := range r.Outcomes {
		o := &r.Outcomes[i]
		if o.Config != config {
			continue
		}
		rounds++
		means = append(means, o.rate())
		for s, n := range o.Client.Rates {
			bySecond[s] = append(bySecond[s], float64(n))
			last = max(last, s)
		}
	}
	for s := 0; s <= last; s++ {
		if n := len(bySecond[s]); n > 0 && 2*n >= rounds {
			xy = append(xy, plotter.XY{X: float64(s) + 0.5, Y: median(bySecond[s])})
		}
	}
	if len(xy) == 0 && rounds > 0 {
		xy = plotter.XYs{{X: 0, Y: median(means)}, {X: 1, Y: median(means)}}
	}
	return xy
}

// summary is a line about the result for the head of a page.
func (r *Result) summary() string {
	s := fmt.Sprintf("%d rounds of %d connections each", r.completeRounds(), r.Study.Connections)
	if r.Interrupted {
		s += fmt.Sprintf(", interrupted before round %d of %d was complete", r.completeRounds()+1, r.Study.Rounds)
	}
	if n := r.Failures(); n > 0 {
		s += fmt.Sprintf("; %d connections failed", n)
	}
	return s
}

func (r *Result) completeRounds() (n int) {
	for i := range r.Outcomes {
		n = max(n, r.Outcomes[i].Round)
	}
	return n
}
