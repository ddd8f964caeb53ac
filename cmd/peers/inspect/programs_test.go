package inspect

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/quic-go/quic-go/http3"
	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cmd/internal/capture"
	"github.com/pqquic/pqquic/cmd/internal/inspect"
)

const page = "<html><body>the page of the test</body></html>"

var handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	_, _ = io.WriteString(w, page)
})

// program finds a program. If it is not installed, the test is skipped, or with CI=true fails.
func program(t *testing.T, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	require.NotEqual(t, "true", os.Getenv("CI"), "none of %v is installed: run scripts/bootstrap test", names)
	t.Skipf("needs one of %v: run scripts/bootstrap test", names)
	return ""
}

// chromium loads a page of localhost and returns its content.
func chromium(t *testing.T, path string, port uint16, args ...string) string {
	t.Helper()
	pin := sha256.Sum256(credentials().X509.RawSubjectPublicKeyInfo)
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, path, append(args, "--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir="+t.TempDir(),
		"--ignore-certificate-errors-spki-list="+base64.StdEncoding.EncodeToString(pin[:]), "--host-resolver-rules=MAP localhost 127.0.0.1",
		"--dump-dom", fmt.Sprintf("https://localhost:%d/", port))...)
	c.WaitDelay = time.Second
	out, err := c.Output()
	require.NoError(t, err)
	return string(out)
}

// A browser divides its ClientHello into many small pieces, out of order.
func TestChromium(t *testing.T) {
	path := program(t, "chromium", "chromium-browser", "google-chrome")
	pc, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	keys := new(keyLog)
	server := &http3.Server{Handler: handler, TLSConfig: http3.ConfigureTLSConfig(&tls.Config{Certificates: []tls.Certificate{credentials().TLS()}, KeyLogWriter: keys})}
	var wait sync.WaitGroup
	wait.Go(func() { _ = server.Serve(pc) })
	defer wait.Wait()
	defer server.Close()
	r := tap(t, pc.LocalAddr().(*net.UDPAddr).AddrPort(), func(addr netip.AddrPort, out io.Writer) {
		dom := chromium(t, path, addr.Port(), fmt.Sprintf("--origin-to-force-quic-on=localhost:%d", addr.Port()))
		require.Contains(t, dom, "the page of the test")
		keys.mu.Lock()
		defer keys.mu.Unlock()
		_, _ = out.Write(keys.Bytes())
	})
	require.NotEmpty(t, r.reports)
	c := r.reports[0]
	require.Equal(t, inspect.PostQuantum, c.Verdict.Result)
	require.Equal(t, "X25519MLKEM768", c.Selected.Name)
	require.Equal(t, "localhost", c.ServerName)
	require.Equal(t, []string{"h3"}, c.ALPN)
	require.Equal(t, "h3", c.Handshake.ALPN)
	require.Equal(t, "ECDSA P-256", c.Handshake.Certificate.PublicKey)
	r.compare(t)
}

type keyLog struct {
	mu sync.Mutex
	bytes.Buffer
}

func (k *keyLog) Write(b []byte) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.Buffer.Write(b)
}

// tcpTap relays sequential TCP connections and reports them as segments.
func tcpTap(t *testing.T, server string) (addr string, frames func() []capture.Frame) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var mu sync.Mutex
	var out []capture.Frame
	var wait sync.WaitGroup
	t.Cleanup(func() { l.Close(); wait.Wait() })
	serve := func(front net.Conn) {
		defer front.Close()
		back, err := net.Dial("tcp", server)
		if err != nil {
			return
		}
		defer back.Close()
		ends := [2]netip.AddrPort{front.RemoteAddr().(*net.TCPAddr).AddrPort(), back.RemoteAddr().(*net.TCPAddr).AddrPort()}
		seq := [2]uint32{1, 1}
		segment := func(dir int, syn, ack bool, b []byte) {
			mu.Lock()
			defer mu.Unlock()
			if data, err := capture.TCPPacket(ends[dir], ends[1-dir], seq[dir], syn, ack, false, b); err == nil {
				out = append(out, capture.Frame{Time: time.Now(), Link: layers.LinkTypeRaw, Data: data, Length: len(data)})
			}
			seq[dir] += uint32(len(b))
			if syn {
				seq[dir]++
			}
		}
		segment(0, true, false, nil)
		segment(1, true, true, nil)
		pass := func(dir int, dst, src net.Conn) {
			b := make([]byte, 1400)
			for {
				n, err := src.Read(b)
				if err != nil {
					dst.Close()
					return
				}
				segment(dir, false, true, b[:n])
				_, _ = dst.Write(b[:n])
			}
		}
		var both sync.WaitGroup
		both.Go(func() { pass(0, back, front) })
		both.Go(func() { pass(1, front, back) })
		both.Wait()
	}
	wait.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wait.Go(func() { serve(c) })
		}
	})
	return l.Addr().String(), func() []capture.Frame {
		mu.Lock()
		defer mu.Unlock()
		return out
	}
}

// tcpServer starts an HTTPS server of Go's library and returns the reports of its connections.
func tcpServer(t *testing.T) (port uint16, reports func() []*inspect.Connection) {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{credentials().TLS()}}
	s.StartTLS()
	t.Cleanup(s.Close)
	addr, frames := tcpTap(t, s.Listener.Addr().String())
	return netip.MustParseAddrPort(addr).Port(), func() (out []*inspect.Connection) {
		in := inspect.New(inspect.Options{Report: func(c *inspect.Connection) { out = append(out, c) }})
		for _, f := range frames() {
			in.Frame(f)
		}
		in.Finish()
		return out
	}
}

// A browser over TCP.
func TestChromiumTCP(t *testing.T) {
	path := program(t, "chromium", "chromium-browser", "google-chrome")
	port, reports := tcpServer(t)
	require.Contains(t, chromium(t, path, port), "the page of the test")
	cs := reports()
	require.NotEmpty(t, cs)
	require.Equal(t, "tcp", cs[0].Transport)
	require.Equal(t, "TLS 1.3", cs[0].Version)
	require.Equal(t, "localhost", cs[0].ServerName)
	require.Equal(t, inspect.PostQuantum, cs[0].Verdict.Result)
}

// curl over TCP. Its OpenSSL determines whether it offers a post-quantum group, and the verdict must follow
// from the offer.
func TestCurl(t *testing.T) {
	path := program(t, "curl")
	port, reports := tcpServer(t)
	for _, args := range [][]string{{"--tlsv1.3"}, {"--tls-max", "1.2"}} {
		args = append(args, "-sSk", "--resolve", fmt.Sprintf("localhost:%d:127.0.0.1", port), fmt.Sprintf("https://localhost:%d/", port))
		out, err := exec.Command(path, args...).CombinedOutput()
		require.NoError(t, err, string(out))
		require.Equal(t, page, string(out))
	}
	cs := reports()
	require.Len(t, cs, 2)
	require.Equal(t, "TLS 1.3", cs[0].Version)
	require.Equal(t, "localhost", cs[0].ServerName)
	require.NotNil(t, cs[0].Selected)
	want := inspect.CauseClient
	for _, g := range cs[0].Hello.Groups {
		if g.Name == "X25519MLKEM768" {
			want = ""
		}
	}
	require.Equal(t, want, cs[0].Verdict.Cause)
	require.Equal(t, "TLS 1.2", cs[1].Version)
	require.Equal(t, inspect.CauseOldTLS, cs[1].Verdict.Cause)
}
