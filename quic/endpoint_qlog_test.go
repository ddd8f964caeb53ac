//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/qlog"
)

// download makes a connection on which the server sends size bytes, and closes both sides. It returns the
// connection's ID.
func download(t *testing.T, sc, cc *Config, size int) string {
	t.Helper()
	l, err := Listen("udp", "127.0.0.1:0", sc)
	require.NoError(t, err)
	defer l.Endpoint().Close()
	client, err := Dial(t.Context(), "udp", l.Addr().String(), cc)
	require.NoError(t, err)
	server, err := l.Accept(t.Context())
	require.NoError(t, err)
	sent := start(func() error {
		s, err := server.OpenUniStream(t.Context())
		if err != nil {
			return err
		}
		_, err = s.Write(make([]byte, size))
		return errors.Join(err, s.Close())
	})
	s, err := client.AcceptUniStream(t.Context())
	require.NoError(t, err)
	got, err := io.ReadAll(s)
	require.NoError(t, err)
	require.Len(t, got, size)
	require.NoError(t, <-sent)
	require.Equal(t, client.ID(), server.ID())
	require.NoError(t, client.Close())
	return client.ID()
}

// A log that is not written keeps its memory, also when its connection has ended. Clients cannot make more of them than
// connections.
func TestUnwrittenQlogsAreBounded(t *testing.T) {
	proceed := make(chan struct{})
	sc := serverConfig()
	sc.MaxConns = 3
	sc.Qlog = &qlog.Config{Open: func(qlog.Conn) (io.WriteCloser, error) {
		<-proceed
		return nil, errors.New("the disk is full")
	}}
	l, err := Listen("udp", "127.0.0.1:0", sc)
	require.NoError(t, err)
	defer l.Endpoint().Close()
	defer close(proceed)
	cc := clientConfig()
	cc.Qlog = new(qlog.Config)
	for range 6 {
		client, err := Dial(t.Context(), "udp", l.Addr().String(), cc)
		require.NoError(t, err)
		server, err := l.Accept(t.Context())
		require.NoError(t, err)
		require.NoError(t, client.Close())
		<-server.Context().Done()
		for l.Endpoint().numConns.Load() > 0 {
			runtime.Gosched()
		}
	}
	l.Endpoint().qlogs.mu.Lock()
	pending := l.Endpoint().qlogs.pending
	l.Endpoint().qlogs.mu.Unlock()
	require.Equal(t, 3, pending)
}

// QLOGDIR makes a log of each side, which is complete when Close returns, and in which there is no secret.
func TestQlogDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	t.Setenv("QLOGDIR", dir)
	var keys bytes.Buffer
	sc, cc := serverConfig(), clientConfig()
	cc.TLS.KeyLogWriter = &keys
	sc.ResetSecret = bytes.Repeat([]byte{7}, 32)
	id := download(t, sc, cc, 1<<20)

	files, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	require.Equal(t, []string{filepath.Join(dir, id+"_client.sqlog"), filepath.Join(dir, id+"_server.sqlog")}, files)
	for _, name := range files {
		info, err := os.Stat(name)
		require.NoError(t, err)
		require.Zero(t, info.Mode()&0o077, "others may read %s", name)
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		records := strings.Split(string(b), "\x1e")
		require.Greater(t, len(records), 100)
		require.Contains(t, string(b), `"name":"transport:connection_closed"`)
		require.Contains(t, string(b), "post-quantum: true")
		require.NotContains(t, string(b), "reset_token")
		for line := range strings.Lines(keys.String()) {
			secret := strings.Fields(line)[2]
			require.Len(t, secret, 2*len(mustHex(t, secret)))
			require.NotContains(t, string(b), secret)
		}
	}
	require.NotEmpty(t, keys.String())
}

func mustHex(t *testing.T, s string) []byte {
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

// A Config chooses which connections are logged, where and how, and overrides QLOGDIR. A directory that
// cannot be used is reported, and does not disturb the connection.
func TestQlogConfig(t *testing.T) {
	t.Setenv("QLOGDIR", filepath.Join(t.TempDir(), "unused"))
	dir := t.TempDir()
	occupied := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(occupied, nil, 0o600))
	sc, cc := serverConfig(), clientConfig()
	var book logBook
	sc.Logger = slog.New(&book)
	sc.Qlog = &qlog.Config{Open: qlog.Dir(filepath.Join(occupied, "logs"))}
	cc.Qlog = &qlog.Config{Open: qlog.Dir(dir), Schema: qlog.Draft}
	id := download(t, sc, cc, 1000)
	b, err := os.ReadFile(filepath.Join(dir, id+"_client.sqlog"))
	require.NoError(t, err)
	require.Contains(t, string(b), `"name":"quic:packet_sent"`)
	require.NotContains(t, string(b), `"transport:`)
	warnings := book.at(slog.LevelWarn)
	require.Len(t, warnings, 1)
	require.Contains(t, warnings[0], "qlog")

	cc.Qlog, sc.Qlog = &qlog.Config{}, &qlog.Config{Open: qlog.Dir(dir), Select: func(c qlog.Conn) bool { return !c.Server }}
	download(t, sc, cc, 1000)
	files, err := filepath.Glob(filepath.Join(dir, "*.sqlog"))
	require.NoError(t, err)
	require.Len(t, files, 1)
}

// A Select that panics costs its connection the log and nothing else.
func TestPanicOfQlogSelect(t *testing.T) {
	server := serverConfig()
	server.Qlog = &qlog.Config{Open: qlog.Dir(t.TempDir()), Select: func(qlog.Conn) bool { panic("tripwire") }}
	inBubble(t, server, nil, func(t *testing.T, w *world) {
		w.stream(w.connect())
		require.EqualValues(t, 1, w.server.Stats().Panics)
		require.Zero(t, w.server.qlogs.pending)
	})
}
