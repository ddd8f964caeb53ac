package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
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

func readResult(t *testing.T, path string) *compare.Result {
	t.Helper()
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	r := new(compare.Result)
	require.NoError(t, json.Unmarshal(raw, r))
	return r
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
		r := readResult(t, filepath.Join(dir, "figure3.json"))
		require.Len(t, r.Rows, 3, "the two requested configurations and their baseline")
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
		require.Equal(t, 1, r.Rows[0].Datagrams.ClientHello)
		require.Equal(t, 2, r.Rows[1].Datagrams.ClientHello, "a ClientHello with ML-KEM-768 takes two datagrams")
		require.Equal(t, 2, r.Rows[2].Datagrams.ClientHello)
		for _, row := range r.Rows {
			require.Greater(t, row.Datagrams.Client, row.Datagrams.ClientHello, "the client's Finished follows")
			require.Positive(t, row.Datagrams.Server)
		}
	})
	t.Run("limit", func(t *testing.T) {
		dir := t.TempDir()
		stdout, stderr, status := netbenchRuns(t, program, "compare", "figure3", "-q", "-o", dir, "--providers", "native",
			"--connections", "20", "--rounds", "2", "--limit", "1us", "--only", "X25519MLKEM768")
		require.Zero(t, status, stderr)
		require.Contains(t, stdout, "1 (fewer than 20)")
		require.Contains(t, stdout, "native X25519MLKEM768 made 1 connection in each round instead of 20")
		r := readResult(t, filepath.Join(dir, "figure3.json"))
		for _, o := range r.Outcomes {
			require.EqualValues(t, 1, o.Client.Connections)
		}
		require.Equal(t, 1, r.Rows[1].Connections)
	})
	t.Run("page only", func(t *testing.T) {
		dir := t.TempDir()
		_, stderr, status := netbenchRuns(t, program, "compare", "figure3", "-q", "-o", dir, "--providers", "native",
			"--connections", "5", "--rounds", "1", "--only", "X25519MLKEM768")
		require.Zero(t, status, stderr)
		page, err := os.ReadFile(filepath.Join(dir, "figure3.html"))
		require.NoError(t, err)
		require.NoError(t, os.Remove(filepath.Join(dir, "figure3.html")))
		_, stderr, status = netbenchRuns(t, program, "compare", "figure3", "-o", dir, "--page-only")
		require.Zero(t, status, stderr)
		again, err := os.ReadFile(filepath.Join(dir, "figure3.html"))
		require.NoError(t, err)
		require.Equal(t, string(page), string(again))

		// A study's page has the result of the study that it names, if that is in the same folder.
		r := readResult(t, filepath.Join(dir, "figure3.json"))
		r.Study.Name, r.Study.Label, r.Study.Beside = "then", "Then", "figure3"
		text, err := json.Marshal(r)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "then.json"), text, 0o600))
		_, stderr, status = netbenchRuns(t, program, "compare", "then", "-o", dir, "--page-only")
		require.Zero(t, status, stderr)
		page, err = os.ReadFile(filepath.Join(dir, "then.html"))
		require.NoError(t, err)
		require.Contains(t, string(page), "Then: native X25519 is 100 %")
		require.Contains(t, string(page), "Today&#39;s algorithms: native X25519 is 100 %")
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
		r := readResult(t, filepath.Join(dir, "custom.json"))
		require.Len(t, r.Outcomes, 2)
		for i, o := range r.Outcomes {
			require.Equal(t, i+1, o.Block)
			require.EqualValues(t, 500, o.Client.Connections)
		}
	})
	t.Run("errors are reported", func(t *testing.T) {
		for want, args := range map[string][]string{
			`unknown study "figure4"`:                           {"figure4"},
			"has no configurations":                             {"custom"},
			`is not a configuration: use NAME=FLAGS`:            {"custom", "--config", "x"},
			"no connection completed: map[tls alert":            {"custom", "--config", "x=server: --groups X25519 client: --groups P-384", "--connections", "5"},
			"needs group X25519Kyber512R3, which only variant":  {"figure3-2022"},
			"figure3.json: no such file":                        {"figure3", "--page-only"},
			`server --provider unknown: the driver ended: netb`: {"custom", "--config", "x=--provider unknown"},
		} {
			_, stderr, status := netbenchRuns(t, program, append([]string{"compare", "-q", "-o", t.TempDir()}, args...)...)
			require.NotZero(t, status, want)
			require.Contains(t, stderr, want)
		}
	})
}

// TestDropMLDSA checks that configurations are left out only for providers without ML-DSA.
func TestDropMLDSA(t *testing.T) {
	all := compare.Studies([]string{"s2n", "native"})
	i := slices.IndexFunc(all, func(s compare.Study) bool { return s.Name == "certificates" })
	study := all[i]
	require.Equal(t, []string{"native"}, dropMLDSA(&study, func(p string) bool { return p == "s2n" }))
	var names []string
	for _, c := range study.Configs {
		names = append(names, c.Name)
	}
	require.Equal(t, []string{"s2n ecdsa-p256", "s2n ecdsa-p384", "s2n rsa-2048", "s2n ml-dsa-44", "s2n ml-dsa-65", "s2n ml-dsa-87",
		"native ecdsa-p256", "native ecdsa-p384", "native rsa-2048"}, names)
	require.NoError(t, study.Validate())
	require.Empty(t, dropMLDSA(&all[i], func(string) bool { return true }))
}
