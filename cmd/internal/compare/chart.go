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

// palette holds colours that remain distinct for most kinds of colour blindness (Okabe and Ito).
var palette = []color.RGBA{
	{0, 114, 178, 255}, {213, 94, 0, 255}, {0, 158, 115, 255}, {204, 121, 167, 255},
	{86, 180, 233, 255}, {230, 159, 0, 255}, {90, 90, 90, 255}, {148, 103, 189, 255},
}

// WriteSVG draws the connection rate over time: for each Config, the rate of each block of a round, as the
// median over the rounds, at the time that its connections took up to that block.
func (r *Result) WriteSVG(w io.Writer) error {
	p := plot.New()
	p.Title.Text = r.Study.Title
	p.X.Label.Text = "seconds of a round, without the turns of other configurations"
	p.Y.Label.Text = "connections per second"
	p.Legend.Top = true
	p.Legend.Padding = vg.Points(3)
	p.Add(plotter.NewGrid())
	// A family is a baseline and the configurations that refer to it. Each family has its own dashes, and
	// each position in a family its own colour.
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

// rates returns the points of a Config's blocks. A study with one block has one rate, drawn over its whole
// length.
func (r *Result) rates(config string) (xy plotter.XYs) {
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
		if r.Study.Blocks == 1 {
			xy = append(xy, plotter.XY{X: 0, Y: median(rates)})
			length *= 2 // the middle of the only block becomes its end
		}
		xy = append(xy, plotter.XY{X: at + length/2, Y: median(rates)})
		at += length
	}
	return xy
}

// summary returns a line about the result for the head of a page.
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
