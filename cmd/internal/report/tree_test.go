package report

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// writeSampleTree makes pages of a folder as s2n-netbench's script writes it, and returns the paths.
func writeSampleTree(t *testing.T) string {
	t.Helper()
	const text = `{"pid":1,"driver":"netbench-driver-%ROLE%-s2n-quic","scenario":"x.json","start_time":{"secs_since_epoch":1,"nanos_since_epoch":2}}
{"t":0,"memory":8192000000}
{"t":1000,"cpu":50,"memory":8192000000}
{"t":2000,"cpu":60,"memory":8192000000}
`
	in, out := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{
		"ping/s2n-quic/netbench-client.json": text, "ping/s2n-quic/netbench-server.json": text,
		"a #1 %41?/tcp/client.json": text, "ping/tcp/summary.json": "{}", "ping/README": "no",
		"file.json": text,
	} {
		require.NoError(t, os.MkdirAll(filepath.Dir(in+"/"+name), 0o755))
		require.NoError(t, os.WriteFile(in+"/"+name, []byte(text), 0o600))
	}
	written, skipped, err := WriteTree(in, out, "test")
	require.NoError(t, err)
	require.Equal(t, []string{out + "/a #1 %41?/index.html", out + "/ping/index.html", out + "/index.html"}, written)
	require.Len(t, skipped, 1)
	require.Contains(t, skipped[0], "summary.json")
	return out
}

func TestTree(t *testing.T) {
	out := writeSampleTree(t)
	index, err := os.ReadFile(out + "/index.html")
	require.NoError(t, err)
	require.Contains(t, string(index), `<a href="./ping/index.html">ping</a>, 2 runs`)
	require.Contains(t, string(index), `<a href="./a%20%231%20%2541%3F/index.html">`)
	require.NotRegexp(t, `https?://|<script`, string(index))
	page, err := os.ReadFile(out + "/ping/index.html")
	require.NoError(t, err)
	require.Contains(t, string(page), "client")
	require.Contains(t, string(page), "server")
	require.Contains(t, string(page), "only CPU and memory were sampled")
	_, _, err = WriteTree(t.TempDir(), out, "test")
	require.ErrorContains(t, err, "no statistics")
}
