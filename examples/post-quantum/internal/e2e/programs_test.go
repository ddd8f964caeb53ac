// Package e2e runs pq_server and pq_client as a user does.
package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider/s2n"
)

// programs is the folder of the two binaries, built with the same settings as this test.
var programs string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "pqquic-e2e")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	args := []string{"build", "-o", dir + string(filepath.Separator)}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "-tags" {
				args = append(args, "-tags", s.Value)
			}
		}
	}
	out, err := exec.Command("go", append(args, "../../pq_server", "../../pq_client")...).CombinedOutput()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		return 1
	}
	programs = dir
	return m.Run()
}

// providers returns the providers of this build.
func providers(t *testing.T) []string {
	t.Helper()
	_, err := s2n.New()
	if errors.Is(err, s2n.ErrNotLinked) && os.Getenv("PQQUIC_REQUIRE_LINKED") != "1" {
		return []string{"native"}
	}
	require.NoError(t, err)
	return []string{"s2n", "native"}
}

// home simulates a machine: its folder holds the demonstration's certificate authority.
type home struct {
	dir string
	env []string
}

func newHome(t *testing.T) home { return home{dir: t.TempDir()} }

// with returns the same machine with another environment.
func (h home) with(env ...string) home { return home{h.dir, env} }

func (h home) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(programs, program), args...)
	cmd.Env = append(os.Environ(), "XDG_CACHE_HOME="+h.dir, "HOME="+h.dir)
	cmd.Env = append(cmd.Env, h.env...)
	return cmd
}

// result holds a program's output and exit status.
type result struct {
	code           int
	stdout, stderr string
}

// run runs a program to its end.
func (h home) run(t *testing.T, program string, args ...string) result {
	t.Helper()
	return runCommand(t, h.command(t.Context(), program, args...))
}

func runCommand(t *testing.T, cmd *exec.Cmd) (r result) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// requireRefusal requires that invalid input ended with one line that contains the given texts.
func (r result) requireRefusal(t *testing.T, wants ...string) {
	t.Helper()
	require.NotZero(t, r.code, r.stdout)
	require.Empty(t, r.stdout)
	require.Equal(t, 1, strings.Count(r.stderr, "\n"), "one line: %q", r.stderr)
	require.NotContains(t, r.stderr, "goroutine ")
	for _, want := range wants {
		require.Contains(t, r.stderr, want)
	}
}

// A server is a running pq_server.
type server struct {
	addr   string
	ready  string
	before []string // lines on stderr before the ready line
	cmd    *exec.Cmd
	stdout bytes.Buffer
	stderr *bufio.Scanner
}

// serve starts a server and waits for its ready line.
func (h home) serve(t *testing.T, args ...string) *server {
	t.Helper()
	s := &server{cmd: h.command(context.Background(), "pq_server", append([]string{"--listen", "127.0.0.1:0"}, args...)...)}
	s.cmd.Stdout = &s.stdout
	pipe, err := s.cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, s.cmd.Start())
	t.Cleanup(func() { s.stop(t) })
	s.stderr = bufio.NewScanner(pipe)
	for s.stderr.Scan() {
		if _, rest, ok := strings.Cut(s.stderr.Text(), "ready on "); ok {
			s.addr, _, _ = strings.Cut(rest, " ")
			s.ready = s.stderr.Text()
			return s
		}
		s.before = append(s.before, s.stderr.Text())
	}
	require.Fail(t, "the server does not become ready", "%q", s.before)
	return nil
}

// stop interrupts the server and returns what it printed.
func (s *server) stop(t *testing.T) string {
	t.Helper()
	if s.cmd.ProcessState == nil {
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		s.wait(t)
	}
	return s.stdout.String()
}

// wait waits until the server has ended without an error.
func (s *server) wait(t *testing.T) {
	t.Helper()
	for s.stderr.Scan() {
		require.NotContains(t, s.stderr.Text(), "goroutine ")
	}
	require.NoError(t, s.cmd.Wait())
}

// outcome is the client's JSON. Each field must be present, with its type.
type outcome struct {
	Provider         *string `json:"provider"`
	Group            *string `json:"group"`
	GroupID          *int    `json:"group_id"`
	CipherSuite      *string `json:"cipher_suite"`
	ALPN             *string `json:"alpn"`
	Resumed          *bool   `json:"resumed"`
	FIPS             *bool   `json:"fips"`
	FIPSDetail       *string `json:"fips_detail"` // absent without a FIPS module
	ClientShareBytes *int    `json:"client_share_bytes"`
	ServerShareBytes *int    `json:"server_share_bytes"`
	HandshakeMicros  *int    `json:"handshake_us"`
	Reply            *string `json:"reply"`
}

// ask runs a client against a server and decodes its JSON.
func (h home) ask(t *testing.T, s *server, args ...string) outcome {
	t.Helper()
	r := h.run(t, "pq_client", append([]string{"--connect", s.addr, "--json"}, args...)...)
	require.Zero(t, r.code, r.stderr)
	require.Equal(t, 1, strings.Count(r.stdout, "\n"), "one object on one line")
	var o outcome
	d := json.NewDecoder(strings.NewReader(r.stdout))
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(&o))
	require.NotNil(t, o.Provider)
	require.NotNil(t, o.Group)
	require.NotNil(t, o.GroupID)
	require.NotNil(t, o.CipherSuite)
	require.NotNil(t, o.ALPN)
	require.NotNil(t, o.Resumed)
	require.NotNil(t, o.FIPS)
	require.NotNil(t, o.ClientShareBytes)
	require.NotNil(t, o.ServerShareBytes)
	require.NotNil(t, o.HandshakeMicros)
	require.Positive(t, *o.HandshakeMicros)
	require.NotNil(t, o.Reply)
	return o
}
