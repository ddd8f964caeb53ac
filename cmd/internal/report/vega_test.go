package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"image"
	_ "image/png"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVega(t *testing.T) {
	in := samples(t)
	var b bytes.Buffer
	require.NoError(t, WriteVega(&b, in))
	if dir := os.Getenv("NETBENCH_TEST_OUT"); dir != "" {
		require.NoError(t, os.WriteFile(dir+"/vega.json", b.Bytes(), 0o600))
	}
	var spec struct {
		Schema  string `json:"$schema"`
		Title   string
		Width   int
		Signals []struct {
			Name  string
			Value any
			Bind  struct{ Options []string }
		}
		Data []struct {
			Name   string
			Values []map[string]any
		}
	}
	require.NoError(t, json.Unmarshal(b.Bytes(), &spec))
	require.Contains(t, spec.Schema, "vega/v5")
	require.Equal(t, "request_response", spec.Title)
	require.Equal(t, 1000, spec.Width)
	var names []string
	var options []string
	for _, s := range spec.Signals {
		names = append(names, s.Name)
		if s.Name == "ui$view" {
			options = s.Bind.Options
		}
	}
	require.Subset(t, names, []string{"ui$view", "sig$view", "ui$sendStreams", "ui$recvStreams", "pids", "sig$streamCount", "sig$streamTypes", "sig$legendClicks", "height"})
	require.Equal(t, []string{"cpu %", "memory (bytes)", "virtual memory (bytes)", "cycles", "instructions", "branches", "context-switches", "syscalls", "connections", "connect-time",
		"accept (streams)", "alloc (bytes)", "alloc (count)", "realloc (bytes)", "realloc (count)", "dealloc (bytes)", "dealloc (count)",
		"send (bytes)", "send (count)", "send (bytes/cpu %)", "send (bytes/instruction)",
		"receive (bytes)", "receive (count)", "receive (bytes/cpu %)", "receive (bytes/instruction)", "stream send", "stream receive", "trace - lbl"}, options)
	rows := make(map[string][]map[string]any)
	for _, d := range spec.Data {
		rows[d.Name] = d.Values
	}
	require.Len(t, rows["data$drivers"], 4)
	require.Equal(t, "client-s2n-quic", rows["data$drivers"][3]["name"])
	require.Contains(t, rows["data$stats"], map[string]any{"x": 3000.0, "y": 63.5, "p": 3.0, "s": 0.0})
	require.Contains(t, rows["data$stats"], map[string]any{"x": 3000.0, "y": 4096.0 * 3003, "p": 3.0, "s": 1.0})
	require.NotEmpty(t, rows["data$streams"])
	require.Contains(t, rows["data$streams"][0], "i")
}

func TestVegaOfHostileFile(t *testing.T) {
	for _, in := range [][]Input{{hostile(t)}, {read(t, "a.json", `{"driver":"d"}`)}} {
		var b bytes.Buffer
		require.NoError(t, WriteVega(&b, in))
		require.True(t, json.Valid(b.Bytes()))
	}
}

func TestCharts(t *testing.T) {
	in := append(samples(t), hostile(t))
	names := Charts(in)
	require.Subset(t, names, []string{"connection-rate", "throughput", "cpu", "cpu-per-connection", "cpu-per-byte", "memory", "latency-connect", "latency-ttfb", "latency-request", "trace-lbl"})
	for _, name := range []string{"connection-rate", "latency-connect", "memory"} {
		var svg, png bytes.Buffer
		require.NoError(t, WriteChart(&svg, in, name, "svg"))
		require.NoError(t, WriteChart(&png, in, name, "png"))
		if dir := os.Getenv("NETBENCH_TEST_OUT"); dir != "" {
			require.NoError(t, os.WriteFile(dir+"/"+name+".png", png.Bytes(), 0o600))
			require.NoError(t, os.WriteFile(dir+"/"+name+".svg", svg.Bytes(), 0o600))
		}
		require.Contains(t, svg.String(), "pqquic s2n X25519MLKEM768 client (again.json)")
		require.NotContains(t, svg.String(), "<b>")
		for d := xml.NewDecoder(&svg); ; {
			_, err := d.Token()
			if err == io.EOF {
				break
			}
			require.NoError(t, err)
		}
		picture, _, err := image.Decode(&png)
		require.NoError(t, err)
		require.Greater(t, picture.Bounds().Dx(), 700)
	}
	require.ErrorContains(t, WriteChart(io.Discard, in, "nonsense", "svg"), "choose one of connection-rate, throughput")
	require.Error(t, WriteChart(io.Discard, in, "cpu", "gif"))
}
