//go:build checks

package checks

import (
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDemo runs scripts/demo while its port is in use, with one side that is not post-quantum, and with the FIPS
// modules.
func TestDemo(t *testing.T) {
	t.Parallel()
	built(t, "default", "fips")
	// The error is ignored: another program may already use the port.
	if c, err := net.ListenPacket("udp", "127.0.0.1:4433"); err == nil {
		defer c.Close()
	}
	s := in(t, root)
	out := s.run("scripts/demo")
	require.Contains(t, out, "UDP port 4433 is taken: using a free one")
	require.Len(t, regexp.MustCompile(`(?m)X25519MLKEM768 0x11EC  *1216\+1120 .* yes$`).FindAllString(out, -1), 4, out)
	require.True(t, strings.HasSuffix(out, "every pair negotiated X25519MLKEM768 (0x11EC) and exchanged data\n"), out)

	// Without the hybrid in crypto/tls, the pairs with the native provider fail, and so does the demo.
	out, err := s.with("GODEBUG=tlsmlkem=0").try("scripts/demo")
	require.Error(t, err, out)
	require.Len(t, regexp.MustCompile(`(?m) yes$`).FindAllString(out, -1), 1, out)
	require.Len(t, regexp.MustCompile(`(?m) no$`).FindAllString(out, -1), 3, out)
	require.Contains(t, out, "NOT every pair is post-quantum")

	out = s.run("scripts/demo", "fips")
	require.Regexp(t, `(?m)^s2n .*AWS-LC FIPS 3\.[0-9.]+; FIPS mode on, .*self-test passed`, out)
	require.Regexp(t, `(?m)^native .*FIPS mode on, Go Cryptographic Module v[0-9.]+, self-test passed`, out)
	require.Len(t, regexp.MustCompile(`(?m) yes$`).FindAllString(out, -1), 4, out)
}

// TestPcapDemo runs scripts/pcap-demo with both methods of capture.
func TestPcapDemo(t *testing.T) {
	built(t, "default")
	for _, how := range []string{"", "relay"} {
		out := in(t, root, "CAPTURE="+how).run("scripts/pcap-demo")
		require.Regexp(t, `verdict  *POST-QUANTUM: X25519MLKEM768 \(0x11EC\) was negotiated`, out)
		require.Contains(t, out, "X25519MLKEM768 (0x11EC), 1216 bytes = 1184 + 32 ")
		require.Regexp(t, `certificate .*signed with ECDSA`, out, "the key log is not used")
		require.True(t, strings.HasSuffix(out, ": 1 post-quantum, 0 classical, 0 unknown\n"), out)
		if how == "relay" {
			require.Contains(t, out, "recorded by a relay")
		} else if os.Getuid() == 0 {
			require.Regexp(t, `captured on the loopback interface|CAP_NET_RAW`, out)
		}
	}
}

// TestProbeDemo runs scripts/probe-demo, which checks its reports itself.
func TestProbeDemo(t *testing.T) {
	built(t, "default")
	out := in(t, root).run("scripts/probe-demo")
	require.Contains(t, out, "key exchange          POST-QUANTUM")
	require.Contains(t, out, "groups lost           X25519MLKEM768, SecP256r1MLKEM768, SecP384r1MLKEM1024")
	require.True(t, strings.HasSuffix(out, "the middlebox keeps clients from it.\n"), out)
}

// TestHSMDemo runs scripts/hsm-demo, which checks its output itself.
func TestHSMDemo(t *testing.T) {
	built(t, "default")
	for _, program := range []string{"softhsm2-util", "pkcs11-tool"} {
		if _, err := exec.LookPath(program); err != nil && os.Getenv("CI") != "true" {
			t.Skipf("NOT CHECKED: scripts/hsm-demo, because %s is not installed", program)
		}
	}
	out := in(t, root).run("scripts/hsm-demo")
	require.Len(t, regexp.MustCompile(`(?m)^(native|s2n) +X25519MLKEM768, .* in token "servers"`).FindAllString(out, -1), 4, out)
	require.Contains(t, out, "the PIN is wrong; it is not tried again")
}

// TestH3Demo runs scripts/h3-demo, in which a browser must use HTTP/3.
func TestH3Demo(t *testing.T) {
	built(t, "default")
	out := in(t, root).run("scripts/h3-demo")
	for _, server := range []string{"s2n", "native"} {
		require.Regexp(t, `(?m)^`+server+` +pqget +h3 +X25519MLKEM768 0x11EC .*yes$`, out)
		if _, err := exec.LookPath("chromium"); err == nil || os.Getenv("CI") == "true" {
			require.Regexp(t, `(?m)^`+server+` +chromium +h3 +X25519MLKEM768 0x11EC .*yes$`, out)
		}
	}
}
