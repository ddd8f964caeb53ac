package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The study of 2022, shortened, on the variant of the C library that has its key exchanges.
func TestHistoricStudy(t *testing.T) {
	if !strings.Contains(buildTags(), "pqquic_historic") {
		t.Skip("this needs the build tag pqquic_historic")
	}
	dir := t.TempDir()
	stdout, stderr, status := netbenchRuns(t, buildNetbench(t), "compare", "figure3-2022", "-q", "-o", dir, "--connections", "20", "--rounds", "1")
	require.Zero(t, status, stderr)
	require.Contains(t, stdout, "−95 %", "the published rate of SIKE")
	r := readResult(t, filepath.Join(dir, "figure3-2022.json"))
	hello := map[string]int{"X25519": 1, "X25519Kyber512R3": 1, "X25519BIKEL1R3": 2, "X25519SIKEp434R3": 1}
	require.Len(t, r.Rows, len(hello))
	for _, row := range r.Rows {
		require.Equal(t, row.Config, "s2n "+row.Group, "the negotiated group")
		require.Equal(t, hello[row.Group], row.Datagrams.ClientHello, row.Group)
		require.Greater(t, row.Datagrams.Client, row.Datagrams.ClientHello, row.Group)
		require.Positive(t, row.Datagrams.Server, row.Group)
		require.Empty(t, row.Failed)
	}
	page, err := os.ReadFile(filepath.Join(dir, "figure3-2022.html"))
	require.NoError(t, err)
	require.Contains(t, string(page), "−37 % published")
	require.Contains(t, string(page), "run netbench compare figure3", "how to add today's algorithms")
}
