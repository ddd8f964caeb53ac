package e2e

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

// Each invalid input ends with one line that names the cause and the remedy.
func TestBadInput(t *testing.T) {
	h := newHome(t)
	ca := tlstest.NewAuthority(t)
	cert, key := writePEM(t, ca.Leaf(t, nil))
	_, otherKey := writePEM(t, ca.Leaf(t, nil))
	edCert, edKey := writePEM(t, ed25519Leaf(t, ca))
	dir := t.TempDir()
	junk := filepath.Join(dir, "junk.pem")
	require.NoError(t, os.WriteFile(junk, []byte("not PEM at all"), 0o600))
	type refusal struct {
		name  string
		args  []string
		wants []string
	}
	for _, p := range providers(t) {
		both := []refusal{
			{"unknown group", []string{"--groups", "X25519,Kyber512"}, []string{`"Kyber512"`, "X25519MLKEM768"}},
			{"certificate without key", []string{"--cert", cert}, []string{"--cert and --key must be given together"}},
			{"key without certificate", []string{"--key", key}, []string{"--cert and --key must be given together"}},
			{"missing certificate", []string{"--cert", "/nonexistent.pem", "--key", key}, []string{"--cert", "/nonexistent.pem", "no such file"}},
			{"missing key", []string{"--cert", cert, "--key", "/nonexistent.pem"}, []string{"--key", "/nonexistent.pem", "no such file"}},
			{"directory for a certificate", []string{"--cert", dir, "--key", key}, []string{"--cert", dir, "is a directory"}},
			{"junk for a certificate", []string{"--cert", junk, "--key", key}, []string{"--cert", junk, "no CERTIFICATE block"}},
			{"files in each other's place", []string{"--cert", key, "--key", cert}, []string{"--cert", "no CERTIFICATE block"}},
			{"mismatched key", []string{"--cert", cert, "--key", otherKey}, []string{cert, otherKey, "does not belong", "use the key that"}},
			{"missing roots", []string{"--ca", "/nonexistent.pem"}, []string{"--ca", "/nonexistent.pem"}},
			{"junk for roots", []string{"--ca", junk}, []string{"--ca", junk, "no CERTIFICATE block"}},
			{"no group", []string{"--groups", ","}, []string{"unknown group", "X25519MLKEM768"}},
			{"no protocol", []string{"--alpn", ""}, []string{"1 to 255 bytes"}},
			{"unknown flag", []string{"--nonesuch"}, []string{"nonesuch", "--help"}},
			{"an argument", []string{"argument"}, []string{`"argument"`}},
			{"classical groups and --require-pq", []string{"--groups", "P-256", "--require-pq"}, []string{"RequirePQ", "P-256"}},
		}
		if p == "s2n" {
			both = append(both,
				refusal{"unknown policy", []string{"--policy", "nonesuch"}, []string{`"nonesuch"`, "such as default_pq"}},
				refusal{"policy without TLS 1.3", []string{"--policy", "20170210"}, []string{"TLS 1.3", "such as default_pq"}},
				refusal{"Ed25519 certificate", []string{"--cert", edCert, "--key", edKey}, []string{"Ed25519", "or ECDSA on"}},
				refusal{"policy and groups", []string{"--policy", "default_pq", "--groups", "P-256"}, []string{"Policy", "Groups"}})
		} else {
			both = append(both, refusal{"a policy for crypto/tls", []string{"--policy", "default_pq"}, []string{"Policy", "use the s2n provider"}})
		}
		s := h.serve(t, "--provider", p)
		for _, tt := range both {
			t.Run(p+" "+tt.name, func(t *testing.T) {
				for _, program := range []string{"pq_server", "pq_client"} {
					addr := []string{"--provider", p, "--connect", s.addr}
					if program == "pq_server" {
						addr = []string{"--provider", p, "--listen", "127.0.0.1:0"}
					}
					h.run(t, program, append(addr, tt.args...)...).requireRefusal(t, append(tt.wants, program+": ")...)
				}
			})
		}
		for _, tt := range []refusal{
			{"address in use", []string{"pq_server", "--listen", s.addr}, []string{"address already in use", "--listen"}},
			{"not an address", []string{"pq_server", "--listen", "nonsense"}, []string{"nonsense"}},
			{"not an address", []string{"pq_client", "--connect", "nonsense"}, []string{"--connect", "nonsense"}},
			{"ALPN mismatch", []string{"pq_client", "--connect", s.addr, "--alpn", "other"}, []string{"no_application_protocol", "--alpn"}},
			{"untrusted certificate", []string{"pq_client", "--connect", s.addr, "--ca", writeRoot(t, ca)}, []string{"unknown_ca", "--ca"}},
			{"wrong name", []string{"pq_client", "--connect", s.addr, "--server-name", "other.example"}, []string{"other.example", "--server-name"}},
			{"no time", []string{"pq_client", "--connect", s.addr, "--timeout", "0"}, []string{"--timeout"}},
			{"port 0", []string{"pq_client", "--connect", "127.0.0.1:0"}, []string{"port 0"}},
			{"no common group", []string{"pq_client", "--connect", classicalServer(t, h, p).addr, "--groups", "P-384"}, []string{"handshake_failure", "--groups"}},
			{"a classical server and --require-pq", []string{"pq_client", "--connect", classicalServer(t, h, p).addr, "--require-pq"}, []string{"insufficient_security", "omit --require-pq"}},
		} {
			t.Run(p+" "+tt.name, func(t *testing.T) {
				h.run(t, tt.args[0], append(tt.args[1:], "--provider", p)...).requireRefusal(t, tt.wants...)
			})
		}
	}
	for _, program := range []string{"pq_server", "pq_client"} {
		h.run(t, program, "--provider", "openssl").requireRefusal(t, `"openssl"`, "s2n or native")
		if len(providers(t)) == 1 {
			h.run(t, program, "--provider", "s2n").requireRefusal(t, "not linked")
		}
	}
}

