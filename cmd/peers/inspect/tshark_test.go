package inspect

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cmd/internal/capture"
	"github.com/pqquic/pqquic/cmd/internal/inspect"
)

// compare compares the reports with tshark's reading of the same packets. If tshark is not installed, it
// does nothing, or with CI=true fails.
func (r *tapped) compare(t *testing.T) {
	t.Helper()
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		require.NotEqual(t, "true", os.Getenv("CI"), "tshark is not installed: run scripts/bootstrap test")
		return
	}
	file := filepath.Join(t.TempDir(), "tapped.pcapng")
	f, err := os.Create(file)
	require.NoError(t, err)
	w := capture.NewWriter(f)
	for _, frame := range r.frames {
		require.NoError(t, w.Write(frame))
	}
	require.NoError(t, w.Close())
	require.NoError(t, f.Close())
	keys := filepath.Join(t.TempDir(), "keys.log")
	require.NoError(t, os.WriteFile(keys, r.keyLog.Bytes(), 0o600))
	read := func(kind int, fields ...string) [][]string {
		args := []string{"-r", file, "-2", "-d", fmt.Sprintf("udp.port==%d,quic", r.server.Port()), "-o", "tls.keylog_file:" + keys,
			"-Y", fmt.Sprintf("tls.handshake.type==%d", kind), "-T", "fields", "-E", "separator=|", "-E", "aggregator=,"}
		for _, f := range fields {
			args = append(args, "-e", f)
		}
		out, err := exec.Command(tshark, args...).Output()
		require.NoError(t, err)
		var rows [][]string
		for line := range strings.Lines(string(out)) {
			rows = append(rows, strings.Split(strings.TrimRight(line, "\n"), "|"))
		}
		return rows
	}
	if retries, err := exec.Command(tshark, "-r", file, "-d", fmt.Sprintf("udp.port==%d,quic", r.server.Port()), "-Y", "quic.long.packet_type==3").Output(); err != nil || strings.Count(string(retries), "\n") > 1 {
		require.NoError(t, err)
		fmt.Println("NOT COMPARED: of several Retry packets tshark follows the last one, the client the first")
		return
	}
	hellos := read(1, "tls.handshake.ciphersuite", "tls.handshake.extensions_supported_group", "tls.handshake.extensions_key_share_group",
		"tls.handshake.extensions_key_share_key_exchange_length", "tls.handshake.extensions_server_name", "tls.handshake.extensions_alpn_str", "quic.version")
	var want [][]string
	for _, c := range r.reports {
		for _, h := range []*inspect.ClientHello{c.Hello, c.RetryHello} {
			if h != nil {
				want = append(want, helloRow(h))
			}
		}
	}
	var got [][]string
	for _, row := range hellos {
		got = append(got, []string{numbers(row[0]), numbers(row[1]), numbers(row[2]), numbers(row[3]), row[4], row[5]})
		require.Equal(t, "1", numbers(row[6])[:1])
	}
	require.Equal(t, want, got)
	r.compareAnswers(t, read(2, "tls.handshake.ciphersuite", "tls.handshake.extensions_key_share_group", "tls.handshake.extensions_key_share_selected_group"))
	certs := 0
	for _, c := range r.reports {
		if c.Handshake != nil && c.Handshake.Certificate != nil {
			certs++
		}
	}
	require.Len(t, read(11, "tls.handshake.certificate"), certs)
	r.inject(t, file, keys)
}

// inject adds the secrets to the capture with editcap, which is part of tshark's package.
func (r *tapped) inject(t *testing.T, file, keys string) {
	t.Helper()
	injected := file + ".secrets"
	out, err := exec.Command("editcap", "--inject-secrets", "tls,"+keys, file, injected).CombinedOutput()
	require.NoError(t, err, string(out))
	s, err := capture.Open(injected)
	require.NoError(t, err)
	defer s.Close()
	log := new(inspect.KeyLog)
	var got []*inspect.Connection
	in := inspect.New(inspect.Options{KeyLog: log, Report: func(c *inspect.Connection) { got = append(got, c) }})
	for {
		f, err := s.Next()
		if err == io.EOF {
			break
		}
		require.NoError(t, err)
		log.Add(s.Secrets())
		in.Frame(f)
	}
	in.Finish()
	require.Len(t, got, len(r.reports))
	for i := range got {
		require.Equal(t, r.reports[i].Handshake, got[i].Handshake)
	}
}

// compareAnswers compares ServerHellos and HelloRetryRequests with tshark's.
func (r *tapped) compareAnswers(t *testing.T, rows [][]string) {
	t.Helper()
	var want, got [][]string
	for _, c := range r.reports {
		if h := c.RetryRequest; h != nil {
			want = append(want, []string{strconv.Itoa(int(h.Suite.ID)), "", strconv.Itoa(int(h.Group.ID))})
		}
		want = append(want, []string{strconv.Itoa(int(c.Suite.ID)), strconv.Itoa(int(c.Selected.ID)), ""})
	}
	for _, row := range rows {
		got = append(got, []string{numbers(row[0]), numbers(row[1]), numbers(row[2])})
	}
	require.Equal(t, want, got)
}

func helloRow(h *inspect.ClientHello) []string {
	var suites, groups, shares, sizes []string
	for _, s := range h.Suites {
		suites = append(suites, strconv.Itoa(int(s.ID)))
	}
	for _, g := range h.Groups {
		groups = append(groups, strconv.Itoa(int(g.ID)))
	}
	for _, s := range h.Shares {
		shares = append(shares, strconv.Itoa(int(s.ID)))
		sizes = append(sizes, strconv.Itoa(s.Bytes))
	}
	join := func(s []string) string { return strings.Join(s, ",") }
	return []string{join(suites), join(groups), join(shares), join(sizes), h.ServerName, join(h.ALPN)}
}

// numbers converts a list of tshark, hexadecimal or not, to decimal.
func numbers(s string) string {
	if s == "" {
		return ""
	}
	list := strings.Split(s, ",")
	for i, n := range list {
		v, err := strconv.ParseUint(n, 0, 64)
		if err != nil {
			return s
		}
		list[i] = strconv.FormatUint(v, 10)
	}
	return strings.Join(slices.Clip(list), ",")
}
