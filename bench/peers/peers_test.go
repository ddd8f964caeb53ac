//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/pqquic/pqquic/tlsprovider/s2n"
	"github.com/stretchr/testify/require"
)

// TestMain makes this program also the driver of the stacks in Go.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == "server" || os.Args[1] == "client") {
		main()
		return
	}
	os.Exit(m.Run())
}

// testRunner returns a runner of one round that is as short as possible.
func testRunner(t *testing.T) (*runner, *bytes.Buffer) {
	self, err := os.Executable()
	require.NoError(t, err)
	rust, err := filepath.Abs(rustProgram("../../build/out/rust"))
	require.NoError(t, err)
	out := new(bytes.Buffer)
	r := &runner{rounds: 1, time: time.Millisecond, datagram: 1200, connections: 64, stacks: stackNames(), workloads: workloadNames(),
		out: out, log: t.Output(), program: func(stack string) string {
			if isRust(stack) {
				return rust
			}
			return self
		}}
	if _, err := os.Stat(rust); err != nil {
		t.Log("the stacks in Rust are not built: make bench-peers")
		r.stacks = stackNames()[:0]
		for _, stack := range stackNames() {
			if !isRust(stack) {
				r.stacks = append(r.stacks, stack)
			}
		}
	}
	return r, out
}

func TestRunsEachWorkload(t *testing.T) {
	r, out := testRunner(t)
	var missing []string
	_, linked := s2n.New()
	if errors.Is(linked, s2n.ErrNotLinked) && os.Getenv("PQQUIC_REQUIRE_LINKED") == "" {
		missing = []string{"pqquic-s2n: the server does not start: peers: " + linked.Error()}
	}
	for _, w := range workloads {
		if err := w.possible(); err != nil {
			missing = append(missing, w.name+": "+err.Error())
		}
	}
	require.NoError(t, r.run())
	require.Equal(t, missing, r.missing)
	for _, w := range workloads {
		if w.possible() != nil {
			continue
		}
		require.Contains(t, out.String(), "### "+w.name)
		var want []string
		for _, stack := range r.stacks {
			if supports(stack, w.name) && (stack != "pqquic-s2n" || linked == nil) {
				want = append(want, stack)
			}
		}
		require.ElementsMatch(t, want, slices.Collect(maps.Keys(r.results[w.name])), w.name)
		for stack, samples := range r.results[w.name] {
			require.Len(t, samples, 1)
			s := samples[0]
			if w.name == memoryWorkload { // so few connections may fit in memory that the server already has
				require.EqualValues(t, r.connections, s.amount, stack)
				require.NotZero(t, s.memory, stack)
			} else {
				require.Contains(t, out.String(), fmt.Sprintf("| %s | %.4g |", stack, w.metrics[0].value(s)))
			}
			require.GreaterOrEqual(t, s.amount, int64(1), stack)
			require.Positive(t, s.elapsed, stack)
			require.Positive(t, s.clientCPU, stack)
			require.Positive(t, s.serverCPU, stack)
			if stack != tlsTCP && w.link == nil {
				require.Positive(t, s.datagrams, stack)
			}
			if w.name == "request" {
				require.Positive(t, s.p50, stack)
				require.GreaterOrEqual(t, s.p99, s.p50, stack)
			}
		}
	}
}

// A stack that cannot be measured is reported, and the others are measured.
func TestReportsWhatIsMissing(t *testing.T) {
	r, out := testRunner(t)
	r.stacks, r.workloads = []string{"pqquic-native", "quinn", "s2n-quic-rustls", "x/net"}, []string{"request"}
	r.rustError = errors.New("cargo is not installed")
	self := r.program("x/net")
	r.program = func(stack string) string {
		return map[string]string{"pqquic-native": self, "quinn": "", "s2n-quic-rustls": self, "x/net": "/bin/false"}[stack]
	}
	require.NoError(t, r.run())
	require.Equal(t, []string{
		"quinn: its driver is not built: cargo is not installed",
		`s2n-quic-rustls: the server does not start: peers: there is no stack "s2n-quic-rustls" in Go`,
		"x/net: the server does not start: the driver ended: EOF",
	}, r.missing)
	require.Len(t, r.results["request"], 1)
	for _, text := range r.missing {
		require.Contains(t, out.String(), "* "+text+"\n")
	}
}

// The stacks of another commit are run by its driver, under the names that the driver knows.
func TestComparesWithBase(t *testing.T) {
	r, out := testRunner(t)
	r.stacks, r.workloads, r.baseCommit = []string{"pqquic-native", "pqquic-native@base"}, []string{"request", memoryWorkload}, "abcdef012"
	var asked []string
	self := r.program("pqquic-native")
	r.program = func(stack string) string {
		asked = append(asked, stack)
		return self
	}
	require.NoError(t, r.run())
	require.Empty(t, r.missing)
	require.Contains(t, asked, "pqquic-native@base")
	for _, name := range r.workloads {
		require.ElementsMatch(t, r.stacks, slices.Collect(maps.Keys(r.results[name])), name)
	}
	require.Contains(t, out.String(), "are pqquic at commit abcdef012.\n")
	ratio := r.results["request"]["pqquic-native"][0].p50.Seconds() / r.results["request"]["pqquic-native@base"][0].p50.Seconds()
	row := fmt.Sprintf(`\| pqquic-native@base \| [^|]+ \| [^|]+ \| %.2f \|`, ratio)
	require.Regexp(t, row, out.String(), "the ratio of this commit to the other")
}

// A client that fails in the middle of a run ends the measurements of its stack.
func TestReportsFailedRequest(t *testing.T) {
	r, _ := testRunner(t)
	r.stacks = []string{"pqquic-native", "quic-go"}
	r.workloads = []string{"request"}
	dir := t.TempDir()
	cert, key, err := writeCertificate(dir)
	require.NoError(t, err)
	results := r.measure(workload{name: "nonsense", least: 1, request: func(int64) string { return "nonsense" },
		metrics: requestMetrics}, r.stacks, cert, key)
	require.Empty(t, results)
	require.Equal(t, []string{
		`pqquic-native, nonsense: nonsense: unknown request "nonsense"`,
		`quic-go, nonsense: nonsense: unknown request "nonsense"`,
	}, r.missing)
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
			require.NoError(t, p.check())
		} else {
			require.EqualError(t, p.check(), test.want)
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
	want := done{amount: 3, elapsed: 4 * time.Second, p50: 5, p99: 6}
	got, err := parseDone(want.String())
	require.NoError(t, err)
	require.Equal(t, want, got)
	_, err = parseDone("done 3")
	require.ErrorContains(t, err, `the answer "done 3" is no result`)
}
