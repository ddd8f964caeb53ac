// Package traffic makes QUIC connections for the tests of the metrics.
package traffic

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/internal/testcert"
	"github.com/pqquic/pqquic/metrics"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
)

// A Pair is a server and the clients that dial it. All of them have the same Monitor.
type Pair struct {
	monitor  *metrics.Monitor
	cert     *testcert.Certificate
	listener *quic.Listener
	remove   func()
	refuse   atomic.Bool
	ended    chan struct{}

	mu          sync.Mutex
	established map[*quic.Conn]bool
}

const protocol = "metrics"

// Open starts a server that echoes streams.
func Open(t *testing.T, m *metrics.Monitor) *Pair {
	t.Helper()
	p := &Pair{monitor: m, cert: testcert.New("localhost", "127.0.0.1"), ended: make(chan struct{}, 100),
		established: make(map[*quic.Conn]bool)}
	cfg := &quic.Config{
		TLS: &tlsprovider.Config{NextProtos: []string{protocol}, Certificates: []tlsprovider.Certificate{p.cert.Provider()}},
		Accept: func(quic.ClientInfo) error {
			if p.refuse.Load() {
				return errors.New("refused")
			}
			return nil
		},
	}
	var err error
	p.listener, err = quic.Listen("udp", "127.0.0.1:0", p.Config(cfg))
	require.NoError(t, err)
	p.remove = m.Add(p.listener.Endpoint())
	return p
}

// Config returns a Config that informs the Monitor and then WaitEnded.
func (p *Pair) Config(cfg *quic.Config) *quic.Config {
	c := *p.monitor.Config(cfg)
	next := c.OnConn
	c.OnConn = func(conn *quic.Conn, ev quic.ConnEvent) {
		next(conn, ev)
		switch ev {
		case quic.ConnEstablished:
			p.mu.Lock()
			defer p.mu.Unlock()
			p.established[conn] = true
		case quic.ConnEnded:
			p.ended <- struct{}{}
		}
	}
	return &c
}

// Addr returns the server's address.
func (p *Pair) Addr() string { return p.listener.Addr().String() }

// ClientConfig returns a client's configuration without a Monitor.
func (p *Pair) ClientConfig() *quic.Config {
	return &quic.Config{TLS: &tlsprovider.Config{NextProtos: []string{protocol}, RootCAs: p.cert.Roots()}}
}

// RefuseAll makes the server refuse all clients from now on.
func (p *Pair) RefuseAll() { p.refuse.Store(true) }

// Connect returns both ends of a connection on which a message was echoed, and of which the Monitor knows that it is established.
// groups are the client's.
func (p *Pair) Connect(t *testing.T, groups []tlsprovider.Group) (client, server *quic.Conn) {
	t.Helper()
	cfg := p.ClientConfig()
	cfg.TLS.Groups = groups
	client, err := quic.Dial(t.Context(), "udp", p.Addr(), p.Config(cfg))
	require.NoError(t, err)
	server, err = p.listener.Accept(t.Context())
	require.NoError(t, err)
	c, err := client.OpenStream(t.Context())
	require.NoError(t, err)
	_, err = c.Write([]byte("hello"))
	require.NoError(t, err)
	require.NoError(t, c.CloseWrite())
	s, err := server.AcceptStream(t.Context())
	require.NoError(t, err)
	_, err = io.Copy(s, s)
	require.NoError(t, err)
	require.NoError(t, s.CloseWrite())
	b, err := io.ReadAll(c)
	require.NoError(t, err)
	require.Equal(t, "hello", string(b))
	require.Eventually(t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.established[client] && p.established[server]
	}, 10*time.Second, time.Millisecond)
	return client, server
}

// WaitEnded waits until the Monitor knows that n connections have ended.
func (p *Pair) WaitEnded(t *testing.T, n int) {
	t.Helper()
	for range n {
		select {
		case <-p.ended:
		case <-t.Context().Done():
			t.Fatal("a connection does not end")
		}
	}
}

// Close removes the server from the Monitor and closes it.
func (p *Pair) Close(t *testing.T) {
	t.Helper()
	p.remove()
	require.NoError(t, p.listener.Endpoint().Close())
}
