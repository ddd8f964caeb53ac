package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/http3"
	"github.com/pqquic/pqquic/internal/testcert"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/s2n"
)

// The test binary acts as the program if an environment variable is set.
func TestMain(m *testing.M) {
	if os.Getenv("PQGET_TEST_MAIN") != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// pqget runs the program and returns its output and exit status.
func pqget(t *testing.T, stdin string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, errs bytes.Buffer
	c := exec.CommandContext(t.Context(), os.Args[0], args...)
	c.Env = append(os.Environ(), "PQGET_TEST_MAIN=1")
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(stdin), &out, &errs
	err := c.Run()
	if !errors.As(err, new(*exec.ExitError)) {
		require.NoError(t, err)
	}
	return out.String(), errs.String(), c.ProcessState.ExitCode()
}

// A site is a server of HTTP/1.1, HTTP/2 and HTTP/3 on one port.
type site struct {
	url, ca string
}

// serve starts a site. change may change its configuration.
func serve(t *testing.T, change func(*http3.DualServer)) site {
	t.Helper()
	cert := testcert.New("localhost")
	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.X509.Raw}), 0o600))
	d := &http3.DualServer{
		TCP: &http.Server{Handler: handler(), TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert.TLS()}}},
		H3:  &http3.Server{EarlyData: true, Provider: native.New()},
	}
	if change != nil {
		change(d)
	}
	l, pc := listenBoth(t)
	ended := make(chan error, 1)
	go func() { ended <- d.Serve(l, pc, "", "") }()
	t.Cleanup(func() { require.NoError(t, d.Close()); require.ErrorIs(t, <-ended, http.ErrServerClosed) })
	return site{fmt.Sprintf("https://localhost:%d", l.Addr().(*net.TCPAddr).Port), ca}
}

// listenBoth opens a TCP listener and a UDP socket on one port, which must be free for both.
func listenBoth(t *testing.T) (net.Listener, net.PacketConn) {
	t.Helper()
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		pc, err := net.ListenPacket("udp", l.Addr().String())
		if err == nil {
			return l, pc
		}
		require.ErrorIs(t, err, syscall.EADDRINUSE)
		require.NoError(t, l.Close())
	}
}

func handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Method", r.Method)
		w.Header().Set("Type", r.Header.Get("Content-Type"))
		_, _ = io.Copy(w, r.Body)
	})
	mux.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "hello, %s\n", r.UserAgent()) })
	mux.Handle("/redirect", http.RedirectHandler("/hello", http.StatusFound))
	mux.Handle("/loop", http.RedirectHandler("/loop", http.StatusFound))
	mux.Handle("/plain", http.RedirectHandler("http://localhost/", http.StatusFound))
	mux.HandleFunc("/broken", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "the beginning")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("/control", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Field", "\u009b2J") })
	return mux
}

// get runs the program with the site's authority.
func (s site) get(t *testing.T, path string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	return pqget(t, "", append([]string{"--ca", s.ca, s.url + path}, args...)...)
}

// json runs the program with --json and returns the object.
func (s site) json(t *testing.T, path string, args ...string) map[string]any {
	t.Helper()
	out, errs, status := s.get(t, path, append(args, "--json")...)
	require.Zero(t, status, errs)
	require.Equal(t, 1, strings.Count(out, "\n"), "one object on one line")
	var o map[string]any
	require.NoError(t, json.Unmarshal([]byte(out), &o))
	return o
}

// providers returns the providers of this build.
func providers() []string {
	if _, err := s2n.New(); err != nil {
		return []string{"native"}
	}
	return []string{"native", "s2n"}
}

