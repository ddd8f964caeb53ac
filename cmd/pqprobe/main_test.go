package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cmd/internal/certs"
	"github.com/pqquic/pqquic/cmd/internal/cli"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
)

// pqprobe runs the command line. It returns the standard output and the error, which decides the exit status.
func pqprobe(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	c := newCommand()
	c.SetArgs(args)
	c.SetIn(strings.NewReader(stdin))
	c.SetOut(&out)
	c.SetErr(&out)
	err := c.ExecuteContext(t.Context())
	return out.String(), err
}

// serve starts a QUIC server and returns its address and a file with the certificate of its authority.
func serve(t *testing.T, groups ...tlsprovider.Group) (addr, ca string) {
	v := certs.Validity{From: time.Now().Add(-time.Hour), To: time.Now().Add(time.Hour)}
	root, err := certs.NewRoot("root", "ecdsa-p256", v)
	require.NoError(t, err)
	leaf, err := root.NewLeaf("leaf\x1b[31m", []string{"127.0.0.1"}, "ecdsa-p384", v)
	require.NoError(t, err)
	der, err := certs.MarshalKey(leaf.Key, certs.Seed)
	require.NoError(t, err)
	cert := tlsprovider.Certificate{Chain: leaf.Chain, KeyDER: der}
	ca = filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, root.ChainPEM(), 0o600))
	l, err := quic.Listen("udp", "127.0.0.1:0", &quic.Config{Provider: native.New(), TLS: &tlsprovider.Config{
		NextProtos: []string{"h3"}, Certificates: []tlsprovider.Certificate{cert}, Groups: groups,
	}})
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			if _, err := l.Accept(context.Background()); err != nil {
				return
			}
		}
	}()
	return l.Addr().String(), ca
}

// TestJSON checks the names and types of the fields that programs read.
func TestJSON(t *testing.T) {
	addr, ca := serve(t)
	out, err := pqprobe(t, "", "--json", "--require-pq", "--ca", ca, "--handshake-timeout", "20s", addr)
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(out, "\n"), "one line a host")
	var r map[string]any
	require.NoError(t, json.Unmarshal([]byte(out), &r))
	require.Equal(t, addr, r["host"])
	require.Equal(t, true, r["pq_key_exchange"])
	require.Equal(t, false, r["pq_authentication"])

	q := r["quic"].(map[string]any)
	for field, want := range map[string]any{
		"reachable": true, "address": addr, "preferred": "X25519MLKEM768", "group_id": 4588.0, "hello_retry": false, "alpn": "h3",
		"preference_of": "server", "negotiated": "X25519MLKEM768", "without_share": "X25519MLKEM768", "silent_fallback": false,
		"large_hello": "answered", "cipher_suite": "TLS_AES_128_GCM_SHA256", "retry": false, "ocsp_staple": false, "resumption": true,
		"early_data": false, "verified": true, "signature_scheme": "ecdsa_secp384r1_sha384", "pq_key_exchange": true,
		"pq_authentication": false, "versions": []any{"v1"}, "lost_groups": []any{}, "notes": []any{},
		"groups": []any{"X25519MLKEM768", "SecP256r1MLKEM768", "SecP384r1MLKEM1024", "X25519", "P-256", "P-384"},
	} {
		require.Contains(t, q, field)
		require.Equal(t, want, q[field], field)
	}
	require.NotContains(t, q, "error")

	tcp := r["tcp"].(map[string]any)
	require.Equal(t, false, tcp["reachable"])
	require.NotEmpty(t, tcp["error"])
	for _, field := range []string{"groups", "preferred", "group_id", "hello_retry", "alpn", "versions"} {
		require.Contains(t, tcp, field, "also if it is not reachable")
	}

	chain := r["chain"].([]any)
	require.Len(t, chain, 1)
	leaf := chain[0].(map[string]any)
	require.Equal(t, "ECDSA P-384", leaf["public_key"])
	require.Equal(t, "ECDSA-SHA256", leaf["signature_algorithm"])
	require.Positive(t, leaf["bytes"])
	require.Equal(t, false, leaf["pq_signature"])
}

// TestExitStatus checks the exit status and the order of the reports.
func TestExitStatus(t *testing.T) {
	pq, ca := serve(t)
	classical, _ := serve(t, tlsprovider.X25519)
	closed, err := os.CreateTemp(t.TempDir(), "hosts")
	require.NoError(t, err)
	_, err = closed.WriteString("# servers\n" + pq + "\n\n" + classical + " # old\n")
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	common := []string{"--ca", ca, "--transport", "quic", "--handshake-timeout", "20s"}
	const unreachable = "127.0.0.1:1"
	tests := []struct {
		name  string
		args  []string
		stdin string
		want  int
		text  string
	}{
		{"all post-quantum", []string{"--require-pq", pq}, "", 0, ""},
		{"classical, not required", []string{classical}, "", 0, ""},
		{"classical", []string{"--require-pq", pq, classical}, "", 1, "the key exchange is not post-quantum: " + classical},
		{"classical authentication", []string{"--require-pq-auth", pq}, "", 1, "the authentication is not post-quantum: " + pq},
		{"file", []string{"--require-pq", "--file", closed.Name()}, "", 1, classical},
		{"standard input", []string{"--require-pq", "--file", "-"}, pq + "\n", 0, ""},
		{"not reachable", []string{pq, unreachable}, "", 2, "not reachable: " + unreachable},
		{"not reachable and classical", []string{"--require-pq", classical, unreachable}, "", 1, unreachable},
		{"no host", nil, "", 2, "no host given"},
		{"not a host", []string{"https://example.com/"}, "", 2, "is not HOST or HOST:PORT"},
		{"unknown transport", []string{"--transport", "sctp", pq}, "", 2, "sctp"},
		{"no parallel", []string{"--parallel", "0", pq}, "", 2, "--parallel"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := pqprobe(t, tt.stdin, append(append([]string{}, common...), tt.args...)...)
			require.Equal(t, tt.want, cli.Status[*notPostQuantum](err), "%v", err)
			if tt.want != 0 {
				require.ErrorContains(t, err, tt.text)
			}
			require.NotContains(t, out, "\x1b", "what a server sends does not reach the terminal as it is")
			if tt.name == "classical" {
				require.Less(t, strings.Index(out, pq), strings.Index(out, classical), "the order of the command line")
				require.Contains(t, out, "POST-QUANTUM")
				require.Contains(t, out, "CLASSICAL")
			}
		})
	}
}
