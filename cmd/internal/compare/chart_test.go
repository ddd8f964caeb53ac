package compare

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cmd/internal/stats"
)

// blocks returns a result with this many blocks a round, two rounds, and two families.
func blocks(t *testing.T, n int) *Result {
	t.Helper()
	r := &Result{Study: Study{Name: "s", Title: "Rates <i>", About: "About.", Connections: 100 * n, Rounds: 2, Blocks: n, Configs: []Config{
		{Name: "s2n X25519"}, {Name: "s2n X25519MLKEM768", Baseline: "s2n X25519"}, {Name: "native X25519"},
	}}}
	for round := range 2 {
		for block := range n {
			for i, c := range r.Study.Configs {
				rate := float64(1000 - 200*i + 10*block + round)
				r.Outcomes = append(r.Outcomes, Outcome{Config: c.Name, Round: round + 1, Block: block + 1,
					Client: &stats.Summary{Connections: 100, Seconds: 100 / rate, CPUSeconds: 0.1}})
			}
		}
	}
	require.NoError(t, r.evaluate(1))
	return r
}

func TestLines(t *testing.T) {
	require.Nil(t, blocks(t, minPoints-1).lines(), "few points are not joined by a line")
	lines := blocks(t, 10).lines()
	require.Len(t, lines, 3)
	require.Len(t, lines[0].points, 10)
	require.Equal(t, look{0, ""}, lines[0].look)
	require.Equal(t, look{1, ""}, lines[1].look)
	require.Equal(t, look{0, "8 4"}, lines[2].look, "another family has other dashes")
	p := lines[0].points
	require.InDelta(t, 1001, p[0].y, 1e-6)
	require.InDelta(t, 0.5*100/1000, p[0].x, 1e-3, "the middle of the block")
	require.InDelta(t, p[0].x+0.1, p[1].x, 2e-3, "the time of other configurations is not included")
}

// Everything that a drawing shows is inside it, at each size.
func TestDraw(t *testing.T) {
	lines := blocks(t, 10).lines()
	for _, c := range canvases {
		texts, points := 0, 0
		for d := xml.NewDecoder(strings.NewReader(string(c.draw(lines)))); ; {
			token, err := d.Token()
			if err == io.EOF {
				break
			}
			require.NoError(t, err)
			e, ok := token.(xml.StartElement)
			if !ok {
				continue
			}
			var x, y float64
			for _, a := range e.Attr {
				switch a.Name.Local {
				case "x", "cx":
					_, _ = fmt.Sscan(a.Value, &x)
				case "y", "cy":
					_, _ = fmt.Sscan(a.Value, &y)
				}
			}
			switch e.Name.Local {
			case "text":
				texts++
			case "circle":
				points++
				require.Greater(t, x, float64(marginLeft))
			}
			require.LessOrEqual(t, x, float64(c.width-marginRight), "%s: %v", c.Class, e)
			require.LessOrEqual(t, y, float64(c.height), "%s: %v", c.Class, e)
		}
		require.Equal(t, 30, points)
		require.Greater(t, texts, 8)
	}
}

func TestDescribe(t *testing.T) {
	require.Contains(t, describe(blocks(t, 10).lines()), "s2n X25519: from 1001 to 1091; s2n X25519MLKEM768: from 801 to 891")
}

// The chart's file is well-formed, whatever the names are, and has the page's font.
func TestWriteSVG(t *testing.T) {
	for _, n := range []int{1, 10} {
		r := blocks(t, n)
		var out bytes.Buffer
		require.NoError(t, r.WriteSVG(&out))
		require.Contains(t, out.String(), "native X25519")
		require.Contains(t, out.String(), "--font:system-ui")
		require.Contains(t, out.String(), "Rates &lt;i&gt;")
		require.Equal(t, n >= minPoints, strings.Contains(out.String(), "<polyline"))
		for d := xml.NewDecoder(&out); ; {
			_, err := d.Token()
			if err == io.EOF {
				break
			}
			require.NoError(t, err)
		}
	}
}

func TestRelativeBars(t *testing.T) {
	r := blocks(t, 10)
	require.Nil(t, relativeBars([]*Result{{Study: Study{Configs: r.Study.Configs[:1]}, Rows: r.Rows[:1]}}), "only a baseline")
	r.Study.Configs[1].Published = 0.92
	c := relativeBars([]*Result{r})
	require.True(t, c.Published)
	require.Equal(t, []axisTick{{0, "0 %"}, {25, "25 %"}, {50, "50 %"}, {75, "75 %"}, {100, "100 %"}}, c.Axis)
	require.Len(t, c.Groups, 1, "a baseline alone has no bars")
	require.Equal(t, "s2n X25519 is 100 %", c.Groups[0].Title)
	b := c.Groups[0].Bars[0]
	require.Equal(t, "X25519MLKEM768", b.Label)
	require.InDelta(t, 80.7, b.Width, 0.5)
	require.Less(t, b.Low, b.Width)
	require.Greater(t, b.High, b.Width)
	require.InDelta(t, 92, b.Published.Width, 1e-9)
	require.Equal(t, "−8 % published", b.Published.Text)

	faster := blocks(t, 10)
	faster.Study.Label = "Now"
	faster.Study.Configs[0].Baseline, faster.Study.Configs[1].Baseline = "s2n X25519MLKEM768", ""
	require.NoError(t, faster.evaluate(1))
	c = relativeBars([]*Result{r, faster})
	require.Equal(t, "Rates <i>: s2n X25519 is 100 %", c.Groups[0].Title)
	require.Equal(t, "Now: s2n X25519MLKEM768 is 100 %", c.Groups[1].Title)
	for _, g := range c.Groups {
		require.LessOrEqual(t, g.Bars[0].High, 100.0, "the axis is as long as its longest bar")
	}
}

// The shares of a chart of rates are those of its axis.
func TestRateBars(t *testing.T) {
	c := blocks(t, 1).rateBars()
	end := c.Axis[len(c.Axis)-1]
	require.Equal(t, 100.0, end.At)
	require.Equal(t, "1250", end.Label)
	b := c.Groups[0].Bars
	require.Len(t, b, 3)
	require.Len(t, b[0].Dots, 2)
	require.InDelta(t, 80, b[0].Width, 0.1)
	require.Equal(t, "1000 /s", b[0].Text)
}

func TestShortName(t *testing.T) {
	require.Equal(t, "X25519MLKEM768", shortName("s2n X25519MLKEM768", "s2n X25519"))
	require.Equal(t, "native X25519", shortName("native X25519", "s2n X25519"))
	require.Equal(t, "theirs", shortName("theirs", "ours"))
}