func TestJSON(t *testing.T) {
	s := serve(t, nil)
	fields := []string{"url", "status", "protocol", "group", "group_id", "cipher_suite", "signature_scheme", "resumed", "early_data",
		"handshake_us", "ttfb_us", "bytes", "provider", "retries", "redirects"}
	for _, p := range providers() {
		for flag, protocol := range map[string]string{"--h1": "http/1.1", "--h2": "h2", "--h3": "h3", "--fail": "h3"} {
			o := s.json(t, "/hello", flag, "--provider", p)
			for _, f := range fields {
				require.Contains(t, o, f)
			}
			require.Len(t, o, len(fields))
			require.Equal(t, s.url+"/hello", o["url"])
			require.EqualValues(t, 200, o["status"])
			require.Equal(t, protocol, o["protocol"], flag)
			require.Equal(t, "X25519MLKEM768", o["group"])
			require.EqualValues(t, 0x11ec, o["group_id"])
			require.Equal(t, "TLS_AES_128_GCM_SHA256", o["cipher_suite"])
			require.Equal(t, map[bool]string{true: "ecdsa_secp256r1_sha256", false: ""}[protocol == "h3"], o["signature_scheme"])
			require.Equal(t, map[bool]string{true: p, false: "native"}[protocol == "h3"], o["provider"])
			require.Equal(t, []any{false, false}, []any{o["resumed"], o["early_data"]})
			require.Positive(t, o["handshake_us"])
			require.Greater(t, o["ttfb_us"], o["handshake_us"])
			require.EqualValues(t, len("hello, pqget\n"), o["bytes"])
		}
	}
	out, _, status := pqget(t, "", "--json", s.url+"/hello")
	require.Equal(t, statusTLS, status)
	var o map[string]any
	require.NoError(t, json.Unmarshal([]byte(out), &o))
	require.EqualValues(t, 0, o["status"])
	require.Contains(t, o["error"], "give it with --ca")
}

// Verbose output shows the connection before the request.
func TestVerbose(t *testing.T) {
	s := serve(t, nil)
	out, errs, status := s.get(t, "/hello", "-v", "--h3")
	require.Zero(t, status, errs)
	require.Equal(t, "hello, pqget\n", out)
	at := 0
	for _, want := range []string{
		"* connected to 127.0.0.1:", ", QUIC v1; provider ",
		"* key exchange X25519MLKEM768 (0x11EC), post-quantum; key shares of 1216 and 1120 bytes\n",
		"* cipher suite TLS_AES_128_GCM_SHA256, protocol h3\n",
		"* certificate ", "with which the handshake was signed as ecdsa_secp256r1_sha256\n", "* session new\n",
		"> :method: GET\n", "> :path: /hello\n", "> user-agent: pqget\n",
		"< HTTP/3.0 200 OK\n", "< content-length: 13\n", "* handshake ",
	} {
		i := strings.Index(errs[at:], want)
		require.GreaterOrEqual(t, i, 0, "%q is missing after %q", want, errs[:at])
		at += i
	}
	_, errs, _ = s.get(t, "/hello", "-v", "--h2")
	require.Contains(t, errs, "TLS 1.3 over TCP")
	require.Contains(t, errs, "protocol h2\n")
	_, errs, status = s.get(t, "/control", "-v")
	require.Zero(t, status, errs)
	require.NotContains(t, errs, "\u009b", "a server could control the terminal")
}

// jsonWith is json for a visit whose session must have a property that the file gets only if the ticket of an earlier visit arrived
// before pqget stopped waiting for it. It repeats the visit.
func (s site) jsonWith(t *testing.T, property string, args ...string) map[string]any {
	t.Helper()
	for range 20 {
		if o := s.json(t, "/hello", args...); o[property] == true {
			return o
		}
	}
	require.Fail(t, "no visit has the property", property)
	return nil
}

