package collect

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cmd/internal/stats"
)

// TestMain also acts as the driver: an environment variable selects what it does.
func TestMain(m *testing.M) {
	if as := os.Getenv("COLLECT_TEST_DRIVER"); as != "" {
		os.Exit(drivers[as]())
	}
	os.Exit(m.Run())
}

var drivers = map[string]func() int{
	"silent": func() int {
		held = append(held, touch(32<<20))
		burn(300 * time.Millisecond)
		return 3
	},
	"recording": func() int {
		r := stats.NewRecorder(descriptor(), &stats.Header{Driver: "x", Role: "client", Provenance: &stats.Provenance{Transport: "pqquic"}})
		for i := range 200 {
			r.Connected(stats.Handshake{Took: time.Duration(i+1) * time.Millisecond, Group: "X25519MLKEM768", CipherSuite: "TLS_AES_128_GCM_SHA256"})
			r.Stream(0, 0).Sent(1)
			r.Completed()
			if i == 99 {
				r.Write(false)
			}
		}
		r.Write(true)
		return 0
	},
	"late": func() int {
		burn(200 * time.Millisecond)
		r := stats.NewRecorder(descriptor(), &stats.Header{Driver: "x", Role: "server", Traces: []string{"lbl"}, Provenance: &stats.Provenance{Transport: "tcp"}})
		r.Write(true)
		return 0
	},
	"script": func() int {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), "COLLECT_TEST_DRIVER=silent")
		child.Run()
		return 0
	},
	"environment": func() int {
		fmt.Println(os.Getenv("TRACE"), os.Getenv("SCENARIO"), os.Getenv(stats.EnvFD), os.Getenv(stats.EnvInterval), os.Args[1:])
		return 0
	},
	"counting": func() int {
		w := json.NewEncoder(descriptor())
		w.Encode(stats.Header{Driver: "x", Role: "client", Traces: []string{"lbl"},
			Provenance: &stats.Provenance{Transport: "pqquic", Kernel: "as in the driver's header"}})
		for range 3 {
			burn(20 * time.Millisecond)
			w.Encode(stats.Sample{T: 1, Connections: 10, Send: map[string]stats.Stat{"0:0": {Count: 1, Total: 7}}})
		}
		fmt.Fprintln(descriptor(), "not a line of statistics")
		w.Encode(stats.Sample{T: 2, Connections: 1, Failed: map[string]int64{"timeout": 1}, Final: true,
			Provenance: &stats.Provenance{Group: "X25519MLKEM768"}})
		return 1
	},
	"waiting": func() int {
		got := make(chan os.Signal, 1)
		signal.Notify(got, syscall.SIGTERM)
		w := json.NewEncoder(descriptor())
		w.Encode(stats.Header{Driver: "x", Role: "server"})
		w.Encode(stats.Sample{T: 1}) // shows the test that the handler is in place
		<-got
		w.Encode(stats.Sample{T: 2, Connections: 5, Final: true})
		return 0
	},
	"killed": func() int {
		syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	},
	// A grandchild holds the descriptor open forever.
	"leaving": func() int {
		child := exec.Command("sleep", "600")
		child.ExtraFiles = []*os.File{descriptor()}
		if child.Start() != nil {
			return 9
		}
		fmt.Println(child.Process.Pid)
		return 0
	},
}

var held [][]byte

func touch(n int) []byte {
	b := make([]byte, n)
	for i := 0; i < n; i += 1024 {
		b[i] = 1
	}
	return b
}

// burn uses d of CPU time.
func burn(d time.Duration) {
	for end := ownCPU() + d; ownCPU() < end; {
	}
}

func descriptor() *os.File {
	fd, _ := strconv.Atoi(os.Getenv(stats.EnvFD))
	return os.NewFile(uintptr(fd), "stats")
}

// collectFrom runs one of the drivers.
func collectFrom(t *testing.T, driver string, o Options) (*stats.Run, int, string) {
	t.Helper()
	t.Setenv("COLLECT_TEST_DRIVER", driver)
	var out, stdout bytes.Buffer
	o.Program, o.Version = os.Args[0], "test"
	if o.Interval == 0 {
		o.Interval = time.Hour // samples are taken when the driver writes, and at the end
	}
	if o.Out == nil {
		o.Out = &out
	}
	o.Stdout, o.Stderr = &stdout, os.Stderr
	status, err := Run(context.Background(), o)
	require.NoError(t, err)
	run, err := stats.Read(&out)
	if o.Out != &out {
		return nil, status, stdout.String()
	}
	require.NoError(t, err)
	require.Empty(t, run.Problems)
	return run, status, stdout.String()
}

