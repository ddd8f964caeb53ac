package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cgo/awslc"
	"github.com/pqquic/pqquic/internal/testcert"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/s2n"
)

// A host is a server in this process, with a directory for each of the runner's.
type host struct {
	places
	logs string
	env  map[string]string
	l    *quic.Listener

	mu       sync.Mutex
	suites   []tlsprovider.CipherSuite // of established connections
	versions []quic.Version
}

// newHost starts a server of a test case. It returns the error of an endpoint that does not support it.
func newHost(t *testing.T, testCase, provider string) (*host, error) {
	dir := t.TempDir()
	h := &host{logs: filepath.Join(dir, "logs"), places: places{listen: "127.0.0.1:0",
		www: filepath.Join(dir, "www"), downloads: filepath.Join(dir, "downloads"), certs: filepath.Join(dir, "certs")}}
	for _, d := range []string{h.logs, h.www, h.downloads, h.certs} {
		require.NoError(t, os.Mkdir(d, 0o755))
	}
	cert := testcert.New("localhost")
	key, err := x509.MarshalPKCS8PrivateKey(cert.Key)
	require.NoError(t, err)
	for name, block := range map[string]*pem.Block{"ca.pem": {Type: "CERTIFICATE", Bytes: cert.X509.Raw},
		"cert.pem": {Type: "CERTIFICATE", Bytes: cert.X509.Raw}, "priv.key": {Type: "PRIVATE KEY", Bytes: key}} {
		require.NoError(t, os.WriteFile(filepath.Join(h.certs, name), pem.EncodeToMemory(block), 0o600))
	}
	h.env = map[string]string{"TESTCASE": testCase, "PQQUIC_PROVIDER": provider,
		"SSLKEYLOGFILE": filepath.Join(h.logs, "keys.log"), "QLOGDIR": filepath.Join(h.logs, "qlog")}
	s, err := newSetup(h.getenv, h.places)
	if err != nil {
		return nil, err
	}
	s.cfg.OnConn = h.note
	h.l, err = s.listen()
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.serve(ctx, h.l); s.close() }()
	t.Cleanup(func() { cancel(); require.NoError(t, <-ended) })
	return h, nil
}

// note records the cipher suites and versions of connections.
func (h *host) note(c *quic.Conn, e quic.ConnEvent) {
	if e == quic.ConnEstablished {
		h.mu.Lock()
		h.suites = append(h.suites, c.ConnectionState().TLS.CipherSuite)
		h.versions = append(h.versions, c.ConnectionState().Version)
		h.mu.Unlock()
	}
}

func (h *host) getenv(name string) string { return h.env[name] }

// download runs a client that downloads the files, and checks what arrives.
func (h *host) download(t *testing.T, provider string, files map[string]int) error {
	_, port, _ := net.SplitHostPort(h.l.Addr().String())
	var urls []string
	for name, size := range files {
		content := bytes.Repeat([]byte(name+"\n"), size/(len(name)+1)+1)[:size]
		require.NoError(t, os.WriteFile(filepath.Join(h.www, name), content, 0o600))
		urls = append(urls, fmt.Sprintf("https://localhost:%s/%s", port, name))
	}
	env := maps.Clone(h.env)
	env["ROLE"], env["PQQUIC_PROVIDER"], env["REQUESTS"] = "client", provider, strings.Join(urls, " ")
	if err := run(t.Context(), func(name string) string { return env[name] }, h.places); err != nil {
		return err
	}
	got, err := os.ReadDir(h.downloads)
	require.NoError(t, err)
	require.Len(t, got, len(files), "files")
	for name := range files {
		want, err := os.ReadFile(filepath.Join(h.www, name))
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Join(h.downloads, name))
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got), "%s differs", name)
	}
	return nil
}

// providers returns the providers that this build has.
func providers() []string {
	if _, err := s2n.New(); err != nil {
		return []string{"native"}
	}
	return []string{"native", "s2n"}
}

// sizes returns n names of files of a size.
func sizes(n, size, length int) map[string]int {
	files := make(map[string]int)
	for i := range n {
		name := fmt.Sprintf("file%d", i)
		files[name+strings.Repeat("x", max(0, length-len(name)))] = size
	}
	return files
}

// hasChaCha20 reports whether the build adds the policy of the test case chacha20 to s2n-tls. The FIPS variants do not
// approve ChaCha20-Poly1305, and the variant historic is not for use.
const hasChaCha20 = awslc.Variant != "fips" && awslc.Variant != "fips4" && awslc.Variant != "historic"

// connections returns a check that a server has completed n handshakes.
func connections(n int) func(*testing.T, *host) {
	return func(t *testing.T, h *host) { require.EqualValues(t, n, h.l.Endpoint().Stats().Handshakes.Completed) }
}

// restoreSuites undoes at the end of a test what the test case chacha20 does to crypto/tls.
func restoreSuites(t *testing.T) {
	suites, noAES := defaultCipherSuitesTLS13, defaultCipherSuitesTLS13NoAES
	t.Cleanup(func() { defaultCipherSuitesTLS13, defaultCipherSuitesTLS13NoAES = suites, noAES })
}

