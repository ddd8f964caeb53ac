package e2e

import (
	"context"
	"crypto/x509"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

// dial connects from within the test, as a client that keeps its connection.
func (h home) dial(t *testing.T, s *server) *quic.Conn {
	t.Helper()
	pem, err := os.ReadFile(filepath.Join(h.dir, "pqquic", "demo-ca.pem"))
	require.NoError(t, err)
	roots, err := tlsprovider.RootsFromPEM(pem)
	require.NoError(t, err)
	conn, err := quic.Dial(t.Context(), "udp", s.addr, &quic.Config{
		Provider: native.New(), ServerName: "localhost",
		TLS: &tlsprovider.Config{NextProtos: []string{"pq-example"}, RootCAs: roots},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.CloseWithError(0, "")) })
	return conn
}

// A server that gets a signal ends, whatever its clients do, and its clients are notified.
func TestServerStopsWithOpenConnections(t *testing.T) {
	h := newHome(t)
	for _, p := range providers(t) {
		for _, tt := range []struct {
			name   string
			signal os.Signal
			flags  []string
			stream bool
		}{
			{"SIGTERM, idle connection", syscall.SIGTERM, nil, false},
			{"SIGINT, open stream", os.Interrupt, []string{"--echo"}, true},
			{"SIGTERM, open stream of the only connection", syscall.SIGTERM, []string{"--once"}, true},
		} {
			t.Run(p+" "+tt.name, func(t *testing.T) {
				s := h.serve(t, append(tt.flags, "--provider", p)...)
				conn := h.dial(t, s)
				if tt.stream {
					stream, err := conn.OpenStream(t.Context())
					require.NoError(t, err)
					_, err = io.WriteString(stream, "not the end of it")
					require.NoError(t, err)
				}
				require.NoError(t, s.cmd.Process.Signal(tt.signal))
				<-conn.Context().Done()
				require.NotErrorIs(t, context.Cause(conn.Context()), quic.ErrIdleTimeout)
				s.wait(t) // a second signal could arrive when the server no longer handles it
			})
		}
	}
}

// At SIGHUP a server reads its certificate again. Without a valid one, the present one stays.
func TestReload(t *testing.T) {
	h := newHome(t)
	ca, other := tlstest.NewAuthority(t), tlstest.NewAuthority(t)
	root, otherRoot := writeRoot(t, ca), writeRoot(t, other)
	local := func(c *x509.Certificate) { c.DNSNames = []string{"localhost"} }
	for _, p := range providers(t) {
		t.Run(p, func(t *testing.T) {
			cert, key := writePEM(t, ca.Leaf(t, local))
			s := h.serve(t, "--provider", p, "--cert", cert, "--key", key)
			h.ask(t, s, "--provider", p, "--ca", root)
			reload := func(certFile, keyFile, want string) {
				t.Helper()
				require.NoError(t, os.Rename(certFile, cert))
				require.NoError(t, os.Rename(keyFile, key))
				require.NoError(t, s.cmd.Process.Signal(syscall.SIGHUP))
				require.True(t, s.stderr.Scan())
				require.Contains(t, s.stderr.Text(), want)
			}
			good, goodKey := writePEM(t, other.Leaf(t, local))
			wrong, _ := writePEM(t, other.Leaf(t, local))
			_, wrongKey := writePEM(t, other.Leaf(t, local))
			reload(good, goodKey, "certificate reloaded")
			h.ask(t, s, "--provider", p, "--ca", otherRoot)
			reload(wrong, wrongKey, "the certificate stays")
			h.ask(t, s, "--provider", p, "--ca", otherRoot)
		})
	}
}

// Many megabytes are echoed unchanged.
func TestLargeEcho(t *testing.T) {
	h := newHome(t)
	for _, p := range providers(t) {
		t.Run(p, func(t *testing.T) {
			s := h.serve(t, "--provider", p, "--echo", "--message", "line")
			stream, err := h.dial(t, s).OpenStream(t.Context())
			require.NoError(t, err)
			sent := strings.Repeat("0123456789abcde\n", 1<<20)
			wrote := make(chan error, 1)
			go func() {
				_, err := io.WriteString(stream, sent)
				if err == nil {
					err = stream.CloseWrite()
				}
				wrote <- err
			}()
			got, err := io.ReadAll(stream)
			require.NoError(t, err)
			require.NoError(t, <-wrote)
			require.True(t, string(got) == "line\n"+sent)
		})
	}
}