func TestSilentDriver(t *testing.T) {
	run, status, _ := collectFrom(t, "silent", Options{Interval: 50 * time.Millisecond})
	require.Equal(t, 3, status, "the driver's status is returned")
	require.Contains(t, run.Header.Collector, "test")
	require.False(t, run.FromS2N)
	require.Empty(t, run.Header.Role)
	require.NotEmpty(t, run.Header.Provenance.Kernel)
	require.InDelta(t, time.Now().Unix(), run.Header.StartTime.Secs, 600)
	require.Zero(t, run.Samples[0].T)

	var cpu, most, last int64
	for _, s := range run.Samples {
		cpu += s.CPUTime
		most = max(most, s.Memory)
		require.Less(t, s.Memory, int64(4<<30), "memory is in bytes")
		require.Greater(t, s.VirtualMemory+1, s.Memory)
		last = s.T
	}
	require.Greater(t, cpu, int64(290_000), "microseconds")
	require.Less(t, cpu, int64(30_000_000))
	require.Greater(t, most, int64(32<<20), "the driver's memory is resident")
	end := run.Samples[len(run.Samples)-1]
	require.Greater(t, end.Memory, int64(32<<20), "the last reading before the end")
	require.GreaterOrEqual(t, end.PeakMemory, int64(32<<20))
	require.Positive(t, end.CollectorCPU)
	require.GreaterOrEqual(t, last, int64(299), "the run is shorter than its CPU time on one core")
	notes := strings.Join(run.Notes, "\n")
	require.Contains(t, notes, "the driver wrote no statistics to NETBENCH_STATS_FD")
	require.Contains(t, notes, "the driver ended with status 3")
	if end.Cycles == 0 {
		require.Contains(t, notes, "cycles")
		require.Contains(t, notes, "are not counted: perf_event_open")
	}
}

// The CPU time of a script's child does not count as the script's. A note reports it.
func TestScriptAsDriver(t *testing.T) {
	run, status, _ := collectFrom(t, "script", Options{})
	require.Zero(t, status)
	var cpu int64
	for _, s := range run.Samples {
		cpu += s.CPUTime
	}
	require.Less(t, cpu, int64(250_000))
	require.Contains(t, strings.Join(run.Notes, "\n"), "the driver's child processes used")
}

func TestCountingDriver(t *testing.T) {
	file := t.TempDir() + "/scenario.json"
	require.NoError(t, os.WriteFile(file, []byte(`{"traces":["one","two"]}`), 0o600))
	run, status, _ := collectFrom(t, "counting", Options{Scenario: file})
	require.Equal(t, 1, status)
	require.Equal(t, "client", run.Header.Role)
	require.Equal(t, []string{"lbl"}, run.Header.Traces)
	p := run.Header.Provenance
	require.Equal(t, "pqquic", p.Transport)
	require.Equal(t, "as in the driver's header", p.Kernel)
	require.NotZero(t, p.CPUs, "missing fields of the driver's header are filled in")
	require.Equal(t, "X25519MLKEM768", p.Group, "the group of the late header")

	var connections, sent, failed, cpu int64
	var withBoth int
	for _, s := range run.Samples {
		connections += s.Connections
		sent += s.Send["0:0"].Total
		failed += s.Failed["timeout"]
		cpu += s.CPUTime
		if s.Connections == 10 && s.CPUTime > 10_000 {
			withBoth++
		}
	}
	require.EqualValues(t, 31, connections)
	require.EqualValues(t, 21, sent)
	require.EqualValues(t, 1, failed)
	require.Greater(t, cpu, int64(60_000))
	require.Positive(t, withBoth, "a sample covers the same interval as the driver's")
	require.Contains(t, run.Notes, "1 damaged lines of the driver were left out")
}

// The output of a driver's recorder arrives unchanged, including its histograms.
func TestRecordingDriver(t *testing.T) {
	run, status, _ := collectFrom(t, "recording", Options{})
	require.Zero(t, status)
	require.Equal(t, "X25519MLKEM768", run.Header.Provenance.Group)
	var sum stats.Sample
	for i := range run.Samples {
		sum.Merge(&run.Samples[i])
	}
	require.EqualValues(t, 200, sum.Connections)
	require.EqualValues(t, 200, sum.Completed)
	require.Equal(t, stats.Stat{Count: 200, Total: 200}, sum.Send["0:0"])
	require.EqualValues(t, 200, sum.Latency[stats.Connect].Stat.Count)
	for q, want := range map[float64]float64{0.5: 100_000, 0.9: 180_000, 0.99: 198_000} {
		got, ok := sum.Latency[stats.Connect].Quantile(q)
		require.True(t, ok)
		require.InEpsilon(t, want, got, 0.02, "percentile %v", q*100)
	}
	require.True(t, sum.Final)
}

