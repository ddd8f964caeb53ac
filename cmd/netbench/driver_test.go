//go:build unix

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cmd/internal/stats"
	"github.com/pqquic/pqquic/tlsprovider/s2n"
)

// providers returns the names of the linked providers.
func providers() []string {
	if _, err := s2n.New(); err == nil {
		return []string{"native", "s2n"}
	}
	return []string{"native"}
}

// connectScenario returns a scenario of n sequential connections.
func connectScenario(t *testing.T, n string) string {
	t.Helper()
	dir := t.TempDir()
	status, _ := netbench(t, "scenarios", dir, "--connect.connections", n)
	require.Zero(t, status)
	return filepath.Join(dir, "connect.json")
}

// A side is a running driver.
type side struct {
	*exec.Cmd
	out, problems bytes.Buffer
	lines         *bufio.Reader // of standard error
}

func start(t *testing.T, env []string, program string, args ...string) *side {
	t.Helper()
	s := &side{Cmd: exec.Command(program, args...)}
	s.Env = append(os.Environ(), env...)
	s.Stdout = &s.out
	r, err := s.StderrPipe()
	require.NoError(t, err)
	s.lines = bufio.NewReader(r)
	require.NoError(t, s.Start())
	return s
}

// await reads standard error up to a line with this prefix and returns the rest of the line.
func (s *side) await(t *testing.T, front string) string {
	t.Helper()
	for {
		line, err := s.lines.ReadString('\n')
		s.problems.WriteString(line)
		require.NoError(t, err, "%s", &s.problems)
		if rest, ok := strings.CutPrefix(line, front); ok {
			return strings.TrimSpace(rest)
		}
	}
}

// end waits for the end and returns the exit status.
func (s *side) end() int {
	_, _ = s.problems.ReadFrom(s.lines)
	_ = s.Wait()
	return s.ProcessState.ExitCode()
}

func (s *side) summary(t *testing.T) (sum stats.Summary) {
	t.Helper()
	require.NoError(t, json.Unmarshal(s.out.Bytes(), &sum), "%s%s", &s.out, &s.problems)
	return sum
}

// server starts a server and returns its address. The server must end without errors.
func server(t *testing.T, program, file string, flags ...string) string {
	t.Helper()
	s := start(t, nil, program, append([]string{"server", "--ip", "127.0.0.1", "--port", "0", "--trace", "disabled"}, append(flags, file)...)...)
	addr := s.await(t, "netbench: ready on ")
	t.Cleanup(func() {
		require.NoError(t, s.Process.Signal(syscall.SIGTERM))
		require.Zero(t, s.end(), "%s", &s.problems)
	})
	return addr
}

// client runs a client to its end.
func client(t *testing.T, program, file, addr string, flags ...string) (*side, int) {
	t.Helper()
	return clientEnv(t, []string{"SERVER_0=" + addr}, program, file, flags...)
}

func clientEnv(t *testing.T, env []string, program, file string, flags ...string) (*side, int) {
	t.Helper()
	s := start(t, env, program, append([]string{"client", "--summary", "--trace", "disabled"}, append(flags, file)...)...)
	return s, s.end()
}

// refusing is an address that refuses connections.
const refusing = "127.0.0.1:1"

func TestFailFast(t *testing.T) {
	program, file := buildNetbench(t), connectScenario(t, "20")
	for _, load := range [][]string{nil, {"--concurrency", "2"}, {"--arrival-rate", "1000"}} {
		flags := append([]string{"--driver", "tcp"}, load...)
		c, status := client(t, program, file, refusing, flags...)
		require.Equal(t, 1, status)
		require.EqualValues(t, 20, c.summary(t).Failed["refused"], "without it the run continues")
		c, status = client(t, program, file, refusing, append(flags, "--fail-fast")...)
		require.Equal(t, 1, status)
		failed := c.summary(t).Failed["refused"]
		require.Positive(t, failed)
		require.Less(t, failed, int64(20), "%q", load)
		require.Contains(t, c.problems.String(), "error: refused: clients[0].scenario[")
	}
}

// Arrivals beyond --max-in-flight fail.
func TestOverload(t *testing.T) {
	program, file := buildNetbench(t), connectScenario(t, "30")
	addr := server(t, program, file)
	c, status := client(t, program, file, addr, "--arrival-rate", "1000000", "--max-in-flight", "1")
	require.Equal(t, 1, status)
	sum := c.summary(t)
	require.Positive(t, sum.Failed["overload"])
	require.Positive(t, sum.Connections)
	require.EqualValues(t, 30, sum.Connections+sum.Failed["overload"])
	require.Len(t, sum.Failed, 1)
	require.Contains(t, c.problems.String(), "too many concurrent connections")
}

// An interrupted client still writes its summary.
func TestSummaryOnSIGTERM(t *testing.T) {
	program, file := buildNetbench(t), connectScenario(t, "3")
	addr := server(t, program, file)
	c := start(t, []string{"SERVER_0=" + addr}, program, "client", "--summary", "--duration", "1h", file)
	c.await(t, "0:00:01")
	require.NoError(t, c.Process.Signal(syscall.SIGTERM))
	require.Equal(t, 1, c.end())
	require.Contains(t, c.problems.String(), "netbench: interrupted")
	sum := c.summary(t)
	require.Positive(t, sum.Connections)
	require.Empty(t, sum.Failed, "an interrupted connection is not a failure")
	require.Positive(t, sum.Seconds)
}

