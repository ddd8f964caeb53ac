package e2e

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

func TestEveryPair(t *testing.T) {
	h := newHome(t)
	for _, server := range providers(t) {
		for _, client := range providers(t) {
			t.Run(server+" "+client, func(t *testing.T) {
				s := h.serve(t, "--provider", server)
				o := h.ask(t, s, "--provider", client, "--require-pq")
				require.Equal(t, client, *o.Provider)
				require.Equal(t, "X25519MLKEM768", *o.Group)
				require.Equal(t, 0x11ec, *o.GroupID)
				require.Equal(t, []int{1216, 1120}, []int{*o.ClientShareBytes, *o.ServerShareBytes})
				require.Equal(t, "pq-example", *o.ALPN)
				require.Contains(t, *o.Reply, "Hello from pq_server")
				require.False(t, *o.Resumed)
				out := s.stop(t)
				for _, want := range []string{server, "X25519MLKEM768 (0x11EC), post-quantum", "1216 bytes", "1120 bytes", *o.CipherSuite, `"Hello from pq_client"`} {
					require.Contains(t, out, want)
				}
			})
		}
	}
}

// Without flags the two programs connect, choose a provider and print the choice.
func TestNoFlags(t *testing.T) {
	h := newHome(t)
	s := h.serve(t)
	r := h.run(t, "pq_client", "--connect", s.addr)
	require.Zero(t, r.code, r.stderr)
	require.Contains(t, r.stderr, "using provider "+providers(t)[0])
	for _, want := range []string{"X25519MLKEM768 (0x11EC), post-quantum", "client 1216 bytes, server 1120 bytes", "reply", "Hello from pq_server"} {
		require.Contains(t, r.stdout, want)
	}
	require.Contains(t, s.ready, "127.0.0.1:")
	for _, p := range []string{"pq_server", "pq_client"} {
		help := h.run(t, p, "--help")
		require.Zero(t, help.code)
		require.Contains(t, help.stdout, "127.0.0.1:4433")
	}
}

func TestFlags(t *testing.T) {
	h := newHome(t)
	for _, p := range providers(t) {
		t.Run(p, func(t *testing.T) {
			s := h.serve(t, "--provider", p, "--alpn", "mine", "--groups", "SecP384r1MLKEM1024,P-256", "--message", "Welcome", "--json")
			o := h.ask(t, s, "--provider", p, "--alpn", "mine", "--groups", "SecP384r1MLKEM1024", "--message", "hi")
			require.Equal(t, "SecP384r1MLKEM1024", *o.Group)
			require.Equal(t, 0x11ed, *o.GroupID)
			require.Equal(t, "mine", *o.ALPN)
			require.Contains(t, *o.Reply, "Welcome")
			o = h.ask(t, s, "--provider", p, "--alpn", "mine", "--groups", "P-256")
			require.Equal(t, 0x17, *o.GroupID)
			require.Equal(t, 2, strings.Count(s.stop(t), `"group_id"`), "the server's JSON")

			s = h.serve(t, "--provider", p, "--echo", "--message", "line")
			o = h.ask(t, s, "--provider", p, "--message", "back again")
			require.Equal(t, "line\nback again", *o.Reply)
		})
	}
	if providers(t)[0] == "s2n" {
		s := h.serve(t, "--provider", "native")
		o := h.ask(t, s, "--provider", "s2n", "--policy", "20230317") // which a FIPS variant accepts too
		require.NotContains(t, *o.Group, "MLKEM", "the policy's own groups")
	}
}

// writePEM writes a chain and a key, and returns their files.
func writePEM(t *testing.T, c tlsprovider.Certificate) (cert, key string) {
	t.Helper()
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	var chain []byte
	for _, der := range c.Chain {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	require.NoError(t, os.WriteFile(cert, chain, 0o600))
	require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: c.KeyDER}), 0o600))
	return cert, key
}

func writeRoot(t *testing.T, ca *tlstest.Authority) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.DER}), 0o600))
	return file
}

