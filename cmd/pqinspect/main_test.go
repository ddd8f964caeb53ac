package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cmd/internal/capturetest"
	"github.com/pqquic/pqquic/cmd/internal/cli"
	"github.com/pqquic/pqquic/cmd/internal/inspect"
	"github.com/pqquic/pqquic/tlsprovider"
)

// The test binary acts as the program if an environment variable is set.
func TestMain(m *testing.M) {
	if os.Getenv("PQINSPECT_TEST_MAIN") != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func command(args ...string) *exec.Cmd {
	c := exec.Command(os.Args[0], args...)
	c.Env = append(os.Environ(), "PQINSPECT_TEST_MAIN=1")
	return c
}

// pqinspect runs the program and returns its output and exit status.
func pqinspect(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, errs bytes.Buffer
	c := command(args...)
	c.Stdout, c.Stderr = &out, &errs
	err := c.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return out.String(), errs.String(), c.ProcessState.ExitCode()
}

func write(t *testing.T, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, b, 0o600))
	return path
}

var (
	pq = []tlsprovider.Group{tlsprovider.X25519MLKEM768}
	x  = []tlsprovider.Group{tlsprovider.X25519}
)

func TestTable(t *testing.T) {
	r := capturetest.Record(t, capturetest.Setup{})
	out, errs, status := pqinspect(t, write(t, "a.pcapng", r.Ng(t, false)))
	require.Zero(t, status, errs)
	require.Empty(t, errs)
	for _, want := range []string{
		r.Packets[0].At.Local().Format("2006-01-02 15:04:05."), "127.0.0.1:", "QUIC v1",
		"verdict               POST-QUANTUM: X25519MLKEM768 (0x11EC) was negotiated",
		"server name           server.test", "protocols offered     test, other",
		"cipher suites       TLS_AES_128_GCM_SHA256 (0x1301), ",
		"supported groups    X25519MLKEM768 (0x11EC), SecP256r1MLKEM768 (0x11EB), ",
		"key share           X25519MLKEM768 (0x11EC), 1216 bytes = 1184 + 32 (ML-KEM-768 + X25519)",
		"key share           X25519MLKEM768 (0x11EC), 1120 bytes = 1088 + 32 (ML-KEM-768 + X25519)",
		"HelloRetryRequest     none", "resumed             no",
		"client's Initials     ", " datagrams: 1200 + 1200", "server's Initials     ",
		"parameters          ", "max_idle_timeout 30000",
		"1 post-quantum, 0 classical, 0 unknown",
	} {
		require.Contains(t, out, want)
	}
	require.NotContains(t, out, "certificate ", "the certificate is known only with a key log")

	out, _, status = pqinspect(t, "--brief", write(t, "a.pcapng", r.Ng(t, false)))
	require.Zero(t, status)
	lines := strings.Split(out, "\n")
	require.Contains(t, lines[0], "VERDICT")
	require.Contains(t, lines[1], "post-quantum    X25519MLKEM768 (0x11EC) was negotiated")
}

// A key log, separate or inside the capture, reveals the encrypted part.
func TestKeyLog(t *testing.T) {
	r := capturetest.Record(t, capturetest.Setup{})
	keys := write(t, "keys.log", r.KeyLog.Bytes())
	for name, args := range map[string][]string{
		"file":    {"--keylog", keys, write(t, "a.pcapng", r.Ng(t, false))},
		"capture": {write(t, "b.pcapng", r.Ng(t, true))},
	} {
		out, errs, status := pqinspect(t, args...)
		require.Zero(t, status, errs)
		require.Contains(t, out, "certificate           CN=server.test; ECDSA P-256 key, signed with ECDSA-SHA256; 1 in the chain", name)
		require.Contains(t, out, "handshake signature   ecdsa_secp256r1_sha256 (0x0403)", name)
		require.Contains(t, out, "original_destination_connection_id", name)
		require.Contains(t, out, "protocol              test", name)
	}
	_, errs, status := pqinspect(t, "--keylog", filepath.Join(t.TempDir(), "none"), keys)
	require.Equal(t, cli.StatusError, status)
	require.Contains(t, errs, "no such file")
	_, errs, _ = pqinspect(t, "--keylog", write(t, "a", []byte("nothing\n")), write(t, "a.pcapng", r.Ng(t, false)))
	require.Contains(t, errs, "contains no handshake secrets")
}