// When interrupted, a client that waits only for the end of the server's stream does not wait for it any
// longer.
func TestInterruptWhileClosing(t *testing.T) {
	program, file := buildNetbench(t), connectScenario(t, "1")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	const end = `{"send":{"stream_id":0,"bytes":1}},{"send_finish":{"stream_id":0}}` // only the server ends its direction
	require.Equal(t, 1, bytes.Count(text, []byte(end)))
	text = bytes.Replace(text, []byte(end), []byte(`{"send":{"stream_id":0,"bytes":1}},{"sleep":{"amount_ms":3600000}},{"send_finish":{"stream_id":0}}`), 1)
	require.NoError(t, os.WriteFile(file, text, 0o600))
	for _, driver := range []string{"pqquic", "tcp"} {
		addr := server(t, program, file, "--driver", driver, "--idle-timeout", "1h")
		c := start(t, []string{"SERVER_0=" + addr}, program, "client", "--driver", driver, "--idle-timeout", "1h", "--summary", file)
		c.await(t, "0:00:01")
		require.NoError(t, c.Process.Signal(syscall.SIGTERM))
		require.Equal(t, 1, c.end())
		require.EqualValues(t, 1, c.summary(t).Connections, "%s", &c.problems)
	}
}

func TestTraceFileAndKeyLog(t *testing.T) {
	program, file := buildNetbench(t), connectScenario(t, "2")
	for _, driver := range append(providers(), "tcp") {
		t.Run(driver, func(t *testing.T) {
			flag := []string{"--provider", driver}
			if driver == "tcp" {
				flag = []string{"--driver", driver}
			}
			dir := t.TempDir()
			addr := server(t, program, file, flag...)
			c, status := clientEnv(t, []string{"SERVER_0=" + addr, "TRACE_FILE=" + dir + "/trace", "SSLKEYLOGFILE=" + dir + "/keys"}, program, file, flag...)
			require.Zero(t, status, "%s", &c.problems)
			trace, err := os.ReadFile(dir + "/trace")
			require.NoError(t, err)
			for _, ev := range []string{`\[0\] conn\[0\]=\d+us\n`, `\[1\] send\[0\]=1\n`, `\[1\] recv\[0\]=1\n`} {
				require.Regexp(t, `\d:\d\d:\d\d(\.\d{6})? `+ev, string(trace))
			}
			keys, err := os.ReadFile(dir + "/keys")
			require.NoError(t, err)
			require.Equal(t, 2, strings.Count(string(keys), "CLIENT_TRAFFIC_SECRET_0 "), "%s", keys)
			info, err := os.Stat(dir + "/keys")
			require.NoError(t, err)
			require.Zero(t, info.Mode().Perm()&0o077, "only the user may read secrets")
		})
	}
}

func TestRouterAddress(t *testing.T) {
	program, file := buildNetbench(t), connectScenario(t, "1")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	text = bytes.Replace(text, []byte(`{"connect":{"server_id":0,`), []byte(`{"connect":{"server_id":0,"router_id":1,`), 1)
	text = bytes.Replace(text, []byte(`"servers":[`), []byte(`"routers":[{"scenario":[]},{"scenario":[]}],"servers":[`), 1)
	require.NoError(t, os.WriteFile(file, text, 0o600))
	addr := server(t, program, file)
	c, status := clientEnv(t, []string{"SERVER_0=" + refusing, "ROUTER_1_SERVER_0=" + addr}, program, file)
	require.Zero(t, status, "%s", &c.problems)
	require.EqualValues(t, 1, c.summary(t).Connections)
	c, status = clientEnv(t, []string{"SERVER_0=" + addr}, program, file)
	require.Equal(t, 1, status)
	require.Contains(t, c.problems.String(), "set ROUTER_1_SERVER_0=HOST:PORT")
}

// Handshakes with certificates of other types, which the side that starts first makes.
func TestCertificateTypes(t *testing.T) {
	program, file := buildNetbench(t), connectScenario(t, "2")
	for _, provider := range providers() {
		types := []string{"ecdsa-p256", "ecdsa-p384", "rsa-2048"}
		if provider == "native" {
			types = append(types, "ed25519")
		}
		if hasMLDSA(provider) {
			types = append(types, "ml-dsa-44", "ml-dsa-65", "ml-dsa-87")
		}
		for _, kind := range types {
			t.Run(provider+" "+kind, func(t *testing.T) {
				flags := []string{"--provider", provider, "--certificate-type", kind}
				addr := server(t, program, file, flags...)
				require.FileExists(t, file+"."+kind+".pem")
				c, status := client(t, program, file, addr, flags...)
				require.Zero(t, status, "%s", &c.problems)
				sum := c.summary(t)
				require.EqualValues(t, 2, sum.Connections)
				require.Equal(t, kind, sum.Provenance.Certificate)
				_, status = client(t, program, file, addr, "--provider", provider)
				require.Equal(t, 1, status, "the scenario's own authority did not sign it")
			})
		}
	}
}

