package report

import (
	"math"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cmd/internal/stats"
)

// luminance is the relative luminance of WCAG 2.
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	if len(hex) == 3 {
		hex = string([]byte{hex[0], hex[0], hex[1], hex[1], hex[2], hex[2]})
	}
	require.Len(t, hex, 6)
	var sum float64
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
		require.NoError(t, err)
		v := float64(n) / 255
		if v <= 0.04045 {
			v /= 12.92
		} else {
			v = math.Pow((v+0.055)/1.055, 2.4)
		}
		sum += weight * v
	}
	return sum
}

func run(samples ...stats.Sample) Input {
	return Input{"x.json", &stats.Run{Header: stats.Header{Driver: "d", Collector: "c"}, Samples: samples}}
}

// Values are per second, whatever the interval. An interval shorter than half of it joins the one before.
func TestRates(t *testing.T) {
	s := makeSeries([]Input{run(
		stats.Sample{T: 0, Memory: 5}, stats.Sample{T: 500, CPUTime: 250_000},
		stats.Sample{T: 1000, Connections: 100, CPUTime: 100_000}, stats.Sample{T: 1500, Connections: 200, CPUTime: 200_000},
		stats.Sample{T: 1600, Connections: 60, CPUTime: 50_000}, stats.Sample{T: 2100, CPUTime: 1})})[0]
	xs, ys := metrics[0].values(s.active)
	require.Equal(t, []float64{1, 1.6}, xs)
	require.InDelta(t, 200, ys[0], 1e-9)
	require.InDelta(t, 260/0.6, ys[1], 1e-9)
	in, n := metrics[0].estimate(s)
	require.Equal(t, 2, n)
	require.InDelta(t, 360/1.1, in.Value, 1e-9)
	cpu, _ := metrics[3].estimate(s)
	require.InDelta(t, 0.35/360, cpu.Value, 1e-12, "seconds per connection, in the time with connections")
}

// s2n-netbench's files count too few connections, but have all the times that they took.
func TestConnectionsOfS2NNetbench(t *testing.T) {
	in := theirs(t, "x.json")
	s := makeSeries([]Input{in})[0]
	rate, n := metrics[0].estimate(s)
	require.Equal(t, 19, n)
	require.InDelta(t, 710, rate.Value, 1)
	require.Equal(t, "client-s2n-quic", s.Label)
	require.False(t, s.sampledOnly())
	_, ys := metrics[2].values(s.all)
	require.InDelta(t, 0.615, ys[0], 1e-9, "cores, converted from a percentage")
}

func TestLabelsAreDistinct(t *testing.T) {
	var inputs []Input
	for _, name := range []string{"a/x.json", "b/x.json", "c/y.json"} {
		inputs = append(inputs, Input{name, &stats.Run{Header: stats.Header{Driver: "p/netbench-driver-client-s2n-quic"}}})
	}
	require.Equal(t, []string{"client-s2n-quic (x.json) #1", "client-s2n-quic (x.json) #2", "client-s2n-quic (y.json)"}, makeLabels(inputs))
}

func TestSI(t *testing.T) {
	for want, v := range map[string]float64{"0 s": 0, "1.23 ms": 0.00123, "999 µs": 0.000999, "1 ms": 0.0009999, "12.3 ns": 12.3e-9, "1 s": 1, "150 s": 150} {
		require.Equal(t, want, si(v, "s"))
	}
	require.Equal(t, "12.3 MB", si(12_340_000, "B"))
	require.Equal(t, "0.85 cores", si(0.85, "cores"))
	require.Equal(t, "7.2 k/s", si(7200, "/s"))
	require.Equal(t, "690 to 719 /s", between(690, 719, "/s"))
	require.Equal(t, "998 µs to 1.02 ms", between(0.000998, 0.00102, "s"))
}

func TestTicks(t *testing.T) {
	require.Equal(t, []float64{0, 200, 400, 600, 800}, Ticks(760))
	require.Equal(t, []float64{0, 0.2, 0.4, 0.6000000000000001, 0.8, 1}, Ticks(0.9))
	require.NotEmpty(t, Ticks(math.Inf(1)))
}

// No percentile beyond the number of values is shown: a hundred values have no thousandth.
func TestPercentilesEndWithTheValues(t *testing.T) {
	in := run(stats.Sample{T: 1, Latency: map[string]*stats.Profile{"connect": {Stat: stats.Stat{Count: 100, Total: 5000}, Buckets: []stats.Bucket{{Lower: 0, Upper: 100, Count: 100}}}}})
	all := makeSeries([]Input{in})
	ls := latencies(all)
	require.Len(t, ls, 1)
	f := ls[0].figure(all)
	last := len(f.Lines[0].xs) - 1
	require.InDelta(t, 2, f.Lines[0].xs[last], 0.06)
	require.InDelta(t, 99e-6, f.Lines[0].ys[last], 1e-6)
}
