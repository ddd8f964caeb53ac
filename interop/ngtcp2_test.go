package interop

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
)

// These tests run ngtcp2's programs gtlsclient and gtlsserver, which speak HTTP/3. They have no post-quantum groups. Our side
// offers X25519 beside them.

// program finds a program of ngtcp2: where scripts/interop-peers puts it, or in PATH. If there is none, the test is
// skipped.
func program(t *testing.T, name string) (path string, env []string) {
	t.Helper()
	root, err := filepath.Abs("../build/out/interop/ngtcp2/usr")
	require.NoError(t, err)
	for _, dir := range []string{"bin", "sbin"} {
		if path := filepath.Join(root, dir, name); exists(path) {
			libraries, err := filepath.Glob(filepath.Join(root, "lib", "*-linux-gnu"))
			require.NoError(t, err)
			return path, append(os.Environ(), "LD_LIBRARY_PATH="+strings.Join(libraries, ":"))
		}
	}
	if path, err = exec.LookPath(name); err != nil {
		t.Skipf("needs %s: run scripts/interop-peers ngtcp2", name)
	}
	return path, os.Environ()
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// start starts a program of ngtcp2, which ends with ctx. Its output is logged if the test fails.
func start(ctx context.Context, t *testing.T, name string, args ...string) (wait func() error) {
	t.Helper()
	path, env := program(t, name)
	var output bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = env, &output, &output, time.Second
	require.NoError(t, cmd.Start())
	wait = sync.OnceValue(cmd.Wait)
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = wait()
		if t.Failed() {
			b := output.Bytes()
			t.Logf("%s %v\n%s", name, args, b[max(0, len(b)-8000):])
		}
	})
	return wait
}

// An h3Server is our server of HTTP/3.
type h3Server struct {
	*quic.Listener
	conns chan *quic.Conn // that were accepted
}

// An answerer returns the answer to a request, and may write its beginning to the stream.
type answerer func(*quic.Conn, *quic.Stream) []byte

// serveNgtcp2 starts a server with a configuration that change may change.
func serveNgtcp2(t *testing.T, p tlsprovider.Provider, c *creds, addr string, change func(*quic.Config), answer answerer) h3Server {
	t.Helper()
	cfg := ours{p, c}.config(options{groups: pq, alpn: h3ALPN})
	cfg.TLS.Certificates, cfg.TLS.RootCAs = []tlsprovider.Certificate{c.Provider()}, nil
	if change != nil {
		change(cfg)
	}
	l, err := quic.Listen("udp4", addr, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { l.Endpoint().Close() })
	s := h3Server{l, make(chan *quic.Conn, 8)}
	ctx := deadline(t)
	go func() {
		for {
			conn, err := l.Accept(ctx)
			if err != nil {
				return
			}
			s.conns <- conn
			go func() {
				_ = serveH3(ctx, conn, answer)
			}()
		}
	}()
	return s
}

// get runs gtlsclient until it has downloaded a file, and returns the file and the server's connection.
func (s h3Server) get(t *testing.T, args ...string) (content []byte, c *quic.Conn) {
	t.Helper()
	dir := t.TempDir()
	port := s.Addr().(*net.UDPAddr).Port
	args = append(args, "--exit-on-all-streams-close", "--no-quic-dump", "--no-http-dump", "--download="+dir,
		"127.0.0.1", fmt.Sprint(port), fmt.Sprintf("https://%s:%d/file", serverName, port))
	require.NoError(t, start(deadline(t), t, "gtlsclient", args...)())
	content, err := os.ReadFile(filepath.Join(dir, "file"))
	require.NoError(t, err)
	return content, <-s.conns
}

// page is what our server answers. It does not fit into a few packets.
var page = bytes.Repeat([]byte("0123456789abcdef"), 20_000)

func answerPage(*quic.Conn, *quic.Stream) []byte { return appendAnswer(page) }

func appendAnswer(content []byte) []byte {
	return appendFrame(appendFields(nil, ":status", "200"), h3Data, content)
}

// meanwhile answers with the page again and again, until done reports true for the connection.
func meanwhile(done func(*quic.Conn) bool) answerer {
	return func(c *quic.Conn, s *quic.Stream) []byte {
		_, err := s.Write(appendAnswer(nil))
		for err == nil && !done(c) {
			_, err = s.Write(appendFrame(nil, h3Data, page))
		}
		return nil
	}
}

