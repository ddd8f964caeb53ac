//go:build linux

package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pqquic/pqquic/tlsprovider/s2n"
	"github.com/stretchr/testify/require"
)

// TestMain makes this program also the driver of the stacks in Go.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && roles[os.Args[1]] != nil {
		main()
		return
	}
	flag.Parse()
	// Workloads over a link wait most of the time.
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// testRunner returns a runner of one round that is as short as possible.
func testRunner(t *testing.T) *runner {
	self, err := os.Executable()
	require.NoError(t, err)
	built := func(program, what string) string {
		program, err := filepath.Abs(program)
		require.NoError(t, err)
		if _, err := os.Stat(program); err != nil {
			t.Log(what, "not built: make bench-h3")
			return ""
		}
		return program
	}
	rust := built(rustProgram("../../build/out/rust"), "the stacks in Rust are")
	quicheDriver := built(quicheProgram("../../build/out/rust"), "the driver of quiche is")
	r := &runner{rounds: 1, time: time.Millisecond, datagram: 1200, connections: 64, log: t.Output(),
		program: func(stack string) string {
			switch {
			case stack == quiche:
				return quicheDriver
			case isRust(stack):
				return rust
			default:
				return self
			}
		}}
	for _, stack := range stackNames() {
		if r.program(stack) != "" {
			r.stacks = append(r.stacks, stack)
		}
	}
	return r
}

// report returns what a run prints.
func (r *runner) report() string {
	var out bytes.Buffer
	r.results.writeSummary(&out)
	r.results.writeTables(&out)
	return out.String()
}

// Each stack carries out each workload that it can, and the report has all metrics.
func TestRunsEachWorkload(t *testing.T) {
	shared := testRunner(t)
	var err error
	shared.cert, shared.key, err = writeCertificate(t.TempDir())
	require.NoError(t, err)
	current := &provenance{Buffers: make(map[string]string)}
	usable := shared.usable(current)
	var missing []string
	if _, linked := s2n.New(); errors.Is(linked, s2n.ErrNotLinked) && os.Getenv("PQQUIC_REQUIRE_LINKED") == "" {
		for _, stack := range []string{"pqquic-s2n", "pqquic-s2n-bbr"} {
			missing = append(missing, stack+": the server does not start: peers: "+linked.Error())
		}
	}
	require.Equal(t, missing, current.Missing)
	for _, w := range workloads {
		t.Run(w.name, func(t *testing.T) {
			// Not in parallel: raw-floor retransmits nothing.
			r := *shared
			r.log, r.results = t.Output(), results{}
			if err := w.possible(); err != nil {
				t.Skip(err)
			}
			m := r.measure(w, usable, current)
			r.results.replace(w.name, m)
			require.Empty(t, m.Missing)
			var want []string
			for _, stack := range usable {
				if supports(stack, w.name) {
					want = append(want, stack)
				}
			}
			require.ElementsMatch(t, want, slices.Collect(maps.Keys(m.Stacks)))
			report := r.report()
			for _, metric := range w.metrics {
				measured := 0
				for stack := range m.Stacks {
					values := m.values(metric.name, stack)
					measured += len(values)
					for _, v := range values {
						require.False(t, math.IsNaN(v) || math.IsInf(v, 0), "%s: %s", stack, metric.name)
						if !metric.signed && !strings.HasSuffix(w.name, "memory") { // few connections fit in memory that the server has
							require.Positive(t, v, "%s: %s", stack, metric.name)
						}
						require.Contains(t, report, fmt.Sprintf("\n| %s | %s | ", stack, figure(v)))
					}
				}
				require.Positive(t, measured, metric.name)
			}
		})
	}
}

// A stack that cannot be measured is reported, and the others are measured.
func TestReportsWhatIsMissing(t *testing.T) {
	r := testRunner(t)
	r.stacks, r.workloads = []string{"pqquic-native", "quinn", "s2n-quic-rustls", quiche, "x/net"}, []string{"request"}
	r.rustError, r.quicheError = errors.New("cargo is not installed"), errors.New("cmake is not installed")
	self := r.program("x/net")
	r.program = func(stack string) string {
		return map[string]string{"pqquic-native": self, "quinn": "", quiche: "", "s2n-quic-rustls": self, "x/net": "/bin/false"}[stack]
	}
	require.NoError(t, r.run())
	missing := []string{
		"quinn: its driver is not built: cargo is not installed",
		`s2n-quic-rustls: the server does not start: peers: there is no stack "s2n-quic-rustls" in Go`,
		"quiche: its driver is not built: cmake is not installed",
		"x/net: the server does not start: the driver ended: EOF",
	}
	require.Equal(t, missing, r.results.missing())
	require.Len(t, r.results.Workloads["request"].Stacks, 1)
	for _, text := range missing {
		require.Contains(t, r.report(), "* "+text+"\n")
	}
}

// The stacks of another commit are run by its driver, under the names that the driver knows.
func TestComparesWithBase(t *testing.T) {
	r := testRunner(t)
	r.stacks, r.workloads, r.baseCommit = []string{"pqquic-native", "pqquic-native@base"}, []string{"request", "memory"}, "abcdef012"
	var asked []string
	self := r.program("pqquic-native")
	r.program = func(stack string) string {
		asked = append(asked, stack)
		return self
	}
	require.NoError(t, r.run())
	require.Empty(t, r.results.missing())
	require.Contains(t, asked, "pqquic-native@base")
	for _, name := range r.workloads {
		require.ElementsMatch(t, r.stacks, slices.Collect(maps.Keys(r.results.Workloads[name].Stacks)), name)
	}
	report := r.report()
	require.Contains(t, report, "are pqquic at commit abcdef012.\n")
	m := r.results.Workloads["request"]
	ratio := m.values(requestP50, "pqquic-native")[0] / m.values(requestP50, "pqquic-native@base")[0]
	row := fmt.Sprintf(`\| pqquic-native@base \| [^|]+ \| [^|]+ \| %.2f \|`, ratio)
	require.Regexp(t, row, report, "the ratio of this commit to the other")
}