// The second visit resumes the session, and sends early data if the provider has it.
func TestSessions(t *testing.T) {
	s := serve(t, nil)
	for _, p := range providers() {
		file := filepath.Join(t.TempDir(), "sessions")
		args := []string{"--h3", "--provider", p, "--session", file}
		require.Equal(t, false, s.json(t, "/hello", args...)["resumed"])
		info, err := os.Stat(file)
		require.NoError(t, err)
		require.EqualValues(t, 0o600, info.Mode(), "the file contains secrets")
		require.Equal(t, "", s.jsonWith(t, "resumed", args...)["signature_scheme"])

		if p == "s2n" {
			_, errs, status := s.get(t, "/hello", append(args, "--early-data")...)
			require.Equal(t, statusUsage, status)
			require.Contains(t, errs, "provider s2n has no early data")
			continue
		}
		file = filepath.Join(t.TempDir(), "sessions") // a session of a configuration with early data
		args = append(args, "--session", file, "--early-data")
		require.Equal(t, false, s.json(t, "/hello", args...)["early_data"])
		require.Equal(t, true, s.jsonWith(t, "early_data", args...)["resumed"])
		early := ""
		for range 20 {
			var status int
			_, early, status = s.get(t, "/hello", append(args, "-v")...)
			require.Zero(t, status, early)
			if !strings.Contains(early, "* session new\n") {
				break
			}
		}
		require.Contains(t, early, "* session resumed, early data accepted\n")
	}
	broken := filepath.Join(t.TempDir(), "broken")
	require.NoError(t, os.WriteFile(broken, []byte("not sessions"), 0o600))
	_, errs, status := s.get(t, "/hello", "--session", broken)
	require.Equal(t, statusUsage, status)
	require.Contains(t, errs, "delete the file")
}

func TestBodies(t *testing.T) {
	s := serve(t, nil)
	file := filepath.Join(t.TempDir(), "file")
	long := strings.Repeat("0123456789abcdef", 1<<19)
	require.NoError(t, os.WriteFile(file, []byte(long), 0o600))
	for _, version := range []string{"--h1", "--h2", "--h3"} {
		get := func(stdin string, args ...string) (string, string) {
			out, errs, status := pqget(t, stdin, append([]string{"--ca", s.ca, "-v", version, s.url + "/echo"}, args...)...)
			require.Zero(t, status, errs)
			return out, errs
		}
		out, errs := get("", "-d", "a=1")
		require.Equal(t, "a=1", out)
		require.Contains(t, errs, "< method: POST\n")
		require.Contains(t, errs, "< type: application/x-www-form-urlencoded\n")
		out, errs = get("from a pipe", "-d", "@-", "-H", "Content-Type: text/plain", "-X", "PATCH")
		require.Equal(t, "from a pipe", out)
		require.Contains(t, errs, "< method: PATCH\n")
		require.Contains(t, errs, "< type: text/plain\n")
		copied := filepath.Join(t.TempDir(), "copy")
		out, errs = get("", "-T", file, "-o", copied, "--progress")
		require.Empty(t, out)
		require.Contains(t, errs, "< method: PUT\n")
		require.Contains(t, errs, "100% |")
		got, err := os.ReadFile(copied)
		require.NoError(t, err)
		require.True(t, string(got) == long, "%d bytes", len(got))
		out, errs = get("", "-I")
		require.Empty(t, out)
		require.Contains(t, errs, "< method: HEAD\n")
	}
}

func TestRedirects(t *testing.T) {
	s := serve(t, nil)
	o := s.json(t, "/redirect")
	require.EqualValues(t, 302, o["status"])
	o = s.json(t, "/redirect", "-L")
	require.EqualValues(t, 200, o["status"])
	require.Equal(t, s.url+"/hello", o["url"])
	require.EqualValues(t, 1, o["redirects"])
	require.EqualValues(t, 0, o["retries"])
	_, errs, status := s.get(t, "/redirect", "-L", "-v")
	require.Zero(t, status)
	require.Contains(t, errs, "< location: /hello\n")
	require.Contains(t, errs, "* redirected to "+s.url+"/hello\n")
	require.Contains(t, errs, " is used again\n")
	_, errs, status = s.get(t, "/loop", "-L")
	require.Equal(t, statusFailed, status)
	require.Contains(t, errs, "redirected 20 times")
	_, errs, status = s.get(t, "/plain", "-L")
	require.Equal(t, statusFailed, status)
	require.Contains(t, errs, "not encrypted")
}