// report is the output of --json.
func report(t *testing.T, out string) (cs []inspect.Connection, stats inspect.Stats) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(out), "\n")
	for _, line := range lines[:len(lines)-1] {
		var c inspect.Connection
		d := json.NewDecoder(strings.NewReader(line))
		d.DisallowUnknownFields()
		require.NoError(t, d.Decode(&c))
		cs = append(cs, c)
	}
	var last map[string]inspect.Stats
	require.NoError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &last))
	return cs, last["summary"]
}

func TestJSON(t *testing.T) {
	r := capturetest.Record(t, capturetest.Setup{})
	out, errs, status := pqinspect(t, "--json", write(t, "a.pcapng", r.Ng(t, true)))
	require.Zero(t, status, errs)
	cs, stats := report(t, out)
	require.Len(t, cs, 1)
	c := cs[0]
	require.EqualValues(t, 1, stats.PostQuantum)
	require.Equal(t, inspect.PostQuantum, c.Verdict.Result)
	require.Equal(t, uint16(0x11ec), c.Selected.ID)
	require.Equal(t, "ECDSA-SHA256", c.Handshake.Certificate.SignatureAlgorithm)
	require.Equal(t, 1184, c.Hello.Shares[0].Halves[0].Bytes)
	require.WithinDuration(t, r.Packets[0].At, c.Start, 0)
}

// The exit status lets continuous integration assert the result.
func TestRequirePQ(t *testing.T) {
	good := write(t, "good", capturetest.Record(t, capturetest.Setup{}).Ng(t, false))
	bad := write(t, "bad", capturetest.Record(t, capturetest.Setup{Client: append(pq, x...), Server: x}).Ng(t, false))
	none := write(t, "none", (&capturetest.Recording{}).Ng(t, false))
	for _, tt := range []struct {
		files  []string
		status int
		errs   string
	}{
		{[]string{good}, 0, ""},
		{[]string{bad}, 1, "1 of 1 handshakes are not post-quantum"},
		{[]string{good, bad}, 1, "1 of 2 handshakes are not post-quantum"},
		{[]string{none}, 1, "no TLS handshake was found"},
	} {
		for _, form := range []string{"--json", "--brief", "--require-pq"} {
			_, errs, status := pqinspect(t, append([]string{"--require-pq", form}, tt.files...)...)
			require.Equal(t, tt.status, status, "%v: %s", tt, errs)
			require.Contains(t, errs, tt.errs)
		}
		_, _, status := pqinspect(t, tt.files...)
		require.Zero(t, status, "nothing is required")
	}
}

// A file that cannot be read is named, and the others are reported.
func TestBrokenFiles(t *testing.T) {
	file := capturetest.Record(t, capturetest.Setup{}).Ng(t, false)
	good := write(t, "good", file)
	cut := write(t, "cut.pcapng", file[:len(file)-10])
	junk := write(t, "junk", []byte("GET / HTTP/1.1"))
	out, errs, status := pqinspect(t, "--require-pq", "--json", cut)
	require.Equal(t, cli.StatusError, status)
	require.Contains(t, errs, cut+": frame ")
	require.Contains(t, errs, "the capture ends in the middle of a frame")
	cs, _ := report(t, out)
	require.Len(t, cs, 1)
	require.Equal(t, inspect.PostQuantum, cs[0].Verdict.Result, "the part before the cut")

	out, errs, status = pqinspect(t, "--json", junk, filepath.Join(t.TempDir(), "absent"), good)
	require.Equal(t, cli.StatusError, status)
	require.Contains(t, errs, junk+": not a capture: neither pcap nor pcapng")
	require.Contains(t, errs, "absent: no such file")
	cs, _ = report(t, out)
	require.Len(t, cs, 1)
}

