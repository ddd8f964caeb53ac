package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cmd/internal/scenario"
)

func execute(t *testing.T, args ...string) (out, problems string, err error) {
	t.Helper()
	c := newCommand()
	var o, p bytes.Buffer
	c.SetOut(&o)
	c.SetErr(&p)
	c.SetArgs(args)
	err = c.Execute()
	return o.String(), p.String(), err
}

func TestScenarioFlags(t *testing.T) {
	dir := t.TempDir()
	_, problems, err := execute(t, "scenarios", dir, "--connect.connections", "3", "--ping.connections", "2", "--ping.streams=2",
		"--ping.time", "1s42ms", "--ping.size", "1KB,4KiB", "--request_response.request_size", "8Kb", "--request_response.response_size", "1MB",
		"--request_response.response_delay", "5ms", "--request_response.count", "2", "--request_response.connections", "2",
		"--request_response.servers", "2", "--request_response.parallel", "--request_response.client_send_rate", "10MBps",
		"--request_response.client_receive_rate", "42MB/50ms", "--request_response.server_send_rate", "NONE",
		"--request_response.server_receive_rate", "8Mbps", "--request_response.response_unblock", "10KB")
	require.NoError(t, err)
	for _, name := range []string{"connect", "ping", "request_response"} {
		require.Contains(t, problems, "created: "+filepath.Join(dir, name+".json"))
		_, err := scenario.Load(filepath.Join(dir, name+".json"))
		require.NoError(t, err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "request_response.json"))
	require.NoError(t, err)
	for _, want := range []string{`{"send":{"stream_id":0,"bytes":1000}}`, `{"sleep":{"amount_ms":5}}`,
		`{"send_rate":{"stream_id":0,"bytes":10000000,"period_ms":1000}}`, `{"receive_rate":{"stream_id":0,"bytes":42000000,"period_ms":50}}`,
		`{"receive_rate":{"stream_id":1,"bytes":1000000,"period_ms":1000}}`, `{"unpark":{"checkpoint":`} {
		require.Contains(t, string(text), want)
	}
	text, err = os.ReadFile(filepath.Join(dir, "ping.json"))
	require.NoError(t, err)
	require.Contains(t, string(text), `"traces":["ping 1KB","pong 1KB","ping 4.10KB","pong 4.10KB"]`)
	require.Contains(t, string(text), `{"amount_ms":1042}`)
}

func TestInvalidScenario(t *testing.T) {
	_, problems, err := execute(t, "scenarios", t.TempDir(), "--request_response.request_size", "0")
	require.NoError(t, err)
	require.Contains(t, problems, "request_response.json cannot be run: servers[0].connections[0].peer_streams[0][0].profile.operations[0].profile.operations[0].receive: the number of bytes is 0")
	_, _, err = execute(t, "scenarios", t.TempDir(), "--ping.size", "1.5KB")
	require.ErrorContains(t, err, "1.5KB")
}

func TestRoot(t *testing.T) {
	out, _, err := execute(t, "--version")
	require.NoError(t, err)
	require.Contains(t, out, "netbench version ")
	out, _, err = execute(t, "--licenses")
	require.NoError(t, err)
	require.Contains(t, out, "Apache License")
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		out, _, err = execute(t, "completion", shell)
		require.NoError(t, err)
		require.Contains(t, out, "netbench")
	}
	for _, name := range []string{"scenarios", "server", "client"} {
		out, _, err = execute(t, name, "--help")
		require.NoError(t, err)
		require.Contains(t, out, "Examples:")
	}
}