// Flags that a transport cannot honour are refused with a reason.
func TestRefusals(t *testing.T) {
	file := connectScenario(t, "1")
	t.Setenv("SERVER_0", refusing)
	for _, c := range []struct{ flags, want string }{
		{"--rx-buffer 64KB", "--rx-buffer applies only to the tcp driver"},
		{"--tx-buffer 64KB", "--tx-buffer applies only to the tcp driver"},
		{"--multiplex=false", "--multiplex=false applies only to the tcp driver"},
		{"--max-mtu 9001", "--max-mtu 9001 is not supported: package quic"},
		{"--max-mtu -5", "--max-mtu -5 is not supported: package quic"},
		{"--congestion-control vegas", "--congestion-control vegas is not supported: use cubic, bbr or newreno"},
		{"--provider native --policy default_pq", "provider native has no security policies"},
		{"--provider nothing", `unknown provider "nothing"`},
		{"--groups X25519 --policy x", "--groups and --policy cannot be combined"},
		{"--groups nonsense", `unknown group "nonsense"`},
		{"--retry", "--retry applies only to servers"},
		{"--max-in-flight 7", "--max-in-flight needs --arrival-rate"},
		{"--ramp 1s", "--ramp needs --arrival-rate"},
		{"--concurrency 2 --arrival-rate 1", "cannot be combined"},
		{"--idle-timeout 0s", "must be greater than 0"},
		{"--trace loud", "--trace loud is unknown"},
		{"--certificate-type dsa", "--certificate-type dsa"},
		{"--client-id 3", "the scenario has 1 clients"},
		{"--local-ip nowhere.invalid", "nowhere.invalid"},
		{"--driver tcp --local-ip nowhere", "nowhere"},
		{"--driver tcp --retry", "--retry is not supported by the tcp driver"},
		{"--driver tcp --multiplex=false", "--multiplex=false is not supported by the tcp driver"},
		{"--driver tcp --provider s2n", "--provider s2n is not supported by the tcp driver"},
		{"--driver tcp --policy x", "--policy is not supported by the tcp driver"},
		{"--driver tcp --max-mtu 1200", "--max-mtu is not supported by the tcp driver"},
		{"--driver tcp --congestion-control cubic", "--congestion-control is not supported by the tcp driver"},
	} {
		status, problems := runDriver(t, append(append([]string{"client"}, strings.Fields(c.flags)...), file)...)
		require.Equal(t, 2, status, "%s: %s", c.flags, problems)
		require.Contains(t, problems, c.want, c.flags)
	}
	if len(providers()) > 1 {
		status, problems := runDriver(t, "server", "--port", "0", "--provider", "s2n", "--mtls", "--resumption", file)
		require.Equal(t, 2, status)
		require.Contains(t, problems, "--resumption with --mtls")
	}
	for name, v := range map[string]string{"MAX_MTU": "large", "MULTITHREADED": "yes", "MULTIPLEX": "2", "CLIENT_ID": "first"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, v)
			status, problems := runDriver(t, "client", file)
			require.Equal(t, 2, status)
			require.Contains(t, problems, name+"="+v+" is not ")
		})
	}
	_, help := netbench(t, "client", "--help")
	require.Contains(t, help, "ignored on QUIC as in s2n-netbench")
}

// runDriver runs the command line and returns its exit status and its standard error.
func runDriver(t *testing.T, args ...string) (int, string) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	require.NoError(t, err)
	defer f.Close()
	c := newCommand()
	c.SetArgs(args)
	c.SetOut(io.Discard)
	status := run(c, f)
	text, err := os.ReadFile(f.Name())
	require.NoError(t, err)
	return status, string(text)
}

// A scenario of s2n-netbench with nothing to receive, on which its drivers wait forever, is refused when it
// is read.
func TestNothingToReceive(t *testing.T) {
	dir := t.TempDir()
	status, _ := netbench(t, "scenarios", dir)
	require.Zero(t, status)
	file := filepath.Join(dir, "request_response.json")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	for from, to := range map[string]string{`{"send":{"stream_id":0,"bytes":1000}}`: `{"send":{"stream_id":0,"bytes":0}}`,
		`{"receive":{"stream_id":0,"bytes":1000}}`: `{"receive":{"stream_id":0,"bytes":0}}`} {
		require.Contains(t, string(text), from)
		text = bytes.Replace(text, []byte(from), []byte(to), 1)
	}
	require.NoError(t, os.WriteFile(file, text, 0o600))
	for _, command := range []string{"server", "client"} {
		status, problems := runDriver(t, command, file)
		require.Equal(t, 2, status)
		require.Equal(t, "netbench: "+file+": servers[0].connections[0].peer_streams[0][0].profile.operations[0].profile.operations[0].receive: "+
			"the number of bytes is 0: this would wait for the end of the stream; leave the operation out, or use receive_all\n", problems)
	}
}
