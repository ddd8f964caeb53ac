//go:build linux

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cmd/internal/report"
)

// A driver without statistics of its own is sampled. Its status is returned and its output kept separate.
func TestCollectDriverWithoutStatistics(t *testing.T) {
	file := filepath.Join(t.TempDir(), "out.json")
	status, out := netbench(t, "collect", "-s", "x.json", "-i", "50ms", "-o", file, "--", "sh", "-c", `echo "$TRACE $SCENARIO"; exit 7`)
	require.Equal(t, 7, status)
	require.Equal(t, "disabled x.json\n", out)
	in, err := report.ReadFile(file)
	require.NoError(t, err)
	require.Empty(t, in.Run.Problems)
	require.Contains(t, in.Run.Notes[len(in.Run.Notes)-1], "status 7")

	page := filepath.Join(t.TempDir(), "report.html")
	status, _ = netbench(t, "report", file, "-o", page)
	require.Zero(t, status)
	text, err := os.ReadFile(page)
	require.NoError(t, err)
	require.Contains(t, string(text), "wrote no statistics to NETBENCH_STATS_FD")

	status, _ = netbench(t, "collect", "--", "sh", "-c", "kill -9 $$")
	require.Equal(t, 137, status)
	status, _ = netbench(t, "collect", "/there/is/no/driver")
	require.Equal(t, 2, status)
	status, _ = netbench(t, "collect", "-o", "/dev/full", "true")
	require.Equal(t, 2, status, "a file that cannot be written is reported")
}

// As with s2n-netbench, lines go to standard output, and flags may follow the driver.
func TestCollectLikeS2NNetbench(t *testing.T) {
	status, out := netbench(t, "collect", "true", "-s", "a.json")
	require.Zero(t, status)
	file := filepath.Join(t.TempDir(), "out.json")
	require.NoError(t, os.WriteFile(file, []byte(out), 0o600))
	in, err := report.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "a.json", in.Run.Header.Scenario)
}

func TestReportFiles(t *testing.T) {
	dir := t.TempDir()
	file := dir + "/client.json"
	require.NoError(t, os.WriteFile(file, []byte(`{"pid":1,"driver":"netbench-driver-client-s2n-quic","scenario":"ping.json","start_time":{"secs_since_epoch":1,"nanos_since_epoch":2}}
{"t":0,"memory":8192000000}
{"t":1000,"cpu":50,"memory":8192000000}
{"t":2000,"cpu":5`), 0o600))
	status, out := netbench(t, "report", file)
	require.Zero(t, status)
	require.Contains(t, out, "<!DOCTYPE html>")
	require.Contains(t, out, "the last line (4) is cut off")
	status, _ = netbench(t, "report", file, "--vega", dir+"/v.json", "--chart", "cpu", "--svg", dir+"/c.svg", "--png", dir+"/c.png")
	require.Zero(t, status)
	for name, front := range map[string]string{"v.json": "{", "c.svg": "<?xml", "c.png": "\x89PNG"} {
		text, err := os.ReadFile(dir + "/" + name)
		require.NoError(t, err)
		require.Equal(t, front, string(text[:len(front)]), name)
	}
	for _, args := range [][]string{
		{"report"}, {"report", dir + "/none.json"}, {"report", dir + "/v.json"}, {"report", file, "--chart", "cpu"},
		{"report", file, "--svg", dir + "/x.svg"}, {"report", file, "--chart", "nonsense", "--svg", dir + "/x.svg"},
		{"report-tree", dir}, {"report-tree", dir, dir + "/out"},
	} {
		status, _ := netbench(t, args...)
		require.Equal(t, 2, status, "%q", args)
	}
	require.NoFileExists(t, dir+"/x.svg", "no incomplete file is written")
}
