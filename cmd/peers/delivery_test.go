package peers

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cmd/internal/scenario"
	"github.com/pqquic/pqquic/cmd/internal/stats"
)

// write writes a scenario whose client opens stream 0 in n sequential connections.
func write(t *testing.T, file, ops, peer string, n int) {
	t.Helper()
	connect := json.RawMessage(`{"connect":{"server_id":0,"server_connection_id":0,"client_connection_id":0}}`)
	var connects []json.RawMessage
	for range n {
		connects = append(connects, connect)
	}
	client, err := json.Marshal(connects)
	require.NoError(t, err)
	s, err := scenario.Parse([]byte(`{"id":"delivery","clients":[{"scenario":` + string(client) + `,"connections":[{"ops":[` + ops + `]}]}],` +
		`"servers":[{"connections":[{"peer_streams":[[` + peer + `]]}],"private_key":1,"certificate":2,"certificate_authority":0}]}`))
	require.NoError(t, err)
	s.Certificates, err = scenario.NewCertificates(s.ID, scenario.DefaultCertificate)
	require.NoError(t, err)
	require.NoError(t, s.Validate())
	require.NoError(t, os.WriteFile(file, s.Marshal(), 0o600))
}

// Everything that a client sends arrives before it closes the connection.
func TestLastSendArrives(t *testing.T) {
	const (
		n    = 4
		send = `{"send":{"stream_id":0,"bytes":3000000}},{"send_finish":{"stream_id":0}}`
		all  = `{"receive":{"stream_id":0,"bytes":3000000}}`
	)
	dir := build(t)
	netbench := filepath.Join(dir, "netbench")
	both, oneWay := filepath.Join(dir, "both.json"), filepath.Join(dir, "one-way.json")
	write(t, both, `{"open_bidirectional_stream":{"stream_id":0}},`+send+`,{"receive_finish":{"stream_id":0}}`,
		all+`,{"send_finish":{"stream_id":0}},{"receive_finish":{"stream_id":0}}`, n)
	write(t, oneWay, `{"open_send_stream":{"stream_id":0}},`+send, all+`,{"receive_finish":{"stream_id":0}}`, n)
	drivers := []string{"pqquic", "quic-go", "xnet"}
	for _, server := range drivers {
		for _, c := range drivers {
			t.Run(c+" to "+server, func(t *testing.T) {
				addr := serve(t, netbench, both, "--driver", server) // fails the test if the server reports an error
				sum, problems, status := client(t, netbench, both, addr, "--driver", c)
				require.Zero(t, status, problems)
				require.EqualValues(t, n, sum.Connections)
				require.EqualValues(t, n*3_000_000, sum.BytesSent)
			})
		}
	}
	for _, c := range []string{"pqquic", "quic-go", "xnet"} {
		t.Run(c+", one way", func(t *testing.T) {
			addr := serve(t, netbench, oneWay, "--driver", "pqquic")
			sum, problems, status := client(t, netbench, oneWay, addr, "--driver", c)
			require.Zero(t, status, problems)
			require.EqualValues(t, n, sum.Connections)
		})
	}
}

func TestPeersResume(t *testing.T) {
	dir := build(t)
	netbench := filepath.Join(dir, "netbench")
	out, err := exec.Command(netbench, "scenarios", dir, "--connect.connections", "20").CombinedOutput()
	require.NoError(t, err, string(out))
	file := filepath.Join(dir, "connect.json")
	drivers := []string{"pqquic", "quic-go", "xnet"}
	for _, server := range drivers[:2] {
		addr := serve(t, netbench, file, "--driver", server, "--resumption")
		for _, c := range drivers {
			sum, problems, status := client(t, netbench, file, addr, "--driver", c, "--resumption")
			require.Zero(t, status, problems)
			require.EqualValues(t, 20, sum.Connections)
			require.Positive(t, sum.Resumed, "%s to %s", c, server)
		}
	}
}

func TestPeersRefuse(t *testing.T) {
	dir := build(t)
	netbench := filepath.Join(dir, "netbench")
	out, err := exec.Command(netbench, "scenarios", dir).CombinedOutput()
	require.NoError(t, err, string(out))
	file := filepath.Join(dir, "connect.json")
	for _, driver := range []string{"quic-go", "xnet"} {
		for flag, want := range map[string]string{
			"--rx-buffer=1KB": "--rx-buffer applies only to the tcp driver", "--tx-buffer=1KB": "--tx-buffer applies only to the tcp driver",
			"--multiplex=false": "--multiplex=false applies only to the tcp driver", "--max-mtu=1400": "--max-mtu is not supported by the driver on ",
			"--provider=s2n": "--provider s2n is not supported by the driver on ",
			"--policy=x":     "--policy is not supported by the driver on ", "--congestion-control=cubic": "--congestion-control is not supported by the driver on ",
			"--retry": "--retry applies only to servers",
		} {
			_, problems, status := client(t, netbench, file, "127.0.0.1:1", "--driver", driver, flag)
			require.Equal(t, 2, status, "%s %s", driver, flag)
			require.Contains(t, problems, want)
		}
	}
	out, err = exec.Command(netbench, "server", "--driver", "xnet", "--port", "0", "--resumption", file).CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "--resumption is not supported: x/net/quic servers send no tickets")
}

// Servers on stacks that do not report handshake times report none.
func TestNoConnectTimeOnOtherServers(t *testing.T) {
	dir := build(t)
	netbench := filepath.Join(dir, "netbench")
	out, err := exec.Command(netbench, "scenarios", dir, "--connect.connections", "3").CombinedOutput()
	require.NoError(t, err, string(out))
	file := filepath.Join(dir, "connect.json")
	for _, driver := range []string{"pqquic", "quic-go", "xnet"} {
		lines := filepath.Join(dir, driver+".json")
		c, addr, _ := begin(t, netbench, "collect", "-o", lines, "--", netbench, "server", "--driver", driver, "--ip", "127.0.0.1", "--port", "0", file)
		_, problems, status := client(t, netbench, file, addr)
		require.Zero(t, status, problems)
		require.NoError(t, c.Process.Signal(syscall.SIGTERM))
		require.NoError(t, c.Wait())
		f, err := os.Open(lines)
		require.NoError(t, err)
		run, err := stats.Read(f)
		require.NoError(t, err)
		require.NoError(t, f.Close())
		var sum stats.Sample
		for i := range run.Samples {
			sum.Merge(&run.Samples[i])
		}
		require.EqualValues(t, 3, sum.Connections, driver)
		if driver == "pqquic" {
			require.EqualValues(t, 3, sum.ConnectTime.Count)
			require.Greater(t, sum.ConnectTime.Total, int64(3*10), "microseconds")
			continue
		}
		require.Zero(t, sum.ConnectTime, driver)
		require.Empty(t, sum.Latency[stats.Connect], driver)
	}
}
