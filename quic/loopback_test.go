//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"context"
	"errors"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// echoServer echoes every stream of every connection until the test ends.
func echoServer(t testing.TB) *Listener {
	t.Helper()
	l, err := Listen("udp", "127.0.0.1:0", serverConfig())
	require.NoError(t, err)
	var wg sync.WaitGroup
	serveConns(&wg, l, echoConn)
	t.Cleanup(func() {
		require.NoError(t, l.Endpoint().Close())
		wg.Wait()
	})
	return l
}

// serveConns calls serve for each connection of a Listener until the Listener closes. Everything runs in goroutines
// of wg.
func serveConns(wg *sync.WaitGroup, l *Listener, serve func(*sync.WaitGroup, *Conn)) {
	wg.Go(func() {
		for {
			conn, err := l.Accept(context.Background())
			if err != nil {
				return
			}
			wg.Go(func() { serve(wg, conn) })
		}
	})
}

// serveStreams calls serve for each stream of a connection, in a goroutine of wg, until the connection ends.
func serveStreams(wg *sync.WaitGroup, conn *Conn, serve func(*Stream)) {
	for {
		s, err := conn.AcceptStream(context.Background())
		if err != nil {
			return
		}
		wg.Go(func() { serve(s) })
	}
}

// echoConn echoes every stream of a connection.
func echoConn(wg *sync.WaitGroup, conn *Conn) {
	serveStreams(wg, conn, func(s *Stream) {
		defer s.Close()
		io.Copy(s, s)
	})
}

// echo sends n bytes on a new stream and receives the answer.
func echo(conn *Conn, n int, seed byte) error {
	s, err := conn.OpenStream(context.Background())
	if err != nil {
		return err
	}
	defer s.Close()
	want := pattern(n, seed)
	wrote := start(func() error {
		_, err := s.Write(want)
		return errors.Join(err, s.CloseWrite())
	})
	got, err := io.ReadAll(s)
	if err == nil && string(got) != string(want) {
		err = errors.New("the echo differs")
	}
	return errors.Join(err, <-wrote)
}

func TestLoopbackConcurrentStreams(t *testing.T) {
	l := echoServer(t)
	conn, err := Dial(t.Context(), "udp", l.Addr().String(), clientConfig())
	require.NoError(t, err)
	errs := make(chan error)
	const streams = 20
	for i := range streams {
		go func() { errs <- echo(conn, 100_000+i, byte(i)) }()
	}
	for range streams {
		require.NoError(t, <-errs)
	}
	require.NoError(t, conn.Close())
}

func TestLoopbackMegabyteEcho(t *testing.T) {
	l := echoServer(t)
	conn, err := Dial(t.Context(), "udp4", l.Addr().String(), clientConfig())
	require.NoError(t, err)
	require.NoError(t, echo(conn, 1<<20, 1))
	require.NoError(t, conn.Close())
}

func TestLoopbackManyConnections(t *testing.T) {
	l := echoServer(t)
	e, err := newTestEndpoint()
	require.NoError(t, err)
	defer e.Close()
	errs := make(chan error)
	const conns = 30
	for i := range conns {
		go func() {
			conn, err := e.Dial(t.Context(), l.Addr().String(), nil)
			if err == nil {
				err = errors.Join(echo(conn, 10_000, byte(i)), conn.Close())
			}
			errs <- err
		}()
	}
	for range conns {
		require.NoError(t, <-errs)
	}
}

func newTestEndpoint() (*Endpoint, error) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	return NewEndpoint(pc, clientConfig())
}

func TestLoopbackIPv6AndNames(t *testing.T) {
	if pc, err := net.ListenPacket("udp6", "[::1]:0"); err != nil {
		t.Skipf("needs IPv6: %v", err)
	} else {
		require.NoError(t, pc.Close())
	}
	l, err := Listen("udp6", "[::1]:0", serverConfig())
	require.NoError(t, err)
	defer l.Endpoint().Close()
	conn, err := Dial(t.Context(), "udp", l.Addr().String(), clientConfig())
	require.NoError(t, err)
	require.NoError(t, conn.Close())
}