// A server without QUIC is reached over TCP, with the body, unless --h3 is given.
func TestFallback(t *testing.T) {
	cert := testcert.New("localhost")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	srv := &http.Server{Handler: handler(), TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert.TLS()}}}
	go func() { _ = srv.ServeTLS(l, "", "") }()
	t.Cleanup(func() { srv.Close() })
	url := fmt.Sprintf("https://localhost:%d/echo", l.Addr().(*net.TCPAddr).Port)
	for _, args := range [][]string{{"-d", "the body"}, {"-d", "@-"}} {
		out, errs, status := pqget(t, "the body", append(args, "-k", "-v", url)...)
		require.Zero(t, status, errs)
		require.Equal(t, "the body", out)
		require.Contains(t, errs, "connection refused: trying HTTP/2\n")
		require.Contains(t, errs, "protocol h2\n")
	}
	_, errs, status := pqget(t, "", "-k", "--h3", url)
	require.Equal(t, statusFailed, status)
	require.Contains(t, errs, "no QUIC server there")
}

// Each kind of failure has its exit status, and is explained on one line.
func TestFailures(t *testing.T) {
	s := serve(t, nil)
	classical := serve(t, func(d *http3.DualServer) {
		d.TCP.TLSConfig.CurvePreferences = []tls.CurveID{tls.CurveP256}
	})
	otherALPN := func() string {
		cert := testcert.New("localhost")
		l, err := quic.Listen("udp", "127.0.0.1:0", &quic.Config{Provider: native.New(), TLS: &tlsprovider.Config{NextProtos: []string{"other"},
			Certificates: []tlsprovider.Certificate{cert.Provider()}}})
		require.NoError(t, err)
		t.Cleanup(func() { l.Endpoint().Close() })
		return "https://" + l.Addr().String()
	}()
	for _, tt := range []struct {
		status int
		want   string
		args   []string
	}{
		{statusFailed, "the response is incomplete after 13 bytes", []string{"--h1", "--ca", s.ca, s.url + "/broken"}},
		{statusFailed, "H3_", []string{"--h3", "--ca", s.ca, "-o", os.DevNull, s.url + "/broken"}},
		{statusFailed, "check the host in the URL", []string{"https://host.invalid/"}},
		{statusFailed, "--max-time 1ns", []string{"-m", "1ns", "--ca", s.ca, s.url}},
		{statusTLS, "give it with --ca", []string{"--h3", s.url}},
		{statusTLS, "give it with --ca", []string{"--h2", s.url}},
		{statusTLS, "another name", []string{"--h3", "--ca", s.ca, strings.Replace(s.url, "localhost", "127.0.0.1", 1)}},
		{statusTLS, "", []string{"--h2", "--ca", s.ca, strings.Replace(s.url, "localhost", "127.0.0.1", 1)}},
		{statusTLS, "not HTTP/3", []string{"--h3", "-k", otherALPN}},
		{statusClassical, "omit --require-pq", []string{"--h3", "--require-pq", "--ca", classical.ca, classical.url + "/hello"}},
		{statusClassical, "P-256 (0x0017)", []string{"--h2", "--require-pq", "--ca", classical.ca, classical.url + "/hello"}},
		{statusHTTP, "404 Not Found", []string{"--fail", "--ca", s.ca, s.url + "/none"}},
		{statusUsage, "no URL", nil},
		{statusUsage, "https://host/path", []string{"http://localhost/"}},
		{statusUsage, "only one of --h1", []string{"--h1", "--h3", s.url}},
		{statusUsage, "only one of -d and -T", []string{"-d", "x", "-T", "y", s.url}},
		{statusUsage, "has no content", []string{"-I", "-d", "x", s.url}},
		{statusUsage, "another -o", []string{"--json", "-o", "-", s.url}},
		{statusUsage, "for one URL", []string{"-o", "x", s.url, s.url}},
		{statusUsage, "one URL", []string{"-d", "@-", s.url, s.url}},
		{statusUsage, "begin with HTTP/3", []string{"--early-data", "--h2", s.url}},
		{statusUsage, "give --session", []string{"--early-data", s.url}},
		{statusUsage, "NAME: VALUE", []string{"-H", "x", s.url}},
		{statusUsage, "no such file", []string{"-T", "/nonexistent", s.url}},
		{statusUsage, "no such file", []string{"--ca", "/nonexistent", s.url}},
		{statusUsage, "-o: ", []string{"--ca", s.ca, "-o", "/nonexistent/x", s.url + "/hello"}},
		{statusUsage, "no post-quantum group", []string{"--require-pq", "--groups", "X25519", s.url}},
		{statusUsage, "--groups", []string{"--groups", "X", s.url}},
		{statusUsage, "use s2n or native", []string{"--provider", "x", s.url}},
		{statusUsage, "unknown flag", []string{"--unknown"}},
	} {
		out, errs, status := pqget(t, "", tt.args...)
		require.Equal(t, tt.status, status, "%v: %s", tt.args, errs)
		require.Contains(t, errs, tt.want, "%v", tt.args)
		require.Equal(t, 1, strings.Count(errs, "\n"), "one line: %q", errs)
		require.True(t, strings.HasPrefix(errs, "pqget: "), errs)
		if tt.status != statusHTTP && tt.want != "the response is incomplete after 13 bytes" {
			require.Empty(t, out, "%v", tt.args)
		}
	}
	require.Zero(t, func() int { _, _, status := s.get(t, "/none"); return status }(), "without --fail a 404 is an answer")
}