func TestNgtcp2Client(t *testing.T) {
	program(t, "gtlsclient")
	c := newCreds()
	for name, p := range providers(t) {
		run := func(what string, f func(t *testing.T)) { t.Run(what+"/"+name+" server", f) }
		serve := func(t *testing.T, change func(*quic.Config)) h3Server {
			return serveNgtcp2(t, p, c, "127.0.0.1:0", change, answerPage)
		}
		run("plain", func(t *testing.T) {
			content, conn := serve(t, nil).get(t)
			require.Equal(t, page, content)
			require.Equal(t, quic.Version1, conn.ConnectionState().Version)
			require.Equal(t, tlsprovider.X25519, conn.ConnectionState().TLS.Group)
			require.True(t, conn.Stats().ECNCapable)
		})
		run("loss", func(t *testing.T) {
			content, _ := serve(t, nil).get(t, "--tx-loss=0.1", "--rx-loss=0.1")
			require.Equal(t, page, content)
		})
		run("retry", func(t *testing.T) {
			s := serve(t, func(cfg *quic.Config) { cfg.AddressValidation = quic.ValidateAlways })
			content, _ := s.get(t)
			require.Equal(t, page, content)
			require.Positive(t, s.Endpoint().Stats().Handshakes.Retried)
		})
		run("compatible version negotiation", func(t *testing.T) {
			s := serve(t, func(cfg *quic.Config) { cfg.Versions = []quic.Version{quic.Version2, quic.Version1} })
			content, conn := s.get(t, "--version=v1", "--available-versions=v2,v1", "--preferred-versions=v2,v1")
			require.Equal(t, page, content)
			require.Equal(t, quic.Version2, conn.ConnectionState().Version)
		})
		run("incompatible version negotiation", func(t *testing.T) {
			content, conn := serve(t, nil).get(t, "--version=0x1a2a3a4a", "--available-versions=v2,v1", "--preferred-versions=v1,v2")
			require.Equal(t, page, content)
			require.Equal(t, quic.Version1, conn.ConnectionState().Version)
		})
		run("key update", func(t *testing.T) {
			s := serveNgtcp2(t, p, c, "127.0.0.1:0", nil, meanwhile(func(c *quic.Conn) bool { return c.Stats().KeyUpdates > 0 }))
			s.get(t, "--key-update=20ms")
		})
		moved := meanwhile(func(c *quic.Conn) bool { return c.Stats().PathChanges > 0 })
		// Its option --nat-rebinding is not used: it ignores what arrives at its former address, and while it downloads, it
		// has nothing to send from the new one.
		run("migration", func(t *testing.T) {
			_, conn := serveNgtcp2(t, p, c, "127.0.0.1:0", nil, moved).get(t, "--change-local-addr=20ms")
			require.Zero(t, conn.Stats().FailedPaths)
		})
		run("preferred address", func(t *testing.T) {
			to := netip.MustParseAddr("127.0.0.2")
			there := meanwhile(func(c *quic.Conn) bool { return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap() == to })
			s := serveNgtcp2(t, p, c, "0.0.0.0:0", func(cfg *quic.Config) { cfg.PreferredIPv4 = netip.AddrPortFrom(to, 0) }, there)
			s.get(t)
		})
		run("resumption", func(t *testing.T) {
			early := p.Capabilities().ZeroRTT
			s := serve(t, func(cfg *quic.Config) { cfg.TLS.EarlyData = early })
			dir := t.TempDir()
			files := []string{"--session-file=" + filepath.Join(dir, "session"), "--tp-file=" + filepath.Join(dir, "parameters")}
			_, conn := s.get(t, append(files, "--wait-for-ticket")...)
			require.False(t, conn.ConnectionState().TLS.Resumed)
			content, conn := s.get(t, files...)
			require.Equal(t, page, content)
			require.True(t, conn.ConnectionState().TLS.Resumed)
			require.Equal(t, early, conn.ConnectionState().TLS.EarlyData == tlsprovider.EarlyDataAccepted)
		})
	}
}

// listenNgtcp2 starts gtlsserver and returns its address. It has a file.
func listenNgtcp2(t *testing.T, c *creds, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	cert, key, err := c.Write(dir)
	require.NoError(t, err)
	www := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(www, "file"), page, 0o600))
	free, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	addr := free.LocalAddr().(*net.UDPAddr)
	free.Close()
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "PORT", fmt.Sprint(addr.Port))
	}
	start(t.Context(), t, "gtlsserver", append(args, "--no-quic-dump", "--no-http-dump", "--htdocs="+www,
		"127.0.0.1", fmt.Sprint(addr.Port), key, cert)...)
	return addr.String()
}

// dialNgtcp2 connects to gtlsserver, which may need a moment until it listens.
func dialNgtcp2(t *testing.T, cfg *quic.Config, addr string) *quic.Conn {
	t.Helper()
	ctx := deadline(t)
	for {
		c, err := quic.Dial(ctx, "udp4", addr, cfg)
		if err == nil {
			t.Cleanup(func() { c.CloseWithError(0x100, "") }) // H3_NO_ERROR
			require.NoError(t, openControl(ctx, c))
			return c
		}
		require.NoError(t, ctx.Err(), "%v", err)
	}
}

func download(t *testing.T, c *quic.Conn) {
	t.Helper()
	content, err := getH3(deadline(t), c, "/file")
	require.NoError(t, err)
	require.Equal(t, page, content)
}