// A client that fails in the middle of a run ends the measurements of its stack.
func TestReportsFailedRequest(t *testing.T) {
	r := testRunner(t)
	var err error
	r.cert, r.key, err = writeCertificate(t.TempDir())
	require.NoError(t, err)
	nonsense := steady{least: 1, request: func(int64) string { return "nonsense" }}
	stacks := []string{"pqquic-native", "quic-go"}
	m := r.measure(workload{name: "nonsense", metrics: bulkMetrics, open: nonsense.open}, stacks, nil)
	require.Empty(t, m.Stacks)
	require.Equal(t, []string{
		`pqquic-native, nonsense: nonsense: unknown request "nonsense"`,
		`quic-go, nonsense: nonsense: unknown request "nonsense"`,
	}, m.Missing)
	failing := func(*runner, string) (*session, error) {
		return fresh(func(round int) (figures, error) {
			if round == 1 {
				return nil, errors.New("broken")
			}
			return figures{bulkRate: 1}, nil
		}), nil
	}
	r.rounds = 3
	m = r.measure(workload{name: "late", metrics: bulkMetrics, open: failing}, stacks[:1], nil)
	require.Empty(t, m.Stacks)
	require.Equal(t, []string{"pqquic-native, late: broken"}, m.Missing)
}

func TestRefusesOtherNegotiations(t *testing.T) {
	for _, test := range []struct{ group, suite, want string }{
		{wantGroup, wantSuite, ""},
		{"X25519", wantSuite, `it negotiated the group "X25519" instead of X25519MLKEM768`},
		{"", wantSuite, `it negotiated the group "" instead of X25519MLKEM768`},
		{wantGroup, "TLS_AES_256_GCM_SHA384",
			`it negotiated the cipher suite "TLS_AES_256_GCM_SHA384" instead of TLS_AES_128_GCM_SHA256`},
	} {
		p := &pair{client: &process{ready: parsePairs("ready group=" + test.group + " suite=" + test.suite)}}
		if test.want == "" {
			require.NoError(t, p.check(wantGroup))
		} else {
			require.EqualError(t, p.check(wantGroup), test.want)
		}
	}
}

func TestMedianAndInterval(t *testing.T) {
	require.Equal(t, 2.0, median([]float64{3, 1, 2}))
	require.Equal(t, 2.5, median([]float64{4, 1, 2, 3}))
	low, high := interval([]float64{7})
	require.Equal(t, [2]float64{7, 7}, [2]float64{low, high})
	values := []float64{10, 10, 10, 10, 10, 10, 10, 10, 100}
	low, high = interval(values)
	require.Equal(t, [2]float64{10, 10}, [2]float64{low, high}, "one outlier of nine does not move the interval")
	values = []float64{1, 2, 3, 4, 5, 6, 7, 8, 9}
	low, high = interval(values)
	require.True(t, 1 < low && low < 5 && 5 < high && high < 9, "%v – %v", low, high)
}

func TestChoose(t *testing.T) {
	all := []string{"a", "b", "c"}
	got, err := choose("stack", all, "")
	require.NoError(t, err)
	require.Equal(t, all, got)
	got, err = choose("stack", all, "c, a")
	require.NoError(t, err)
	require.Equal(t, []string{"a", "c"}, got)
	got, err = choose("stack", all, "-a, -b")
	require.NoError(t, err)
	require.Equal(t, []string{"c"}, got)
	got, err = choose("stack", []string{"ab", "ac", "b"}, "-a*")
	require.NoError(t, err)
	require.Equal(t, []string{"b"}, got)
	got, err = choose("stack", []string{"ab", "ac", "b"}, "a*, b")
	require.NoError(t, err)
	require.Equal(t, []string{"ab", "ac", "b"}, got)
	_, err = choose("stack", all, "d*")
	require.EqualError(t, err, `there is no stack "d*"; known are a, b, c`)
	_, err = choose("stack", all, "a,d")
	require.EqualError(t, err, `there is no stack "d"; known are a, b, c`)
}

func TestResidentMemory(t *testing.T) {
	const size = 64 << 20
	before := processMemory()
	require.Positive(t, before.freed)
	block := make([]byte, size)
	for i := 0; i < size; i += 4096 {
		block[i] = 1
	}
	held := processMemory()
	require.Greater(t, held.freed-before.freed, int64(size/2), "memory in use is not returned")
	runtime.KeepAlive(block)
	block = nil
	freed := processMemory()
	require.Less(t, freed.freed-before.freed, int64(size/2), "memory that is not in use is returned")
}

func TestDoneLine(t *testing.T) {
	want := done{amount: 3, elapsed: 4 * time.Second, p50: 5, p99: 6, failed: 7, late: 8, refused: 9}
	got, err := parseDone(want.String())
	require.NoError(t, err)
	require.Equal(t, want, got)
	_, err = parseDone("done 3")
	require.ErrorContains(t, err, `the answer "done 3" is no result`)
}
