package recovery

import (
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	updateCurves = flag.Bool("update-curves", false, "write testdata/curves.txt")
	plotCurves   = flag.String("plot-curves", "", "write the curves as SVG into this folder")
)

// A situation is one in which the controllers differ.
type situation struct {
	name string
	link link
	want func(time.Duration) int
	took time.Duration
}

// situations are the classic ones. Random losses are those of a generator with a fixed seed.
func situations() []situation {
	usual := link{rtt: 50 * ms, rate: 20 * mbit, queue: 125_000}
	with := func(set func(*link)) link {
		l := usual
		set(&l)
		return l
	}
	const at = 1500 // the packet that is lost
	return []situation{
		{"slow start", usual, nil, 2 * time.Second},
		{"one loss", with(func(l *link) { l.queue = 0; l.drop = func(n int) bool { return n == at } }), nil, 4 * time.Second},
		{"two losses", with(func(l *link) { l.queue = 0; l.drop = func(n int) bool { return n == at || n == at+20 } }),
			nil, 4 * time.Second},
		{"application-limited", usual, onAndOff(5*mbit, 20*mbit), 6 * time.Second},
		{"bufferbloat", with(func(l *link) { l.queue = 2_500_000 }), nil, 10 * time.Second},
		{"satellite of 600 ms", with(func(l *link) { l.rtt, l.queue = 600*ms, 1_500_000 }), nil, 20 * time.Second},
		{"random loss of 1 %", with(func(l *link) { l.drop = randomly(1) }), nil, 10 * time.Second},
		{"policer", with(func(l *link) { l.rate, l.policy, l.burst = 100*mbit, 20*mbit, 100_000 }), nil, 10 * time.Second},
	}
}

// onAndOff writes at a low rate for two seconds, then at a high one, and so on.
func onAndOff(low, high int) func(time.Duration) int {
	return func(d time.Duration) int {
		n, rate := 0, low
		for ; d > 2*time.Second; d -= 2 * time.Second {
			n += 2 * rate
			rate = low + high - rate
		}
		return n + int(int64(rate)*int64(d)/int64(time.Second))
	}
}

// randomly drops a share of the packets, in percent.
func randomly(percent uint32) func(int) bool {
	state := uint32(1)
	return func(int) bool {
		state = state*1664525 + 1013904223
		return state>>16%100 < percent
	}
}

// A point is the state of a path at a time.
type point struct {
	at               time.Duration
	window, inFlight int
	rtt              time.Duration
}

// points is the number of points of a curve.
const points = 50

// curve runs a controller in a situation.
func curve(t *testing.T, s *situation, newController func() Controller) (out []point) {
	r := newRoute(t, newController, s.link)
	r.want = s.want
	for i := range points {
		r.step(s.took / points)
		p, rtt := r.l.active, time.Duration(0)
		if p.rtt.Sampled {
			rtt = p.rtt.Smoothed
		}
		out = append(out, point{s.took * time.Duration(i+1) / points, p.out.Window, p.bytesInFlight, rtt})
	}
	require.NoError(t, r.l.CheckInvariants())
	return out
}

var curveControllers = []struct {
	name, colour string
	make         func() Controller
}{
	{"NewReno", "#888888", NewReno}, {"CUBIC", "#1f77b4", NewCubic}, {"BBR", "#d62728", NewBBR},
}

// TestCurves compares how the congestion window, the bytes in flight and the round-trip time of each controller develop
// with testdata/curves.txt. -update-curves accepts a change. `make curves` plots them.
func TestCurves(t *testing.T) {
	var table strings.Builder
	table.WriteString("time in ms, window and bytes in flight in KB, smoothed round-trip time in ms\n")
	for i, s := range situations() {
		var curves [][]point
		for _, c := range curveControllers {
			again := situations()[i] // with the same random losses for each controller
			ps := curve(t, &again, c.make)
			curves = append(curves, ps)
			fmt.Fprintf(&table, "\n%s, %s\n", s.name, c.name)
			for _, p := range ps {
				fmt.Fprintf(&table, "%5d %7.1f %7.1f %6.1f\n", p.at/ms, float64(p.window)/1000, float64(p.inFlight)/1000,
					float64(p.rtt)/float64(ms))
			}
		}
		if *plotCurves != "" {
			file := filepath.Join(*plotCurves, strings.NewReplacer(" ", "-", "%", "percent").Replace(s.name)+".svg")
			require.NoError(t, os.MkdirAll(*plotCurves, 0o755))
			require.NoError(t, os.WriteFile(file, []byte(plot(&s, curves)), 0o644))
		}
	}
	const file = "testdata/curves.txt"
	if *updateCurves {
		require.NoError(t, os.WriteFile(file, []byte(table.String()), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	got := table.String()
	wantLines, gotLines := strings.Split(string(want), "\n"), strings.Split(got, "\n")
	for i := range min(len(wantLines), len(gotLines)) {
		require.Equal(t, wantLines[i], gotLines[i], "line %d of %s; -update-curves accepts the change", i+1, file)
	}
	require.Equal(t, len(wantLines), len(gotLines))
}

// plot draws the curves of a situation, one diagram above the other.
func plot(s *situation, curves [][]point) string {
	const width, height, left, top = 640, 150, 70, 40
	panels := []struct {
		title string
		value func(point) float64
	}{
		{"congestion window, KB", func(p point) float64 { return float64(p.window) / 1000 }},
		{"bytes in flight, KB", func(p point) float64 { return float64(p.inFlight) / 1000 }},
		{"smoothed round-trip time, ms", func(p point) float64 { return float64(p.rtt) / float64(ms) }},
	}
	var b strings.Builder
	total := top + len(panels)*(height+40) + 20
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n",
		left+width+20, total)
	b.WriteString(`<rect width="100%" height="100%" fill="white"/>` + "\n")
	fmt.Fprintf(&b, `<text x="%d" y="20" font-size="15">%s</text>`+"\n", left, s.name)
	for i, c := range curveControllers {
		fmt.Fprintf(&b, `<text x="%d" y="20" fill="%s">%s</text>`+"\n", left+width-220+80*i, c.colour, c.name)
	}
	for i, panel := range panels {
		y := top + i*(height+40) + 15
		most := 1.0
		for _, ps := range curves {
			for _, p := range ps {
				most = math.Max(most, panel.value(p))
			}
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d">%s</text><text x="%d" y="%d" text-anchor="end">%.0f</text>`+
			`<text x="%d" y="%d" text-anchor="end">0</text>`+"\n", left, y-4, panel.title, left-6, y+10, most, left-6, y+height)
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d" fill="none" stroke="#cccccc"/>`+"\n", left, y, width, height)
		for j, ps := range curves {
			fmt.Fprintf(&b, `<polyline fill="none" stroke-width="1.5" stroke="%s" points="`, curveControllers[j].colour)
			for _, p := range ps {
				fmt.Fprintf(&b, "%.1f,%.1f ", left+width*p.at.Seconds()/s.took.Seconds(),
					float64(y+height)-height*panel.value(p)/most)
			}
			b.WriteString(`"/>` + "\n")
		}
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%v</text>`+"\n</svg>\n", left+width, total-8, s.took)
	return b.String()
}