// downloadUntil downloads the file until ok reports true.
func downloadUntil(t *testing.T, c *quic.Conn, ok func() bool, unless string) {
	t.Helper()
	ctx := deadline(t)
	for !ok() {
		require.NoError(t, ctx.Err(), unless)
		download(t, c)
	}
}

func TestNgtcp2Server(t *testing.T) {
	program(t, "gtlsserver")
	c := newCreds()
	for name, p := range providers(t) {
		run := func(what string, f func(t *testing.T)) { t.Run(what+"/"+name+" client", f) }
		config := func() *quic.Config { return ours{p, c}.config(options{groups: pq, alpn: h3ALPN}) }
		run("plain", func(t *testing.T) {
			conn := dialNgtcp2(t, config(), listenNgtcp2(t, c))
			downloadUntil(t, conn, func() bool { return conn.Stats().ECNCapable }, "our side does not mark packets")
			require.Equal(t, tlsprovider.X25519, conn.ConnectionState().TLS.Group)
		})
		run("loss", func(t *testing.T) {
			download(t, dialNgtcp2(t, config(), listenNgtcp2(t, c, "--tx-loss=0.1", "--rx-loss=0.1")))
		})
		run("retry", func(t *testing.T) {
			conn := dialNgtcp2(t, config(), listenNgtcp2(t, c, "--validate-addr"))
			download(t, conn)
			require.GreaterOrEqual(t, conn.Stats().HandshakeFlights, uint64(5)) // two more than without Retry
		})
		run("compatible version negotiation", func(t *testing.T) {
			cfg := config()
			cfg.Versions = []quic.Version{quic.Version2, quic.Version1}
			conn := dialNgtcp2(t, cfg, listenNgtcp2(t, c, "--preferred-versions=v2,v1"))
			require.Equal(t, quic.Version2, conn.ConnectionState().Version)
			download(t, conn)
		})
		run("key update", func(t *testing.T) {
			conn := dialNgtcp2(t, config(), listenNgtcp2(t, c))
			for updates := range uint64(3) {
				downloadUntil(t, conn, func() bool { return conn.UpdateKeys() == nil }, "our side may not update its keys")
				download(t, conn)
				require.Greater(t, conn.Stats().KeyUpdates, updates)
			}
		})
		run("rebinding", func(t *testing.T) {
			r := newRelay(t, 0)
			conn := dialNgtcp2(t, config(), r.via(listenNgtcp2(t, c)))
			for range 3 {
				download(t, conn)
				r.rebind()
			}
			download(t, conn)
		})
		run("migration", func(t *testing.T) {
			conn := dialNgtcp2(t, config(), listenNgtcp2(t, c))
			for range 2 {
				download(t, conn)
				pc, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
				require.NoError(t, err)
				require.NoError(t, ourConn{conn}.move(deadline(t), pc))
				download(t, conn)
				require.Equal(t, pc.LocalAddr().String(), conn.LocalAddr().String())
			}
			require.EqualValues(t, 2, conn.Stats().PathChanges)
		})
		run("preferred address", func(t *testing.T) {
			addr := listenNgtcp2(t, c, "--preferred-ipv4-addr=127.0.0.2:PORT")
			conn := dialNgtcp2(t, config(), addr)
			want := strings.Replace(addr, "127.0.0.1", "127.0.0.2", 1)
			downloadUntil(t, conn, func() bool { return conn.RemoteAddr().String() == want }, "our side does not move")
			download(t, conn)
			require.Zero(t, conn.Stats().FailedPaths)
		})
		run("resumption", func(t *testing.T) { ngtcp2Resumes(t, config(), listenNgtcp2(t, c)) })
	}
}

// ngtcp2Resumes visits a server from one Endpoint until it resumes a session, with early data if our side has them.
func ngtcp2Resumes(t *testing.T, cfg *quic.Config, addr string) {
	pc, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	cfg.TLS.EarlyData = cfg.Provider.Capabilities().ZeroRTT
	e, err := quic.NewEndpoint(pc, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { e.Close() })
	dial := e.Dial
	if cfg.TLS.EarlyData {
		dial = e.DialEarly
	}
	ctx := deadline(t)
	for {
		conn, err := dial(ctx, addr, nil)
		require.NoError(t, ctx.Err(), "no session is resumed: %v", err)
		if err != nil {
			continue // the server does not listen yet
		}
		require.NoError(t, openControl(ctx, conn))
		download(t, conn)
		<-conn.HandshakeComplete()
		state := conn.ConnectionState().TLS
		require.NoError(t, conn.CloseWithError(0x100, ""))
		if state.Resumed {
			// crypto/tls knows to the second when a ticket was issued, so it says that the ticket is up to a second older than
			// it is. GnuTLS rejects the early data of such a ticket as a replay, mostly.
			require.Equal(t, cfg.TLS.EarlyData, state.EarlyData != tlsprovider.EarlyDataNone)
			return
		}
	}
}