func ed25519Leaf(t *testing.T, ca *tlstest.Authority) tlsprovider.Certificate {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return tlsprovider.Certificate{Chain: ca.Issue(t, key, nil), KeyDER: der}
}

// An invalid certificate, on either side, is reported with the remedy.
func TestRefusedCertificates(t *testing.T) {
	h := newHome(t)
	ca, stranger := tlstest.NewAuthority(t), tlstest.NewAuthority(t)
	root := writeRoot(t, ca)
	local := func(c *x509.Certificate) { c.DNSNames = []string{"localhost"} }
	old := func(c *x509.Certificate) {
		local(c)
		c.NotBefore, c.NotAfter = time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour)
	}
	cert, key := writePEM(t, ca.Leaf(t, local))
	oldCert, oldKey := writePEM(t, ca.Leaf(t, old))
	strangeCert, strangeKey := writePEM(t, stranger.Leaf(t, local))
	for _, p := range providers(t) {
		t.Run(p, func(t *testing.T) {
			ask := func(s *server, args ...string) result {
				return h.run(t, "pq_client", append([]string{"--provider", p, "--connect", s.addr, "--ca", root}, args...)...)
			}
			expired := h.serve(t, "--provider", p, "--cert", oldCert, "--key", oldKey)
			ask(expired).requireRefusal(t, "certificate_expired", "the server needs another certificate")
			mutual := h.serve(t, "--provider", p, "--cert", cert, "--key", key, "--ca", root)
			ask(mutual).requireRefusal(t, "certificate_required", "give --cert and --key")
			ask(mutual, "--cert", oldCert, "--key", oldKey).requireRefusal(t, "certificate_expired", "another certificate with --cert")
			ask(mutual, "--cert", strangeCert, "--key", strangeKey).requireRefusal(t, "unknown_ca", "give it with --ca there")
			mutual.stop(t)
		})
	}
	if providers(t)[0] == "s2n" {
		edCert, edKey := writePEM(t, ed25519Leaf(t, ca))
		s := h.serve(t, "--provider", "native", "--cert", edCert, "--key", edKey)
		h.run(t, "pq_client", "--provider", "s2n", "--connect", s.addr, "--ca", root).
			requireRefusal(t, "handshake_failure", "kind of certificate", "the server's --cert")
	}
}

