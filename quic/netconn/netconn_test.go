//go:build !pqquic_fips && !pqquic_fips4

package netconn_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/rpc"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/internal/testcert"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/quic/netconn"
	"github.com/pqquic/pqquic/tlsprovider"
)

var pki = sync.OnceValue(func() *testcert.Certificate { return testcert.New("localhost", "127.0.0.1") })

func serverConfig() *quic.Config {
	return &quic.Config{TLS: &tlsprovider.Config{
		NextProtos: []string{"netconn"}, Certificates: []tlsprovider.Certificate{pki().Provider()},
	}}
}

func clientConfig() *quic.Config {
	return &quic.Config{TLS: &tlsprovider.Config{NextProtos: []string{"netconn"}, RootCAs: pki().Roots()}}
}

func listen(t *testing.T) *netconn.Listener {
	t.Helper()
	l, err := netconn.Listen("udp", "127.0.0.1:0", serverConfig())
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, l.Close())
		require.NoError(t, l.Endpoint().Close())
	})
	return l
}

func dial(t *testing.T, l net.Listener) *netconn.Conn {
	t.Helper()
	c, err := netconn.Dial(t.Context(), "udp", l.Addr().String(), clientConfig())
	require.NoError(t, err)
	return c
}

// pair returns both ends of a connection. The server's is accepted although the client has written nothing.
func pair(t *testing.T) (client, server net.Conn) {
	t.Helper()
	l := listen(t)
	client = dial(t, l)
	server, err := l.Accept()
	require.NoError(t, err)
	return client, server
}

func TestServerWritesFirst(t *testing.T) {
	client, server := pair(t)
	_, err := server.Write([]byte("220 ready\r\n"))
	require.NoError(t, err)
	b := make([]byte, 11)
	_, err = io.ReadFull(client, b)
	require.NoError(t, err)
	require.Equal(t, "220 ready\r\n", string(b))
	require.Equal(t, client.LocalAddr().(*net.UDPAddr).Port, server.RemoteAddr().(*net.UDPAddr).Port)
	require.Equal(t, client.RemoteAddr().String(), server.LocalAddr().String())
	require.NoError(t, errors.Join(client.Close(), server.Close()))
}

// A client that has ended its direction still receives the reply, all of which arrives before the end of the connection.
func TestHalfClose(t *testing.T) {
	client, server := pair(t)
	request, reply := strings.Repeat("ask ", 50_000), strings.Repeat("tell ", 100_000)
	served := make(chan error, 1)
	go func() {
		b, err := io.ReadAll(server)
		if string(b) != request {
			err = errors.Join(err, errors.New("another request"))
		}
		_, writeErr := io.WriteString(server, reply)
		served <- errors.Join(err, writeErr, server.Close())
	}()
	_, err := io.WriteString(client, request)
	require.NoError(t, err)
	require.NoError(t, client.(*netconn.Conn).CloseWrite())
	_, err = client.Write([]byte("more"))
	require.ErrorIs(t, err, net.ErrClosed)
	b, err := io.ReadAll(client)
	require.NoError(t, err)
	require.Equal(t, len(reply), len(b))
	require.True(t, reply == string(b))
	require.NoError(t, <-served)
	require.NoError(t, client.Close())
}

// Close delivers what was written and ends calls that wait. Later calls fail.
func TestClose(t *testing.T) {
	client, server := pair(t)
	reading := make(chan error, 1)
	go func() { _, err := client.Read(make([]byte, 1)); reading <- err }()
	_, err := client.Write([]byte("last words"))
	require.NoError(t, err)
	require.NoError(t, client.Close())
	require.ErrorIs(t, <-reading, net.ErrClosed)
	require.NoError(t, client.Close(), "again")
	_, err = client.Write([]byte{1})
	require.ErrorIs(t, err, net.ErrClosed)

	b, err := io.ReadAll(server)
	require.NoError(t, err)
	require.Equal(t, "last words", string(b))
	ctx := server.(*netconn.Conn).Conn().Context()
	<-ctx.Done()
	require.Equal(t, &quic.ApplicationError{Remote: true}, context.Cause(ctx))
	_, err = server.Write([]byte{1})
	require.Error(t, err)
	require.NoError(t, server.Close())
}

func TestDeadlines(t *testing.T) {
	client, server := pair(t)
	require.NoError(t, client.SetReadDeadline(time.Now()))
	_, err := client.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	var timeout net.Error
	require.ErrorAs(t, err, &timeout)
	require.True(t, timeout.Timeout())
	require.NoError(t, client.SetDeadline(time.Time{}))
	_, err = server.Write([]byte{1})
	require.NoError(t, err)
	_, err = client.Read(make([]byte, 1))
	require.NoError(t, err)
	require.NoError(t, errors.Join(client.Close(), server.Close()))
}