// The address that a listener on an unspecified address prints can be dialed, as in package net.
func TestLoopbackUnspecifiedAddress(t *testing.T) {
	l, err := Listen("udp4", ":0", serverConfig())
	require.NoError(t, err)
	defer l.Endpoint().Close()
	port := l.Addr().(*net.UDPAddr).Port
	for _, host := range []string{"", "0.0.0.0", "127.0.0.1", "::ffff:127.0.0.1"} {
		cfg := clientConfig()
		if host == "" || host == "0.0.0.0" {
			cfg.ServerName = "" // the name is then localhost
		}
		conn, err := Dial(t.Context(), "udp", net.JoinHostPort(host, strconv.Itoa(port)), cfg)
		require.NoError(t, err, host)
		require.NoError(t, conn.Close())
	}
	if pc, err := net.ListenPacket("udp6", "[::1]:0"); err == nil {
		require.NoError(t, pc.Close())
		six, err := Listen("udp6", "[::]:0", serverConfig())
		require.NoError(t, err)
		defer six.Endpoint().Close()
		conn, err := Dial(t.Context(), "udp", six.Addr().String(), clientConfig())
		require.NoError(t, err)
		require.NoError(t, conn.Close())
	}
}

// A zone may be the index of an interface. Packets are received with the name of the interface.
func TestZoneOfDialedAddress(t *testing.T) {
	all, err := net.Interfaces()
	require.NoError(t, err)
	for _, ifi := range all {
		for _, zone := range []string{ifi.Name, strconv.Itoa(ifi.Index)} {
			got, _, err := resolve(t.Context(), "udp", "[fe80::1%"+zone+"]:4433")
			require.NoError(t, err)
			require.Equal(t, "[fe80::1%"+ifi.Name+"]:4433", got[0].String())
		}
	}
	got, _, err := resolve(t.Context(), "udp", "[fe80::1%4711471]:4433")
	require.NoError(t, err)
	require.Equal(t, "4711471", got[0].Addr().Zone(), "there is no such interface")
}

func TestInvalidAddresses(t *testing.T) {
	e, err := newTestEndpoint()
	require.NoError(t, err)
	defer e.Close()
	for _, tt := range []struct{ network, addr, want string }{
		{"tcp", "127.0.0.1:4433", `unknown network "tcp"`},
		{"", "127.0.0.1:4433", `unknown network ""`},
		{"udp6", "127.0.0.1:4433", "network udp6"},
		{"udp4", "[::1]:4433", "network udp4"},
		{"udp", "127.0.0.1:0", "port 0"},
		{"udp", "127.0.0.1:", "port 0"},
		{"udp", "127.0.0.1:65536", "invalid port"},
		{"udp", "127.0.0.1", "missing port"},
		{"udp", "::1:4433", "too many colons"},
		{"udp", "", "missing port"},
	} {
		_, err := Dial(t.Context(), tt.network, tt.addr, clientConfig())
		require.ErrorContains(t, err, tt.want, "%s %s", tt.network, tt.addr)
	}
	_, err = e.Dial(t.Context(), "[::1]:4433", nil)
	require.ErrorContains(t, err, "network udp4", "the Endpoint's socket is an IPv4 socket")
	_, err = Listen("tcp", "127.0.0.1:0", serverConfig())
	require.ErrorContains(t, err, `unknown network "tcp"`)
}

// An Endpoint that Listen or Dial made closes when nothing uses it any more.
func TestOwnEndpointsCloseThemselves(t *testing.T) {
	l, err := Listen("udp", "127.0.0.1:0", serverConfig())
	require.NoError(t, err)
	conn, err := Dial(t.Context(), "udp", l.Addr().String(), clientConfig())
	require.NoError(t, err)
	accepted, err := l.Accept(t.Context())
	require.NoError(t, err)
	require.NoError(t, l.Close())
	require.NoError(t, accepted.Context().Err())
	require.NoError(t, conn.Close())
	<-conn.ep.done
	<-accepted.Context().Done()
	<-l.ep.done
}

func BenchmarkLoopbackHandshake(b *testing.B) {
	l := echoServer(b)
	e, err := newTestEndpoint()
	require.NoError(b, err)
	defer e.Close()
	b.ReportAllocs()
	for b.Loop() {
		conn, err := e.Dial(b.Context(), l.Addr().String(), nil)
		if err != nil {
			b.Fatal(err)
		}
		conn.CloseWithError(0, "")
	}
}

func BenchmarkLoopbackStream(b *testing.B) {
	l := echoServer(b)
	conn, err := Dial(b.Context(), "udp", l.Addr().String(), clientConfig())
	require.NoError(b, err)
	defer conn.Close()
	s, err := conn.OpenStream(b.Context())
	require.NoError(b, err)
	const size = 1 << 20
	data, back := pattern(size, 1), make([]byte, size)
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		go s.Write(data)
		if _, err := io.ReadFull(s, back); err != nil {
			b.Fatal(err)
		}
	}
}
