//go:build linux

package main

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// rounds returns the rounds of a stack with one metric.
func rounds(metric string, values ...float64) (out []figures) {
	for _, v := range values {
		out = append(out, figures{metric: v})
	}
	return out
}

// Runs of single workloads complete a file of results.
func TestResultsOfSeveralRuns(t *testing.T) {
	file := filepath.Join(t.TempDir(), "results.json")
	r, err := loadResults(file)
	require.NoError(t, err)
	first := &provenance{Commit: "at commit 1", Rounds: 5, Time: time.Second, Missing: []string{"quinn: not built"}}
	second := &provenance{Commit: "at commit 2", Rounds: 3, Missing: []string{"quinn: not built"}}
	r.replace("connect-1", &measured{run: first, Stacks: map[string][]figures{"quic-go": rounds(connectRate, 1, 2)}})
	r.replace("request", &measured{run: first, Stacks: map[string][]figures{"x/net": rounds(requestP50, 3)}})
	require.NoError(t, r.store(file))

	r, err = loadResults(file)
	require.NoError(t, err)
	require.Equal(t, []string{"quic-go", "x/net"}, r.stacks())
	r.replace("request", &measured{run: second, Stacks: map[string][]figures{"tls-tcp": rounds(requestP50, 4)}, Missing: []string{"x/net, request: broken"}})
	require.NoError(t, r.store(file))

	r, err = loadResults(file)
	require.NoError(t, err)
	require.Len(t, r.Runs, 2)
	require.Equal(t, []string{"connect-1"}, r.of(r.Runs[0]))
	require.Equal(t, []string{"request"}, r.of(r.Runs[1]))
	require.Equal(t, []float64{1, 2}, r.Workloads["connect-1"].values(connectRate, "quic-go"))
	require.Equal(t, []string{"quic-go", "tls-tcp"}, r.stacks())
	require.Equal(t, []string{"quinn: not built", "x/net, request: broken"}, r.missing())

	r.replace("connect-1", &measured{run: r.Runs[1]})
	require.Len(t, r.Runs, 1, "a run without a remaining result is dropped")

	require.NoError(t, os.WriteFile(file, []byte(`{"workloads": {"request": {"run": 1}}}`), 0o600))
	_, err = loadResults(file)
	require.ErrorContains(t, err, "has no run 1 of the workload request")
	require.NoError(t, os.WriteFile(file, []byte(`{"runs": [`), 0o600))
	_, err = loadResults(file)
	require.ErrorContains(t, err, "results.json has no results")
}

func TestAims(t *testing.T) {
	m := &measured{Stacks: map[string][]figures{
		"pqquic-s2n": rounds("m", 10, 20, 30), "quic-go": rounds("m", 5, 5, 5), "quinn": rounds("m", 20, 10, 20),
		"x/net": rounds("m", 1),
	}}
	both := []string{"quic-go", "quinn"}
	for _, test := range []struct {
		a     aim
		to    []string
		want  []float64
		other string
	}{
		{aim{}, nil, []float64{10, 20, 30}, ""},
		{aim{}, both, []float64{2, 4, 6}, "quic-go"},
		{aim{atLeast: true}, both, []float64{0.5, 2, 1.5}, "quinn"},
		{aim{relation: inverseOf, atLeast: true}, both, []float64{0.5, 0.25, 5. / 30}, "quic-go"},
		{aim{relation: difference}, both, []float64{5, 15, 25}, "quic-go"},
		{aim{}, []string{"x/net", "tls-tcp"}, nil, ""},
	} {
		test.a.metric = "m"
		values, other := test.a.compare(m, "pqquic-s2n", test.to)
		require.InDeltaSlice(t, test.want, values, 1e-9)
		require.Equal(t, test.other, other)
	}
	values, _ := aim{metric: "m"}.compare(nil, "pqquic-s2n", nil)
	require.Empty(t, values, "a workload that was not measured")
}

func TestVerdict(t *testing.T) {
	most, least := aim{}, aim{atLeast: true}
	require.Equal(t, "met", most.verdict(2, 1, 2))
	require.Equal(t, "open", most.verdict(2, 1, 3))
	require.Equal(t, "**not met**", most.verdict(2, 2.1, 3))
	require.Equal(t, "met", least.verdict(2, 2, 3))
	require.Equal(t, "open", least.verdict(2, 1, 2))
	require.Equal(t, "**not met**", least.verdict(2, 1, 1.9))
	require.Empty(t, most.verdict(math.NaN(), 1, 2))
}

// Each aim is about a metric of a workload, and about stacks that can carry the workload out.
func TestAimsAreMeasured(t *testing.T) {
	metrics := make(map[string]bool)
	for _, w := range workloads {
		for _, m := range w.metrics {
			metrics[w.name+m.name] = true
		}
	}
	for _, a := range aims {
		require.Contains(t, metrics, a.workload+a.metric, a.what)
		for i, target := range []*target{a.s2n, a.native} {
			if target == nil {
				continue
			}
			require.Contains(t, stackNames(), ours[i]+a.suffix)
			require.True(t, supports(ours[i]+a.suffix, a.workload), a.what)
			for _, stack := range target.to {
				require.Contains(t, stackNames(), stack)
				require.True(t, supports(stack, a.workload), "%s, %s", a.what, stack)
			}
		}
	}
}

func TestReportOfAims(t *testing.T) {
	var r results
	var out bytes.Buffer
	r.writeAims(&out)
	require.Empty(t, out.String())
	r.replace("memory", &measured{run: &provenance{}, Stacks: map[string][]figures{
		"pqquic-s2n": rounds(memoryFreed, 7, 7), "pqquic-native": rounds(memoryFreed, 13, 13)}})
	r.replace("streams-32", &measured{run: &provenance{}, Stacks: map[string][]figures{
		"pqquic-s2n": rounds(streamRate, 30, 50), "quic-go": rounds(streamRate, 20, 20)}})
	r.writeAims(&out)
	require.Equal(t, `
| aim | stack | compared with | bound | median | 95 % | |
|---|---|---|---|---|---|---|
| server memory of an idle connection, KB | pqquic-s2n |  | ≤ 8 | 7.00 | 7.00 – 7.00 | met |
| server memory of an idle connection, KB | pqquic-native |  | ≤ 12 | 13 | 13 – 13 | **not met** |
| streams/s | pqquic-s2n | quic-go | ≥ 2 | 2.00 | 1.50 – 2.50 | open |
`, out.String())
}

// The summary replaces what is between its marks, again and again.
func TestReplacesSummary(t *testing.T) {
	file := filepath.Join(t.TempDir(), "doc.md")
	other, _ := marks("another")
	summaryBegins, summaryEnds := marks("bench-peers")
	require.Equal(t, "<!-- make bench-peers: the summary begins -->\n", summaryBegins)
	text := "before\n" + other + summaryBegins + "old\n" + summaryEnds + "after\n"
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	for _, summary := range []string{"new\n", "newer\n"} {
		require.NoError(t, replaceSummary(file, "bench-peers", []byte(summary)))
		got, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, "before\n"+other+summaryBegins+summary+"\n"+summaryEnds+"after\n", string(got))
	}
	require.NoError(t, os.WriteFile(file, []byte(summaryBegins), 0o600))
	require.ErrorContains(t, replaceSummary(file, "bench-peers", nil), "has no lines")
}