// Every supported test case works with each pair of providers, and leaves a key log and qlogs.
func TestDownloads(t *testing.T) {
	for _, c := range []struct {
		testCase string
		files    map[string]int
		check    func(*testing.T, *host)
	}{
		{"handshake", sizes(1, 1<<10, 0), connections(1)},
		{"transfer", map[string]int{"a": 2 << 20, "b": 3 << 20, "c": 5 << 20}, connections(1)},
		{"transfer", sizes(500, 32, 0), connections(1)}, // multiplexing, with fewer files
		{"http3", map[string]int{"a": 5 << 10, "b": 10 << 10, "c": 500 << 10}, connections(1)},
		{"multiconnect", sizes(10, 1<<10, 0), connections(10)},
		{"chacha20", sizes(1, 1<<20, 0), func(t *testing.T, h *host) {
			require.Equal(t, []tlsprovider.CipherSuite{tlsprovider.ChaCha20Poly1305}, h.suites)
		}},
		{"retry", sizes(1, 10<<10, 0), func(t *testing.T, h *host) {
			require.EqualValues(t, 1, h.l.Endpoint().Stats().Handshakes.Retried)
		}},
		{"keyupdate", sizes(1, 3<<20, 0), func(t *testing.T, h *host) {
			traffic := h.l.Endpoint().Traffic()
			require.Positive(t, traffic.KeyUpdates)
		}},
		{"v2", sizes(1, 1<<10, 0), func(t *testing.T, h *host) { require.Equal(t, []quic.Version{quic.Version2}, h.versions) }},
		{"resumption", map[string]int{"a": 5 << 10, "b": 10 << 10}, func(t *testing.T, h *host) {
			require.EqualValues(t, 1, h.l.Endpoint().Stats().Handshakes.Resumed)
		}},
		{"zerortt", sizes(40, 32, 250), func(t *testing.T, h *host) {
			require.EqualValues(t, 1, h.l.Endpoint().Stats().Handshakes.Resumed)
		}},
	} {
		for _, server := range providers() {
			for _, client := range providers() {
				t.Run(c.testCase+"/"+client+" to "+server, func(t *testing.T) {
					restoreSuites(t)
					h, err := newHost(t, c.testCase, server)
					if err == nil {
						err = h.download(t, client, c.files)
					}
					if slices.Contains([]string{client, server}, "s2n") && (c.testCase == "zerortt" || c.testCase == "chacha20" && !hasChaCha20) {
						require.ErrorAs(t, err, new(*unsupportedError))
						return
					}
					require.NoError(t, err)
					c.check(t, h)
					keys, err := os.ReadFile(h.env["SSLKEYLOGFILE"])
					require.NoError(t, err)
					require.Contains(t, string(keys), "SERVER_HANDSHAKE_TRAFFIC_SECRET ")
					logs, err := os.ReadDir(h.env["QLOGDIR"])
					require.NoError(t, err)
					require.NotEmpty(t, logs)
				})
			}
		}
	}
}

// Both roles exit with 127 for test cases that this build does not support, and for unknown ones.
func TestUnsupported(t *testing.T) {
	for _, role := range []string{"client", "server"} {
		for _, testCase := range []string{"", "zxqvbnmlkj"} {
			env := map[string]string{"ROLE": role, "TESTCASE": testCase, "REQUESTS": "https://localhost/file"}
			err := run(t.Context(), func(name string) string { return env[name] }, places{})
			require.ErrorAs(t, err, new(*unsupportedError), "%s %q", role, testCase)
		}
	}
}

// The program exits with the runner's codes.
func TestExitCodes(t *testing.T) {
	exe, err := os.Executable()
	require.NoError(t, err)
	for want, env := range map[int][]string{
		127: {"ROLE=server", "TESTCASE=zxqvbnmlkj"},
		1:   {"ROLE=proxy", "TESTCASE=handshake"},
	} {
		cmd := exec.Command(exe)
		cmd.Env = append(env, "INTEROP_TEST_MAIN=1")
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit)
		require.Equal(t, want, exit.ExitCode(), "%s", out)
	}
}

func TestMain(m *testing.M) {
	if os.Getenv("INTEROP_TEST_MAIN") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// A client fails if a file does not arrive.
func TestMissingFile(t *testing.T) {
	h, err := newHost(t, "handshake", "native")
	require.NoError(t, err)
	env := maps.Clone(h.env)
	env["ROLE"], env["REQUESTS"] = "client", "https://"+strings.Replace(h.l.Addr().String(), "127.0.0.1", "localhost", 1)+"/nothing"
	require.ErrorContains(t, run(t.Context(), func(name string) string { return env[name] }, h.places), "nothing")
}

func TestReadRequest(t *testing.T) {
	for request, want := range map[string]string{
		"GET /file\r\n": "file", "GET /file\n": "file", "GET /file": "file", "GET /a%20b\r\n": "a b",
		"GET /../../etc/passwd\r\n": "etc/passwd",
	} {
		got, err := readRequest(strings.NewReader(request))
		require.NoError(t, err, request)
		require.Equal(t, want, got)
	}
	for request, want := range map[string]string{
		"":                                  "does not begin with GET /",
		"POST /file\r\n":                    "does not begin with GET /",
		"GET /" + strings.Repeat("x", 4096): "longer than 4096 bytes",
		"GET /%zz":                          "invalid URL escape",
	} {
		_, err := readRequest(strings.NewReader(request))
		require.ErrorContains(t, err, want, request)
	}
}