// A key log that cannot be written is an error.
func TestKeyLogThatCannotBeOpened(t *testing.T) {
	h := newHome(t)
	s := h.serve(t, "--provider", "native")
	for program, addr := range map[string][]string{
		"pq_server": {"--listen", "127.0.0.1:0"}, "pq_client": {"--connect", s.addr},
	} {
		h := h.with("SSLKEYLOGFILE=/nonexistent/keys")
		h.run(t, program, append(addr, "--provider", "native")...).requireRefusal(t, "SSLKEYLOGFILE", "/nonexistent/keys", "unset it")
		// If nothing is written to a key log, no notice is printed.
		h = h.with("SSLKEYLOGFILE=" + filepath.Join(t.TempDir(), "keys"))
		h.run(t, program, append(addr, "--provider", "native", "--alpn", "")...).requireRefusal(t, "1 to 255 bytes")
	}
}

func classicalServer(t *testing.T, h home, provider string) *server {
	t.Helper()
	return h.serve(t, "--provider", provider, "--groups", "P-256")
}

// A client on a machine without the demonstration's authority explains how to get one.
func TestNoAuthority(t *testing.T) {
	newHome(t).run(t, "pq_client", "--provider", "native").requireRefusal(t, "start the server of the demo first", "--ca")
}

// A group that is unavailable: Go omits the hybrids when a setting disables them.
func TestUnavailableGroup(t *testing.T) {
	h := newHome(t)
	for _, program := range []string{"pq_server", "pq_client"} {
		s := h.serve(t, "--provider", "native") // makes the authority
		addr := []string{"--listen", "127.0.0.1:0"}
		if program == "pq_client" {
			addr = []string{"--connect", s.addr}
		}
		h.with("GODEBUG=tlsmlkem=0").run(t, program, append(addr, "--provider", "native", "--groups", "X25519MLKEM768")...).
			requireRefusal(t, "X25519MLKEM768", "tlsmlkem=0", "remove it")
	}
}

// peer is a UDP socket that does not speak QUIC version 1.
func peer(t *testing.T, answer func(pkt []byte) []byte) string {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	go func() {
		buf := make([]byte, 2048)
		for {
			n, from, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			if out := answer(buf[:n]); out != nil {
				_, _ = c.WriteTo(out, from)
			}
		}
	}()
	return c.LocalAddr().String()
}

// A port that refuses, without --provider, still gives one line.
func TestNoServer(t *testing.T) {
	h := newHome(t)
	h.serve(t, "--provider", "native") // makes the authority
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := c.LocalAddr().String()
	require.NoError(t, c.Close())
	h.dialAddr(t, addr).requireRefusal(t, "quic: dial "+addr, "is pq_server running at "+addr)
}

// dialAddr runs pq_client with a short timeout. On a machine that is busy, it may pass before the client dials: then it gets more time.
func (h home) dialAddr(t *testing.T, addr string, args ...string) result {
	t.Helper()
	for timeout := time.Second; ; timeout *= 2 {
		r := h.run(t, "pq_client", append(args, "--connect", addr, "--timeout", timeout.String())...)
		if strings.Contains(r.stderr, "quic: dial") || timeout > time.Minute {
			return r
		}
	}
}

func TestOtherPeers(t *testing.T) {
	h := newHome(t)
	h.serve(t, "--provider", "native") // makes the authority
	silent := peer(t, func([]byte) []byte { return nil })
	echo := peer(t, func(pkt []byte) []byte { return pkt })
	oldVersion := peer(t, func(pkt []byte) []byte {
		// A Version Negotiation packet that offers only a draft version (RFC 9000, 17.2.1).
		dst := pkt[6:][:pkt[5]]
		src := pkt[6+len(dst)+1:][:pkt[6+len(dst)]]
		vn := append([]byte{0xc0, 0, 0, 0, 0, byte(len(src))}, src...)
		vn = append(append(vn, byte(len(dst))), dst...)
		return binary.BigEndian.AppendUint32(vn, 0xff00001d)
	})
	for _, p := range providers(t) {
		client := func(addr string) result { return h.dialAddr(t, addr, "--provider", p) }
		client(silent).requireRefusal(t, "no QUIC packet was received", "is pq_server running at "+silent)
		client(echo).requireRefusal(t, "no QUIC packet was received", "is pq_server running at "+echo)
		client(oldVersion).requireRefusal(t, "does not speak QUIC version 1")
	}
}
