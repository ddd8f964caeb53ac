package peers

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cmd/internal/stats"
)

// build builds netbench and the drivers into one folder.
func build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, pkg := range []string{"github.com/pqquic/pqquic/cmd/netbench", "./netbench-driver-quic-go", "./netbench-driver-xnet"} {
		out, err := exec.Command("go", "build", "-o", dir, pkg).CombinedOutput()
		require.NoError(t, err, string(out))
	}
	return dir
}

// rustDrivers are the stacks of the crate in bench/peers/rust.
var rustDrivers = []string{"s2n-quic", "s2n-quic-rustls", "quinn"}

// linkRust adds the drivers in Rust to the folder and returns their names. They are missing if cargo has not built
// them.
func linkRust(t *testing.T, dir string) []string {
	t.Helper()
	program, err := filepath.Abs("../../build/out/rust/release/peers-driver")
	require.NoError(t, err)
	if _, err := os.Stat(program); err != nil {
		t.Log("the drivers in Rust are not built: make netbench-peers")
		return nil
	}
	for _, stack := range rustDrivers {
		require.NoError(t, os.Symlink(program, filepath.Join(dir, "netbench-driver-"+stack)))
	}
	return rustDrivers
}

// begin starts a server and returns its address and the rest of its standard error.
func begin(t *testing.T, program string, args ...string) (c *exec.Cmd, addr string, rest io.Reader) {
	t.Helper()
	c = exec.Command(program, args...)
	r, err := c.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		require.NoError(t, err, "the server did not start: %s", line)
		if addr, ok := strings.CutPrefix(line, "netbench: ready on "); ok {
			return c, strings.TrimSpace(addr), lines
		}
	}
}

// serve starts a server and returns its address. The server must end without errors.
func serve(t *testing.T, program, file string, flags ...string) string {
	t.Helper()
	c, addr, rest := begin(t, program, append([]string{"server", "--ip", "127.0.0.1", "--port", "0", "--verify", "--trace", "disabled"}, append(flags, file)...)...)
	read := make(chan string)
	go func() {
		b, _ := io.ReadAll(rest) // as much as there is
		read <- string(b)
	}()
	t.Cleanup(func() {
		require.NoError(t, c.Process.Signal(syscall.SIGTERM))
		stderr := <-read
		require.NoError(t, c.Wait())
		require.Empty(t, stderr, "standard error of the server")
	})
	return addr
}

// client runs a client and returns its summary, standard error and exit status.
func client(t *testing.T, program, file, addr string, flags ...string) (sum stats.Summary, problems string, status int) {
	t.Helper()
	c := exec.Command(program, append([]string{"client", "--summary", "--verify", "--trace", "disabled"}, append(flags, file)...)...)
	c.Env = append(os.Environ(), "SERVER_0="+addr)
	var out, stderr bytes.Buffer
	c.Stdout, c.Stderr = &out, &stderr
	err := c.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		status = exit.ExitCode()
	} else {
		require.NoError(t, err)
	}
	if status < 2 {
		require.NoError(t, json.Unmarshal(out.Bytes(), &sum), stderr.String())
	}
	return sum, stderr.String(), status
}

// Each driver's client runs against each driver's server.
func TestDriversWithOneAnother(t *testing.T) {
	dir := build(t)
	out, err := exec.Command(filepath.Join(dir, "netbench"), "scenarios", dir, "--connect.connections", "5",
		"--request_response.response_size", "300KB", "--request_response.count", "3", "--request_response.parallel",
		"--request_response.connections", "3").CombinedOutput()
	require.NoError(t, err, string(out))
	netbench := filepath.Join(dir, "netbench")
	drivers := append([]string{"pqquic", "quic-go", "xnet"}, linkRust(t, dir)...)
	for _, server := range drivers {
		for _, name := range []string{"connect", "request_response"} {
			t.Run(server+" serves "+name, func(t *testing.T) {
				file := filepath.Join(dir, name+".json")
				addr := serve(t, netbench, file, "--driver", server)
				for _, c := range drivers {
					sum, problems, status := client(t, netbench, file, addr, "--driver="+c)
					require.Zero(t, status, "%s: %s", c, problems)
					require.EqualValues(t, map[string]int64{"connect": 5, "request_response": 3}[name], sum.Connections, c)
					require.Equal(t, c, sum.Provenance.Transport)
					require.Equal(t, "X25519MLKEM768", sum.Provenance.Group, c)
				}
			})
		}
	}
}

// A driver in Rust refuses what it does not support, and counts the connections that fail.
func TestExitStatusOfDriversInRust(t *testing.T) {
	dir := build(t)
	names := linkRust(t, dir)
	if names == nil {
		t.Skip("the drivers in Rust are not built: make netbench-peers")
	}
	netbench := filepath.Join(dir, "netbench")
	out, err := exec.Command(netbench, "scenarios", dir, "--connect.connections", "2").CombinedOutput()
	require.NoError(t, err, string(out))
	file := filepath.Join(dir, "connect.json")
	for _, name := range names {
		_, problems, status := client(t, netbench, file, "127.0.0.1:1", "--driver", name, "--mtls")
		require.Equal(t, 2, status)
		require.Contains(t, problems, "--mtls is not supported by the driver on "+name)
		_, problems, status = client(t, netbench, filepath.Join(dir, "none.json"), "127.0.0.1:1", "--driver", name)
		require.Equal(t, 2, status)
		require.Contains(t, problems, "none.json")
		addr := serve(t, netbench, file, "--driver", name, "--groups", "X25519MLKEM768")
		sum, problems, status := client(t, netbench, file, addr, "--driver", name, "--concurrency", "32")
		require.Zero(t, status, problems)
		require.EqualValues(t, 2, sum.Connections)
	}
}

func TestExitStatus(t *testing.T) {
	dir := build(t)
	netbench := filepath.Join(dir, "netbench")
	out, err := exec.Command(netbench, "scenarios", dir, "--connect.connections", "2").CombinedOutput()
	require.NoError(t, err, string(out))
	file := filepath.Join(dir, "connect.json")
	sum, problems, status := client(t, netbench, file, "127.0.0.1:1", "--driver", "tcp")
	require.Equal(t, 1, status)
	require.EqualValues(t, 2, sum.Failed["refused"], problems)
	_, problems, status = client(t, netbench, file, "127.0.0.1:1", "--driver", "unknown")
	require.Equal(t, 2, status)
	require.Contains(t, problems, `unknown driver "unknown"`)
	_, problems, status = client(t, netbench, filepath.Join(dir, "none.json"), "127.0.0.1:1")
	require.Equal(t, 2, status)
	require.Contains(t, problems, "none.json")
	_, problems, status = client(t, netbench, file, "127.0.0.1:1", "--congestion-control", "vegas")
	require.Equal(t, 2, status)
	require.Contains(t, problems, "--congestion-control vegas is not supported: use cubic, bbr or newreno")
}