// Several URLs of a host use one connection.
func TestSeveralURLs(t *testing.T) {
	s := serve(t, nil)
	out, errs, status := s.get(t, "/hello", s.url+"/hello", "--h3", "-v")
	require.Zero(t, status, errs)
	require.Equal(t, "hello, pqget\nhello, pqget\n", out)
	require.Equal(t, 1, strings.Count(errs, "* connected to "))
	require.Equal(t, 1, strings.Count(errs, " is used again"))
}

// With --alt-svc, the first request uses HTTP/2, and those after it HTTP/3, once its connection is established.
func TestAltSvc(t *testing.T) {
	s := serve(t, nil)
	args := make([]string, 50)
	for i := range args {
		args[i] = s.url + "/hello"
	}
	out, errs, status := s.get(t, "/hello", append(args, "--alt-svc", "--json")...)
	require.Zero(t, status, errs)
	var protocols []any
	for line := range strings.Lines(out) {
		var o map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &o))
		require.Equal(t, "X25519MLKEM768", o["group"], line)
		protocols = append(protocols, o["protocol"])
	}
	require.Equal(t, "h2", protocols[0])
	require.Equal(t, "h3", protocols[len(protocols)-1])
}

// TestErrorIsPrintable checks that the reason phrase of a status line, which an error contains, cannot control the terminal.
func TestErrorIsPrintable(t *testing.T) {
	cert := testcert.New("localhost")
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert.TLS()}})
	require.NoError(t, err)
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
				c.Close()
				continue
			}
			_, _ = io.WriteString(c, "HTTP/1.1 404 \x1b[31mred\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			_, _ = io.Copy(io.Discard, c) // until the client closes the connection
			c.Close()
		}
	}()
	_, errs, status := pqget(t, "", "--h1", "-k", "--fail", fmt.Sprintf("https://localhost:%d/", l.Addr().(*net.TCPAddr).Port))
	require.Equal(t, statusHTTP, status, errs)
	require.Contains(t, errs, "the status is 404 \uFFFD[31mred")
}

// TestPause checks that the pauses do not become shorter however often a request is repeated.
func TestPause(t *testing.T) {
	longest := time.Duration(0)
	for attempt := range 200 {
		require.GreaterOrEqual(t, pause(attempt), max(longest, time.Second), "attempt %d", attempt)
		longest = pause(attempt)
	}
	require.Equal(t, 10*time.Second, longest)
}

func TestCommandLine(t *testing.T) {
	out, _, status := pqget(t, "", "--help")
	require.Zero(t, status)
	require.Contains(t, out, "Exit status: 0;")
	out, _, status = pqget(t, "", "--version")
	require.Zero(t, status)
	require.Contains(t, out, "pqget version ")
	out, _, status = pqget(t, "", "--licenses")
	require.Zero(t, status)
	require.Contains(t, out, "==== The Go standard library")
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		out, _, status = pqget(t, "", "--completion", shell)
		require.Zero(t, status)
		require.Contains(t, out, "pqget")
	}
	_, errs, status := pqget(t, "", "--completion", "tcsh")
	require.Equal(t, statusUsage, status)
	require.Contains(t, errs, "tcsh")
}
