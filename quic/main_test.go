//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/internal/leaktest"
	"github.com/pqquic/pqquic/internal/simnet"
	"github.com/pqquic/pqquic/internal/testcert"
	"github.com/pqquic/pqquic/tlsprovider"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

const testProto = "pqquic-test"

// testPKI is a certificate for "localhost" and the addresses that tests use.
var testPKI = sync.OnceValue(func() *testcert.Certificate {
	return testcert.New("localhost", "127.0.0.1", "::1", "10.0.0.1")
})

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func serverConfig() *Config {
	return &Config{TLS: &tlsprovider.Config{
		NextProtos: []string{testProto}, Certificates: []tlsprovider.Certificate{testPKI().Provider()},
	}}
}

func clientConfig() *Config {
	return &Config{
		TLS:        &tlsprovider.Config{NextProtos: []string{testProto}, RootCAs: testPKI().Roots()},
		ServerName: "localhost",
	}
}

const (
	serverAddr = "10.0.0.1:4433"
	clientAddr = "10.0.0.2:5000"
)

// A world is a server and a client endpoint on an in-memory network.
type world struct {
	*testing.T
	net            *simnet.Net
	server, client *Endpoint
	listener       *Listener
}

// inBubble runs a test on the fake clock, with a server that listens and a client that has not dialed.
// Either configuration may be nil.
func inBubble(t *testing.T, server, client *Config, test func(*testing.T, *world)) {
	t.Helper()
	testPKI() // called outside the bubble because it outlives it
	if server == nil {
		server = serverConfig()
	}
	if client == nil {
		client = clientConfig()
	}
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, net: &simnet.Net{Latency: 5 * time.Millisecond}}
		var err error
		w.server, err = NewEndpoint(w.net.Listen(serverAddr), server)
		require.NoError(t, err)
		w.client, err = NewEndpoint(w.net.Listen(clientAddr), client)
		require.NoError(t, err)
		// This is a Cleanup so that a failing test ends with its own message. The bubble fails the test if
		// a goroutine is left.
		t.Cleanup(func() {
			require.NoError(t, w.client.Close())
			require.NoError(t, w.server.Close())
			require.Zero(t, w.net.Open(), "sockets left open")
			require.Zero(t, w.client.routes.len()+w.server.routes.len(), "routes left to closed connections")
		})
		w.listener, err = w.server.Listen()
		require.NoError(t, err)
		test(t, w)
	})
}

// connect returns both ends of a connection.
func (w *world) connect() (client, server *Conn) {
	w.Helper()
	client, err := w.client.Dial(w.Context(), serverAddr, nil)
	require.NoError(w, err)
	server, err = w.listener.Accept(w.Context())
	require.NoError(w, err)
	return client, server
}

// stream returns both ends of a stream that the client opened with one byte, which has been read.
func (w *world) stream(client, server *Conn) (c, s *Stream) {
	w.Helper()
	c, err := client.OpenStream(w.Context())
	require.NoError(w, err)
	_, err = c.Write([]byte{'!'})
	require.NoError(w, err)
	s, err = server.AcceptStream(w.Context())
	require.NoError(w, err)
	_, err = s.Read(make([]byte, 1))
	require.NoError(w, err)
	return c, s
}

// start runs f in a goroutine and returns a channel that receives its result.
func start[T any](f func() T) <-chan T {
	ch := make(chan T, 1)
	go func() { ch <- f() }()
	return ch
}

// pattern returns n bytes that differ from every shifted copy of themselves.
func pattern(n int, seed byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i) ^ byte(i>>8)*31 ^ byte(i>>16)*17 ^ seed
	}
	return b
}

// requireTransfer writes n bytes to from, ends that direction, and requires that to receives exactly these bytes.
func requireTransfer(t testing.TB, from, to *Stream, n int) {
	t.Helper()
	want := pattern(n, 4)
	written := start(func() error {
		_, err := from.Write(want)
		return errors.Join(err, from.CloseWrite())
	})
	got, err := io.ReadAll(to)
	require.NoError(t, err)
	require.NoError(t, <-written)
	requireSame(t, want, got)
}

// requireSame compares byte slices without printing megabytes.
func requireSame(t testing.TB, want, got []byte) {
	t.Helper()
	if !bytes.Equal(want, got) {
		t.Fatalf("bytes differ: want %d of them, got %d", len(want), len(got))
	}
}

func requireApplicationError(t testing.TB, err error, code uint64, reason string, remote bool) {
	t.Helper()
	var ae *ApplicationError
	require.ErrorAs(t, err, &ae)
	require.Equal(t, ApplicationError{Code: code, Reason: reason, Remote: remote}, *ae)
	require.ErrorIs(t, err, net.ErrClosed)
}

func requireTransportError(t testing.TB, err error, code TransportErrorCode, remote bool) {
	t.Helper()
	var te *TransportError
	require.ErrorAs(t, err, &te)
	require.Equal(t, code, te.Code, "%v", err)
	require.Equal(t, remote, te.Remote, "%v", err)
	require.ErrorIs(t, err, net.ErrClosed)
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
