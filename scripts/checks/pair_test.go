//go:build checks

package checks

import (
	"bufio"
	"encoding/json"
	"io"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// An outcome is what pq_client reports about its connection.
type outcome struct {
	Provider, Group, Reply string
	GroupID                uint16 `json:"group_id"`
	FIPS                   bool
}

// A pair is a built pq_server and pq_client.
type pair struct {
	*shell
	server, client string
}

// buildPair builds the two programs in the shell's tree with the shell's GOFLAGS.
func (s *shell) buildPair() *pair {
	s.t.Helper()
	bin := s.t.TempDir()
	s.run("go", "build", "-o", bin+"/", "./examples/post-quantum/pq_server", "./examples/post-quantum/pq_client")
	return &pair{s.with("XDG_CACHE_HOME=" + bin), filepath.Join(bin, "pq_server"), filepath.Join(bin, "pq_client")}
}

// connect runs the server and the client with the s2n provider and returns what was negotiated. The
// arguments are the client's.
func (p *pair) connect(args ...string) (o outcome) {
	t := p.t
	t.Helper()
	server := p.command(p.server, "--listen", "127.0.0.1:0", "--provider", "s2n")
	stderr, err := server.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, server.Start())
	defer func() {
		_ = server.Process.Signal(syscall.SIGTERM)
		_ = server.Wait()
	}()
	client := p.command(append([]string{p.client, "--connect", readyAddr(t, stderr), "--json", "--provider", "s2n"}, args...)...)
	var errText strings.Builder
	client.Stderr = &errText
	out, err := client.Output()
	require.NoError(t, err, errText.String())
	require.NoError(t, json.Unmarshal(out, &o), "%s", out)
	require.Equal(t, "s2n", o.Provider)
	require.NotEmpty(t, o.Reply)
	return o
}

// readyAddr reads a server's log up to the line with its address and discards the rest.
func readyAddr(t *testing.T, log io.Reader) string {
	t.Helper()
	var before []string
	for lines := bufio.NewScanner(log); lines.Scan(); before = append(before, lines.Text()) {
		if _, after, ok := strings.Cut(lines.Text(), "ready on "); ok {
			go func() { _, _ = io.Copy(io.Discard, log) }()
			return strings.Fields(after)[0]
		}
	}
	require.Fail(t, "the server did not start", strings.Join(before, "\n"))
	return ""
}