// --pcap-out writes exactly the frames that determine the verdicts.
func TestFilteredCapture(t *testing.T) {
	r := capturetest.Record(t, capturetest.Setup{})
	noise := &capturetest.Recording{}
	for range 50 {
		noise.Packets = append(noise.Packets, capturetest.Packet{At: r.Packets[0].At, Data: []byte{0x45, 0, 0, 1}})
	}
	noise.Packets = append(noise.Packets, r.Packets...)
	in, out := write(t, "in", noise.Ng(t, false)), filepath.Join(t.TempDir(), "out.pcapng")
	before, _, status := pqinspect(t, "--json", "--pcap-out", out, in)
	require.Zero(t, status)
	after, errs, status := pqinspect(t, "--json", out)
	require.Zero(t, status, errs)
	a, was := report(t, before)
	b, is := report(t, after)
	require.Equal(t, a, b)
	require.Less(t, is.Frames, was.Frames-50, "frames after the handshake are not written")
	require.Positive(t, is.Frames)

	_, errs, status = pqinspect(t, "--pcap-out", in, in)
	require.Equal(t, cli.StatusError, status)
	require.Contains(t, errs, "would overwrite")
	whole, err := os.ReadFile(in)
	require.NoError(t, err)
	require.Equal(t, noise.Ng(t, false), whole)
}

func TestPort(t *testing.T) {
	r, other := capturetest.Record(t, capturetest.Setup{}), capturetest.Record(t, capturetest.Setup{Client: x})
	both := write(t, "both", (&capturetest.Recording{Packets: append(other.Packets, r.Packets...)}).Ng(t, false))
	port := fmt.Sprint(binary.BigEndian.Uint16(r.Packets[0].Data[22:]))
	out, errs, status := pqinspect(t, "--require-pq", "--json", "--port", "1,"+port, both)
	require.Zero(t, status, errs)
	cs, _ := report(t, out)
	require.Len(t, cs, 1)
	_, _, status = pqinspect(t, "--require-pq", both)
	require.Equal(t, cli.StatusFailed, status)
}

func TestCommandLine(t *testing.T) {
	out, _, status := pqinspect(t, "--help")
	require.Zero(t, status)
	require.Contains(t, out, "Examples:")
	for _, args := range [][]string{nil, {"--listen", "lo", "file"}, {"--nonsense"}, {"--port", "65536", "file"}, {"--completion", "tcsh"}, {"--listen", "no-such-interface"}} {
		_, errs, status := pqinspect(t, args...)
		require.Equal(t, cli.StatusError, status, "%v", args)
		require.True(t, strings.HasPrefix(errs, "pqinspect: "), errs)
	}
	out, _, status = pqinspect(t, "--version")
	require.Zero(t, status)
	require.Contains(t, out, "pqinspect version ")
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		out, _, status = pqinspect(t, "--completion", shell)
		require.Zero(t, status)
		require.Contains(t, out, "pqinspect")
	}
	out, _, _ = pqinspect(t, "__complete", "--listen", "")
	require.Contains(t, out, "lo\n")
	out, _, _ = pqinspect(t, "__complete", "--keyl")
	require.Contains(t, out, "--keylog")
}

// Every linked module has its licence's text.
func TestLicenses(t *testing.T) {
	out, _, status := pqinspect(t, "--licenses")
	require.Zero(t, status)
	info, ok := debug.ReadBuildInfo()
	require.True(t, ok)
	n := 0
	for _, m := range info.Deps {
		if strings.HasPrefix(m.Path, "github.com/pqquic/") || strings.Contains(m.Path, "testify") || strings.Contains(m.Path, "yaml") {
			continue // used only by tests
		}
		n++
		_, text, found := strings.Cut(out, fmt.Sprintf("\n==== %s %s\n", m.Path, m.Version))
		require.True(t, found, m.Path)
		text, _, _ = strings.Cut(text, "\n==== ")
		require.Regexp(t, "(?i)copyright|license", text, m.Path)
		require.Greater(t, len(text), 500, m.Path)
	}
	require.Greater(t, n, 3)
	require.Contains(t, out, "==== The Go standard library")
}