// A connection without a stream does not delay the others, and the Listener closes it when it closes.
func TestClientWithoutStream(t *testing.T) {
	l := listen(t)
	silent, err := quic.Dial(t.Context(), "udp", l.Addr().String(), clientConfig())
	require.NoError(t, err)
	// The Listener takes this connection before the next one, which it could otherwise take first.
	require.Eventually(t, func() bool { return l.Endpoint().Stats().Accepted == 1 }, 10*time.Second, time.Millisecond)
	client := dial(t, l)
	server, err := l.Accept()
	require.NoError(t, err)
	require.NoError(t, errors.Join(client.Close(), server.Close()))

	waiting := make(chan error, 1)
	go func() { _, err := l.Accept(); waiting <- err }()
	require.NoError(t, l.Close())
	require.ErrorIs(t, <-waiting, net.ErrClosed)
	<-silent.Context().Done()
	var closed *quic.ApplicationError
	require.ErrorAs(t, context.Cause(silent.Context()), &closed)
	require.EqualValues(t, netconn.CodeListenerClosed, closed.Code)
	_, err = l.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
}

// A client that wrote and closed before Accept is accepted, and what it wrote can be read.
func TestAcceptAfterClientClosed(t *testing.T) {
	l := listen(t)
	client := dial(t, l)
	_, err := client.Write([]byte("short"))
	require.NoError(t, err)
	require.NoError(t, client.Close())
	server, err := l.Accept()
	require.NoError(t, err)
	b, err := io.ReadAll(server)
	require.NoError(t, err)
	require.Equal(t, "short", string(b))
	require.NoError(t, server.Close())
}

func TestListenerOfClosedEndpoint(t *testing.T) {
	l := listen(t)
	require.NoError(t, l.Endpoint().Close())
	_, err := l.Accept()
	require.ErrorIs(t, err, quic.ErrEndpointClosed)
}

func TestErrors(t *testing.T) {
	_, err := netconn.Listen("udp", "127.0.0.1:0", nil)
	require.ErrorContains(t, err, "application protocol")
	_, err = netconn.Dial(t.Context(), "udp", "127.0.0.1:1", nil)
	require.ErrorContains(t, err, "application protocol")

	// A server that permits no stream.
	cfg := serverConfig()
	cfg.MaxIncomingStreams = -1
	l, err := netconn.Listen("udp", "127.0.0.1:0", cfg)
	require.NoError(t, err)
	defer l.Endpoint().Close()
	defer l.Close()
	q, err := quic.Dial(t.Context(), "udp", l.Addr().String(), clientConfig())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = netconn.Open(ctx, q)
	require.ErrorIs(t, err, quic.ErrStreamLimit)
	require.ErrorIs(t, err, context.Canceled)
	require.Error(t, q.Context().Err(), "Open closes the connection")
}

// net/http with several connections, whose requests and replies are large.
func TestHTTP(t *testing.T) {
	l := listen(t)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			return netconn.Dial(ctx, "udp", addr, clientConfig())
		},
	}}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			body := bytes.Repeat([]byte{byte(i)}, 300_000)
			for range 3 {
				resp, err := client.Post("http://"+l.Addr().String(), "text/plain", bytes.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.ReadAll(resp.Body)
				if err = errors.Join(err, resp.Body.Close()); err != nil || !bytes.Equal(got, body) {
					t.Errorf("%d bytes, error %v", len(got), err)
				}
			}
		})
	}
	wg.Wait()
	client.CloseIdleConnections()
	require.NoError(t, server.Shutdown(t.Context()))
	require.ErrorIs(t, <-served, http.ErrServerClosed)
}

type Adder struct{}

func (Adder) Add(args [2]int, sum *int) error {
	*sum = args[0] + args[1]
	return nil
}

func TestRPC(t *testing.T) {
	l := listen(t)
	server := rpc.NewServer()
	require.NoError(t, server.Register(Adder{}))
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go server.ServeConn(c)
		}
	}()
	client := rpc.NewClient(dial(t, l))
	for i := range 10 {
		var sum int
		require.NoError(t, client.Call("Adder.Add", [2]int{i, 1}, &sum))
		require.Equal(t, i+1, sum)
	}
	require.NoError(t, client.Close())
}
