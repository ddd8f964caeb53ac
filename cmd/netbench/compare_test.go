package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cmd/internal/compare"
)

// netbenchRuns runs the program and returns its output and exit status.
func netbenchRuns(t *testing.T, program string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	cmd := exec.Command(program, args...)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	_ = cmd.Run()
	return out.String(), problems.String(), cmd.ProcessState.ExitCode()
}

func TestCompare(t *testing.T) {
	program := buildNetbench(t)
	t.Run("figure3, short", func(t *testing.T) {
		dir := t.TempDir()
		stdout, stderr, status := netbenchRuns(t, program, "compare", "figure3", "-o", dir, "--providers", "native",
			"--connections", "20", "--rounds", "2", "--only", "X25519MLKEM768,SecP384r1MLKEM1024")
		require.Zero(t, status, stderr)
		require.Contains(t, stdout, "native X25519MLKEM768")
		require.Contains(t, stderr, "round 2 of 2")
		for _, ext := range []string{"html", "svg", "json"} {
			require.FileExists(t, filepath.Join(dir, "figure3."+ext))
		}
		raw, err := os.ReadFile(filepath.Join(dir, "figure3.json"))
		require.NoError(t, err)
		var r compare.Result
		require.NoError(t, json.Unmarshal(raw, &r))
		require.Len(t, r.Rows, 3, "the two that were asked for, and their baseline")
		require.Len(t, r.Outcomes, 6)
		for _, o := range r.Outcomes {
			require.EqualValues(t, 20, o.Client.Connections)
			require.Equal(t, 1, o.Block)
			require.Empty(t, o.Client.Failed)
		}
		require.Equal(t, "X25519", r.Rows[0].Group)
		require.Equal(t, "X25519MLKEM768", r.Rows[1].Group)
		require.Equal(t, "SecP384r1MLKEM1024", r.Rows[2].Group)
		require.Positive(t, r.Rows[1].RelativeRate.Value)
	})
	t.Run("other studies", func(t *testing.T) {
		for _, study := range []string{"concurrent", "open-loop", "long", "lossy", "mtls"} {
			_, stderr, status := netbenchRuns(t, program, "compare", study, "-q", "-o", t.TempDir(), "--providers", "native",
				"--connections", "20", "--rounds", "1", "--only", "X25519MLKEM768")
			require.Zero(t, status, "%s: %s", study, stderr)
		}
		_, stderr, status := netbenchRuns(t, program, "compare", "certificates", "-q", "-o", t.TempDir(), "--providers", "native",
			"--connections", "5", "--rounds", "1")
		require.Zero(t, status, stderr)
	})
	t.Run("custom", func(t *testing.T) {
		stdout, stderr, status := netbenchRuns(t, program, "compare", "custom", "-q", "-o", t.TempDir(), "--connections", "5", "--rounds", "1",
			"--config", "quic=--provider native", "--config", "tls over tcp=--driver tcp")
		require.Zero(t, status, stderr)
		require.Contains(t, stdout, "tls over tcp")
	})
	t.Run("blocks", func(t *testing.T) {
		dir := t.TempDir()
		_, stderr, status := netbenchRuns(t, program, "compare", "custom", "-q", "-o", dir, "--connections", "1000", "--rounds", "1",
			"--config", "quic=--provider native")
		require.Zero(t, status, stderr)
		raw, err := os.ReadFile(filepath.Join(dir, "custom.json"))
		require.NoError(t, err)
		var r compare.Result
		require.NoError(t, json.Unmarshal(raw, &r))
		require.Len(t, r.Outcomes, 2)
		for i, o := range r.Outcomes {
			require.Equal(t, i+1, o.Block)
			require.EqualValues(t, 500, o.Client.Connections)
		}
	})
	t.Run("errors are reported", func(t *testing.T) {
		for want, args := range map[string][]string{
			`unknown study "figure4"`:                          {"figure4"},
			"has no configurations":                            {"custom"},
			`is not a configuration: use NAME=FLAGS`:           {"custom", "--config", "x"},
			"all 5 connections failed":                         {"custom", "--config", "x=server: --groups X25519 client: --groups P-384", "--connections", "5"},
			`server --provider nobody: the driver ended: netb`: {"custom", "--config", "x=--provider nobody"},
		} {
			_, stderr, status := netbenchRuns(t, program, append([]string{"compare", "-q", "-o", t.TempDir()}, args...)...)
			require.NotZero(t, status, want)
			require.Contains(t, stderr, want)
		}
	})
}
