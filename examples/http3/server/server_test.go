package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/examples/internal/demo"
	"github.com/pqquic/pqquic/http3"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/s2n"
)

// providers returns the providers of this build.
func providers(t *testing.T) []string {
	t.Helper()
	_, err := s2n.New()
	if errors.Is(err, s2n.ErrNotLinked) && os.Getenv("PQQUIC_REQUIRE_LINKED") != "1" {
		return []string{"native"}
	}
	require.NoError(t, err)
	return []string{"native", "s2n"}
}

// start starts a server with a command line and returns its URL. The server ends with the test.
func start(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	in, out := io.Pipe()
	ended := make(chan int, 1)
	go func() {
		defer out.Close()
		ended <- run(ctx, append([]string{"--listen", "127.0.0.1:0"}, args...), io.Discard, out)
	}()
	t.Cleanup(func() { cancel(); require.Zero(t, <-ended) })
	lines, before := bufio.NewScanner(in), ""
	for lines.Scan() {
		if _, rest, ok := strings.Cut(lines.Text(), "ready on "); ok {
			go func() { _, _ = io.Copy(io.Discard, in) }()
			_, url, _ := strings.Cut(strings.TrimSuffix(rest, "/)"), "https://")
			return "https://" + url
		}
		before += lines.Text() + "\n"
	}
	require.Fail(t, "the server is not ready", before)
	return ""
}

// roots returns the demonstration's authority.
func roots(t *testing.T) *x509.CertPool {
	t.Helper()
	file, err := demo.CAFile()
	require.NoError(t, err)
	pem, err := os.ReadFile(file)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(pem))
	return pool
}

// clients returns a client for each version of HTTP, by its name in ALPN.
func clients(t *testing.T) map[string]*http.Client {
	t.Helper()
	all := make(map[string]*http.Client)
	for _, name := range []string{"http/1.1", "h2"} {
		tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots(t)}, Protocols: new(http.Protocols), DisableCompression: true}
		tr.Protocols.SetHTTP1(name == "http/1.1")
		tr.Protocols.SetHTTP2(name == "h2")
		t.Cleanup(tr.CloseIdleConnections)
		all[name] = &http.Client{Transport: tr}
	}
	h3 := &http3.Transport{Provider: native.New(), TLSClientConfig: &tls.Config{RootCAs: roots(t)}, DisableCompression: true}
	t.Cleanup(func() { require.NoError(t, h3.Close()) })
	all["h3"] = &http.Client{Transport: h3}
	return all
}

// get sends a request and returns the response with its body.
func get(t *testing.T, c *http.Client, method, url string, body io.Reader, header ...string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	require.NoError(t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp, b
}

func TestPaths(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	root := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(root, "file.txt"), []byte("a file\n"), 0o600))
	require.NoError(t, os.Symlink(os.Args[0], filepath.Join(root, "link")))
	for _, p := range providers(t) {
		url := start(t, "--provider", p, "--root", root)
		for protocol, c := range clients(t) {
			t.Run(p+" "+protocol, func(t *testing.T) {
				resp, b := get(t, c, "GET", url+"/file.txt", nil)
				require.Equal(t, "a file\n", string(b))
				require.Equal(t, map[string]int{"http/1.1": 1, "h2": 2, "h3": 3}[protocol], resp.ProtoMajor)
				resp, _ = get(t, c, "GET", url+"/link", nil)
				require.NotEqual(t, http.StatusOK, resp.StatusCode, "a link leads out of the directory")
				resp, _ = get(t, c, "GET", url+"/none", nil)
				require.Equal(t, http.StatusNotFound, resp.StatusCode)

				long := bytes.Repeat([]byte("body"), 1<<18)
				resp, b = get(t, c, "POST", url+"/echo", bytes.NewReader(long), "Content-Type", "text/html")
				require.True(t, bytes.Equal(long, b), "%d bytes", len(b))
				require.Equal(t, "text/html", resp.Header.Get("Content-Type"))
				require.Equal(t, "sandbox", resp.Header.Get("Content-Security-Policy"), "what a client writes must not run as a page")
				_, b = get(t, c, "POST", url+"/echo", io.MultiReader(bytes.NewReader(long))) // its length is not known
				require.True(t, bytes.Equal(long, b), "%d bytes", len(b))

				for _, n := range []int64{0, 1, 1_000_000} {
					resp, b = get(t, c, "GET", fmt.Sprint(url, "/bytes/", n), nil)
					require.Len(t, b, int(n))
					require.Equal(t, n, resp.ContentLength)
				}
				resp, b = get(t, c, "HEAD", url+"/bytes/1000000000000000000", nil)
				require.Empty(t, b)
				require.EqualValues(t, 1e18, resp.ContentLength)
				for _, n := range []string{"-1", "x", "9223372036854775808"} {
					resp, b = get(t, c, "GET", url+"/bytes/"+n, nil)
					require.Equal(t, http.StatusBadRequest, resp.StatusCode)
					require.Contains(t, string(b), n)
				}
			})
		}
	}
}

func TestWhoami(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	for _, p := range providers(t) {
		url := start(t, "--provider", p)
		for protocol, c := range clients(t) {
			t.Run(p+" "+protocol, func(t *testing.T) {
				resp, b := get(t, c, "GET", url+"/whoami", nil, "Accept", "*/*")
				require.Equal(t, "application/json", resp.Header.Get("Content-Type"))
				var got map[string]any
				require.NoError(t, json.Unmarshal(b, &got))
				want := map[string]any{"protocol": protocol, "version": "TLS 1.3", "group": "X25519MLKEM768", "group_id": 4588.0,
					"cipher_suite": "TLS_AES_128_GCM_SHA256", "provider": "native", "resumed": false, "early_data": false}
				if protocol == "h3" {
					want["version"], want["provider"] = "QUIC v1", p
				} else {
					require.Regexp(t, `^h3=":\d+"`, resp.Header.Get("Alt-Svc"))
				}
				require.Equal(t, want, got)

				resp, b = get(t, c, "GET", url+"/", nil, "Accept", "application/xml;q=0.9, text/html, */*;q=0.8")
				require.Equal(t, "text/html; charset=utf-8", resp.Header.Get("Content-Type"))
				require.Contains(t, string(b), `<td id="protocol">`+protocol)
				require.Contains(t, string(b), `<span id="group">X25519MLKEM768</span> (<span id="group_id">0x11EC</span>)`)
				resp, _ = get(t, c, "GET", url+"/", nil, "Accept", "text/html;q=0, */*")
				require.Equal(t, "application/json", resp.Header.Get("Content-Type"))
			})
		}
	}
}

// An error is reported in one line.
func TestRefusals(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	url := start(t, "--provider", "native")
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--root", "/nonexistent"}, 1, "--root: open /nonexistent"},
		{[]string{"--listen", strings.Replace(strings.TrimPrefix(url, "https://"), "localhost", "127.0.0.1", 1)}, 1, "choose another address with --listen"},
		{[]string{"--listen", "nowhere"}, 1, "--listen"},
		{[]string{"--cert", "/nonexistent"}, 1, "--cert and --key must be given together"},
		{[]string{"--provider", "openssl"}, 1, "use s2n or native"},
		{[]string{"--unknown"}, 2, "-unknown"},
	} {
		var stdout, stderr bytes.Buffer
		require.Equal(t, tt.code, run(t.Context(), tt.args, &stdout, &stderr), "%v", tt.args)
		require.Contains(t, stderr.String(), tt.want)
		require.Equal(t, 1, strings.Count(stderr.String(), "\n"), "one line: %q", stderr.String())
	}
}