func TestCertificates(t *testing.T) {
	h := newHome(t)
	ca := tlstest.NewAuthority(t)
	root := writeRoot(t, ca)
	cert, key := writePEM(t, ca.Leaf(t, func(c *x509.Certificate) { c.DNSNames = []string{"pq.example"} }))
	for _, p := range providers(t) {
		t.Run(p, func(t *testing.T) {
			s := h.serve(t, "--provider", p, "--cert", cert, "--key", key)
			h.ask(t, s, "--provider", p, "--ca", root, "--server-name", "pq.example")
			mutual := h.serve(t, "--provider", p, "--cert", cert, "--key", key, "--ca", root)
			h.ask(t, mutual, "--provider", p, "--ca", root, "--server-name", "pq.example", "--cert", cert, "--key", key)
			r := h.run(t, "pq_client", "--connect", mutual.addr, "--provider", p, "--ca", root, "--server-name", "pq.example")
			r.requireRefusal(t, "certificate")
			demo := h.serve(t, "--provider", p, "--server-name", "made.example")
			h.ask(t, demo, "--provider", p, "--server-name", "made.example")
		})
	}
}

// Either side can log its keys, and both log the same ones.
func TestKeyLog(t *testing.T) {
	h := newHome(t)
	for _, p := range providers(t) {
		t.Run(p, func(t *testing.T) {
			dir := t.TempDir()
			theirs, ours := filepath.Join(dir, "server"), filepath.Join(dir, "client")
			s := h.with("SSLKEYLOGFILE="+theirs).serve(t, "--provider", p)
			require.Contains(t, strings.Join(s.before, "\n"), "SECRETS are written to "+theirs)
			r := h.with("SSLKEYLOGFILE="+ours).run(t, "pq_client", "--connect", s.addr, "--provider", p, "--json")
			require.Zero(t, r.code, r.stderr)
			require.Equal(t, 1, strings.Count(r.stderr, "SECRETS are written to "+ours), r.stderr)
			s.stop(t)
			require.Equal(t, keyLogOf(t, theirs), keyLogOf(t, ours))
			r = h.with("SSLKEYLOGFILE=").run(t, "pq_client", "--provider", p, "--version")
			require.Zero(t, r.code, r.stderr)
		})
	}
}

func keyLogOf(t *testing.T, file string) []string {
	t.Helper()
	log, err := os.ReadFile(file)
	require.NoError(t, err)
	for _, label := range []string{"CLIENT_HANDSHAKE_TRAFFIC_SECRET ", "SERVER_TRAFFIC_SECRET_0 "} {
		require.Equal(t, 1, strings.Count(string(log), label))
	}
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Zero(t, info.Mode().Perm()&0o077, "only the user may read it")
	return slices.Sorted(slices.Values(strings.Split(string(log), "\n")))
}

func TestVersionAndLicenses(t *testing.T) {
	h := newHome(t)
	for _, p := range []string{"pq_server", "pq_client"} {
		v := h.run(t, p, "--version")
		require.Zero(t, v.code)
		require.Contains(t, v.stdout, p)
		require.Contains(t, v.stdout, "crypto/tls go1.")
		l := h.run(t, p, "--licenses")
		require.Zero(t, l.code)
		require.Contains(t, l.stdout, "Apache License")
		require.Contains(t, l.stdout, "AWS-LC")
	}
}

// TestPostQuantumCertificates runs the programs with ML-DSA certificates, where the providers have it, and checks that
// --require-pq-auth refuses a classical one.
func TestPostQuantumCertificates(t *testing.T) {
	h := newHome(t)
	file := func(name string) string { return "../../../../tlsprovider/tlstest/testdata/certs/" + name + ".pem" }
	pq := []string{"--cert", file("ml-dsa-65"), "--key", file("ml-dsa-65-key")}
	for _, p := range providers(t) {
		t.Run(p, func(t *testing.T) {
			classical := h.serve(t, "--provider", p, "--cert", file("ecdsa-p256"), "--key", file("ecdsa-p256-key"))
			r := h.run(t, "pq_client", "--provider", p, "--connect", classical.addr, "--server-name", "server.test", "--ca",
				file("root-ecdsa-p256"), "--require-pq-auth")
			if strings.Contains(r.stderr, "has no ML-DSA") {
				r.requireRefusal(t, "RequirePQAuth")
				h.run(t, "pq_server", append(pq, "--provider", p, "--listen", "127.0.0.1:0")...).requireRefusal(t, "ML-DSA-65")
				return
			}
			r.requireRefusal(t, "RequirePQAuth", "ecdsa_secp256r1_sha256")
			s := h.serve(t, append(pq, "--provider", p)...)
			r = h.run(t, "pq_client", "--provider", p, "--connect", s.addr, "--server-name", "server.test", "--ca", file("root-ml-dsa-65"),
				"--require-pq", "--require-pq-auth")
			require.Zero(t, r.code, r.stderr)
		})
	}
}
