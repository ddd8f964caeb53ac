package e2e

import (
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

// Each bad input ends with one line that names the cause and what to do about it.
func TestBadInput(t *testing.T) {
	h := newHome(t)
	ca := tlstest.NewAuthority(t)
	cert, key := writePEM(t, ca.Leaf(t, nil))
	_, otherKey := writePEM(t, ca.Leaf(t, nil))
	junk := filepath.Join(t.TempDir(), "junk.pem")
	require.NoError(t, os.WriteFile(junk, []byte("not PEM at all"), 0o600))
	type refusal struct {
		name  string
		args  []string
		wants []string
	}
	for _, p := range providers(t) {
		both := []refusal{
			{"unknown group", []string{"--groups", "X25519,Kyber512"}, []string{`"Kyber512"`, "X25519MLKEM768"}},
			{"certificate without key", []string{"--cert", cert}, []string{"--cert and --key go together"}},
			{"missing certificate", []string{"--cert", "/nonexistent.pem", "--key", key}, []string{"/nonexistent.pem", "no such file"}},
			{"junk for a certificate", []string{"--cert", junk, "--key", key}, []string{junk, "no CERTIFICATE block"}},
			{"mismatched key", []string{"--cert", cert, "--key", otherKey}, []string{"does not belong"}},
			{"missing roots", []string{"--ca", "/nonexistent.pem"}, []string{"/nonexistent.pem"}},
			{"junk for roots", []string{"--ca", junk}, []string{junk, "no CERTIFICATE block"}},
			{"unknown flag", []string{"--nonesuch"}, []string{"nonesuch", "--help"}},
			{"an argument", []string{"argument"}, []string{`"argument"`}},
			{"classical groups and --require-pq", []string{"--groups", "P-256", "--require-pq"}, []string{"RequirePQ", "P-256"}},
		}
		if p == "s2n" {
			both = append(both,
				refusal{"unknown policy", []string{"--policy", "nonesuch"}, []string{`"nonesuch"`}},
				refusal{"policy without TLS 1.3", []string{"--policy", "20170210"}, []string{"TLS 1.3"}},
				refusal{"policy and groups", []string{"--policy", "default_pq", "--groups", "P-256"}, []string{"Policy", "Groups"}})
		} else {
			both = append(both, refusal{"a policy for crypto/tls", []string{"--policy", "default_pq"}, []string{"Policy", "s2n"}})
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
			{"wrong name", []string{"pq_client", "--connect", s.addr, "--server-name", "other.example"}, []string{"other.example"}},
			{"no common group", []string{"pq_client", "--connect", classicalServer(t, h, p).addr, "--groups", "P-384"}, []string{"handshake_failure", "--groups"}},
			{"a classical server and --require-pq", []string{"pq_client", "--connect", classicalServer(t, h, p).addr, "--require-pq"}, []string{"insufficient_security", "leave --require-pq out"}},
		} {
			t.Run(p+" "+tt.name, func(t *testing.T) {
				h.run(t, tt.args[0], append(tt.args[1:], "--provider", p)...).requireRefusal(t, tt.wants...)
			})
		}
	}
	for _, program := range []string{"pq_server", "pq_client"} {
		h.run(t, program, "--provider", "openssl").requireRefusal(t, `"openssl"`, "s2n or native")
		if len(providers(t)) == 1 {
			h.run(t, program, "--provider", "s2n").requireRefusal(t, "make build")
		}
	}
}

func classicalServer(t *testing.T, h home, provider string) *server {
	t.Helper()
	return h.serve(t, "--provider", provider, "--groups", "P-256")
}

// A client on a machine without the demonstration's authority says how to get one.
func TestNoAuthority(t *testing.T) {
	newHome(t).run(t, "pq_client", "--provider", "native").requireRefusal(t, "start pq_server first", "--ca")
}

// A group that this build lacks: Go leaves the hybrids out when a setting says so.
func TestGroupThatTheBuildLacks(t *testing.T) {
	h := newHome(t)
	for _, program := range []string{"pq_server", "pq_client"} {
		s := h.serve(t, "--provider", "native") // makes the authority
		addr := []string{"--listen", "127.0.0.1:0"}
		if program == "pq_client" {
			addr = []string{"--connect", s.addr}
		}
		cmd := h.command(t.Context(), program, append(addr, "--provider", "native", "--groups", "X25519MLKEM768")...)
		cmd.Env = append(cmd.Env, "GODEBUG=tlsmlkem=0")
		runCommand(t, cmd).requireRefusal(t, "X25519MLKEM768", "tlsmlkem=0", "remove it")
	}
}

// peer is a UDP socket with something else behind it than QUIC version 1.
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

// Nobody listens, and nobody was asked for a provider: still one line.
func TestNobodyListens(t *testing.T) {
	h := newHome(t)
	h.serve(t, "--provider", "native") // makes the authority
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := c.LocalAddr().String()
	require.NoError(t, c.Close())
	h.run(t, "pq_client", "--connect", addr, "--timeout", "1s").requireRefusal(t, "nothing that speaks QUIC answers at "+addr)
}

func TestPeersThatAreNotOurs(t *testing.T) {
	h := newHome(t)
	h.serve(t, "--provider", "native") // makes the authority
	silent := peer(t, func([]byte) []byte { return nil })
	echo := peer(t, func(pkt []byte) []byte { return pkt })
	oldVersion := peer(t, func(pkt []byte) []byte {
		// A Version Negotiation packet that knows nothing but a draft (RFC 9000, 17.2.1).
		dst := pkt[6:][:pkt[5]]
		src := pkt[6+len(dst)+1:][:pkt[6+len(dst)]]
		vn := append([]byte{0xc0, 0, 0, 0, 0, byte(len(src))}, src...)
		vn = append(append(vn, byte(len(dst))), dst...)
		return binary.BigEndian.AppendUint32(vn, 0xff00001d)
	})
	for _, p := range providers(t) {
		client := func(addr string) result {
			return h.run(t, "pq_client", "--provider", p, "--connect", addr, "--timeout", "1s")
		}
		client(silent).requireRefusal(t, "nothing that speaks QUIC answers at "+silent)
		client(echo).requireRefusal(t, "nothing that speaks QUIC answers at "+echo)
		client(oldVersion).requireRefusal(t, "does not speak QUIC version 1")
	}
}
