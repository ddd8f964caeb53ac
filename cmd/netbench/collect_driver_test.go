//go:build linux

package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cmd/internal/report"
	"github.com/pqquic/pqquic/cmd/internal/stats"
)

// collected is the output of a collector and the sum of its samples.
func collected(t *testing.T, file string) (*stats.Run, *stats.Sample) {
	t.Helper()
	in, err := report.ReadFile(file)
	require.NoError(t, err)
	require.Empty(t, in.Run.Problems)
	require.False(t, in.Run.FromS2N)
	sum := new(stats.Sample)
	for i := range in.Run.Samples {
		s := &in.Run.Samples[i]
		sum.Merge(s)
		sum.CPUTime += s.CPUTime
	}
	return in.Run, sum
}

// Client and server of a scenario, each under a collector, and the page for both.
func TestCollectDrivers(t *testing.T) {
	const n = 40
	program := buildNetbench(t)
	dir := t.TempDir()
	status, _ := netbench(t, "scenarios", dir, "--request_response.connections", "40", "--request_response.request_size", "10",
		"--request_response.response_size", "20KB")
	require.Zero(t, status)
	scenario := filepath.Join(dir, "request_response.json")
	for _, driver := range append(providers(), "tcp") {
		t.Run(driver, func(t *testing.T) {
			flag := []string{"--provider", driver}
			if driver == "tcp" {
				flag = []string{"--driver", driver}
			}
			out := t.TempDir()
			args := func(side string, flags ...string) []string {
				collect := []string{"collect", "-s", scenario, "-i", "50ms", "-o", out + "/" + side + ".json", "--", program, side}
				return slices.Concat(collect, flag, flags)
			}
			s := start(t, nil, program, args("server", "--ip", "127.0.0.1", "--port", "0")...)
			addr := s.await(t, "netbench: ready on ")
			c := start(t, []string{"SERVER_0=" + addr}, program, args("client", "--summary")...)
			require.Zero(t, c.end(), "%s", &c.problems)
			// The signal is forwarded to the driver, which ends as it does without a collector.
			require.NoError(t, s.Process.Signal(syscall.SIGTERM))
			require.Zero(t, s.end(), "%s", &s.problems)
			require.EqualValues(t, n, c.summary(t).Connections)

			for _, side := range []string{"client", "server"} {
				run, sum := collected(t, out+"/"+side+".json")
				h := run.Header
				require.Equal(t, side, h.Role)
				require.Equal(t, program, h.Driver)
				require.Equal(t, scenario, h.Scenario)
				require.Equal(t, []string{"lbl", "request", "response"}, h.Traces)
				require.Contains(t, h.Collector, "netbench collect")
				require.NotZero(t, h.PID)
				p := h.Provenance
				require.Equal(t, "X25519MLKEM768", p.Group)
				require.True(t, strings.HasPrefix(p.CipherSuite, "TLS_"), p.CipherSuite)
				require.Equal(t, "ecdsa-p256", p.Certificate)
				require.Contains(t, p.Flags, driver)
				for name, v := range map[string]string{"version": p.Version, "go": p.Go, "os": p.OS, "kernel": p.Kernel, "transport": p.Transport,
					"provider": p.Provider, "library": p.Library} {
					require.NotEmpty(t, v, name)
				}

				require.True(t, sum.Final)
				require.Empty(t, sum.Failed)
				require.EqualValues(t, n, sum.Connections)
				require.EqualValues(t, n, sum.Completed)
				require.EqualValues(t, n, sum.ConnectTime.Count)
				require.Positive(t, sum.ConnectTime.Total)
				require.EqualValues(t, n, sum.Latency[stats.Connect].Stat.Count)
				request, response := stats.Stat{Count: n, Total: n * 10}, int64(n*20_000)
				if side == "client" {
					require.Zero(t, sum.Accept)
					require.Equal(t, request, sum.Send["0:0"])
					require.Equal(t, response, sum.Receive["0:0"].Total)
					require.EqualValues(t, n, sum.Latency[stats.FirstByte].Stat.Count)
					require.EqualValues(t, n, sum.Latency[stats.Request].Stat.Count)
				} else {
					require.EqualValues(t, n, sum.Accept)
					require.Equal(t, int64(n*10), sum.Receive["0:0"].Total)
					require.Equal(t, response, sum.Send["0:0"].Total)
				}
				for trace := range h.Traces {
					require.EqualValues(t, n, sum.Profiles[string(rune('0'+trace))].Stat.Count)
				}
				require.Positive(t, sum.CPUTime)
				last := run.Samples[len(run.Samples)-1]
				require.Greater(t, last.PeakMemory, int64(1<<20))
				require.Less(t, last.PeakMemory, int64(1<<30), "memory is in bytes")
				require.Positive(t, last.Memory)
			}
			status, _ := netbench(t, "report", out+"/client.json", out+"/server.json", "-o", out+"/report.html")
			require.Zero(t, status)
			page, err := os.ReadFile(out + "/report.html")
			require.NoError(t, err)
			require.Contains(t, string(page), "X25519MLKEM768")
		})
	}
}

// The driver's exit status becomes the collector's, and the failures are in its lines.
func TestCollectPassesTheStatusOn(t *testing.T) {
	program, scenario := buildNetbench(t), connectScenario(t, "3")
	out := filepath.Join(t.TempDir(), "client.json")
	c := start(t, []string{"SERVER_0=" + refusing}, program, "collect", "-o", out, "--", program, "client", "--driver", "tcp", scenario)
	require.Equal(t, 1, c.end())
	require.Contains(t, c.problems.String(), "3 connections failed: 3 refused")
	_, sum := collected(t, out)
	require.Equal(t, map[string]int64{"refused": 3}, sum.Failed)
	require.Zero(t, sum.Completed)

	c = start(t, nil, program, "collect", "-o", out, "--", program, "client", "--nonsense", scenario)
	require.Equal(t, 2, c.end())
	require.Contains(t, c.problems.String(), "unknown flag: --nonsense")
}