// A driver that takes longer than an interval to start is still described in the header.
func TestLateDriver(t *testing.T) {
	run, status, _ := collectFrom(t, "late", Options{Interval: minInterval, headerPatience: time.Hour})
	require.Zero(t, status)
	require.Equal(t, "server", run.Header.Role)
	require.Equal(t, []string{"lbl"}, run.Header.Traces)
	require.Equal(t, "tcp", run.Header.Provenance.Transport)
	require.Greater(t, len(run.Samples), 1, "samples from before the header are kept")
	for i := range run.Samples[1:] {
		require.GreaterOrEqual(t, run.Samples[i+1].T, run.Samples[i].T)
	}
}

func TestScenarioTraces(t *testing.T) {
	file := t.TempDir() + "/scenario.json"
	require.NoError(t, os.WriteFile(file, []byte(`{"id":"x","traces":["one","two"]}`), 0o600))
	run, _, _ := collectFrom(t, "environment", Options{Scenario: file})
	require.Equal(t, []string{"one", "two"}, run.Header.Traces)
}

func TestEnvironment(t *testing.T) {
	run, status, out := collectFrom(t, "environment", Options{Scenario: "a.json", Args: []string{"--x", "y"}, Interval: time.Second})
	require.Zero(t, status)
	require.Equal(t, "disabled a.json 3 1s [--x y]\n", out)
	require.Equal(t, "a.json", run.Header.Scenario)
	require.Equal(t, []string{"--x", "y"}, run.Header.Provenance.Flags)
}

// After an interrupt, the collector waits for the driver to end, and its last line counts.
func TestSignalIsPassedOn(t *testing.T) {
	r, w := io.Pipe()
	status := make(chan int)
	go func() {
		_, st, _ := collectFrom(t, "waiting", Options{Out: w})
		w.Close()
		status <- st
	}()
	var text bytes.Buffer
	d := stats.NewDecoder(io.TeeReader(r, &text))
	for lines := 0; lines < 3; lines++ { // the header, the line at 0 and the driver's
		_, _, err := d.Next()
		require.NoError(t, err)
	}
	require.NoError(t, syscall.Kill(os.Getpid(), syscall.SIGTERM))
	var final int64
	for {
		_, s, err := d.Next()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		final += s.Connections
	}
	require.Zero(t, <-status)
	require.EqualValues(t, 5, final)
}

func TestKilledDriver(t *testing.T) {
	run, status, _ := collectFrom(t, "killed", Options{})
	require.Equal(t, 137, status)
	require.Contains(t, run.Notes, "the driver ended with status 137")
}

func TestGrandchildDoesNotDelayEnd(t *testing.T) {
	_, status, out := collectFrom(t, "leaving", Options{})
	require.Zero(t, status)
	pid, err := strconv.Atoi(strings.TrimSpace(out))
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
}

// The cost of a sample is counted, not timed: readings of the kernel's files, and bytes written.
func TestCostOfSample(t *testing.T) {
	var out bytes.Buffer
	c := newCollection(&Options{Program: "x", Out: &out, Interval: time.Second}, os.Getpid(), time.Now())
	defer c.process.close()
	if _, ok := c.process.perf.switches(); !ok {
		t.Log("context switches are read thread by thread here: counted for this process's threads")
	}
	threads, err := os.ReadDir("/proc/self/task")
	require.NoError(t, err)
	before := c.process.reads
	s := c.sample(time.Now())
	require.LessOrEqual(t, c.process.reads-before, 6+len(threads)+4, "readings a sample")
	c.emit(s)
	header := bytes.IndexByte(out.Bytes(), '\n')
	out.Next(header + 1)
	require.Less(t, out.Len(), 400, "bytes a sample")
	before = c.process.reads
	c.probe()
	require.Equal(t, 1, c.process.reads-before, "between samples only memory is read")
	require.LessOrEqual(t, int64(time.Second/probeInterval+time.Second/minInterval), int64(30), "wake-ups a second")
	require.Zero(t, testing.AllocsPerRun(20, func() {
		if _, ok := c.process.cpu(); !ok {
			panic("no CPU clock")
		}
	}))
}

func TestInterval(t *testing.T) {
	_, err := Run(context.Background(), Options{Program: "true", Interval: time.Millisecond})
	require.ErrorContains(t, err, "use at least")
	_, err = Run(context.Background(), Options{Program: "/there/is/no/such/driver", Interval: time.Second})
	require.Error(t, err)
}

func TestStatusSwitches(t *testing.T) {
	require.EqualValues(t, 15, statusSwitches([]byte("Name:\tvoluntary\nvoluntary_ctxt_switches:\t5\nnonvoluntary_ctxt_switches:\t10\n")))
}

func TestFailingOutput(t *testing.T) {
	t.Setenv("COLLECT_TEST_DRIVER", "environment")
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	require.NoError(t, err)
	defer full.Close()
	_, err = Run(context.Background(), Options{Program: os.Args[0], Interval: time.Second, Out: full})
	require.ErrorIs(t, err, syscall.ENOSPC)
}
