//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
)

// numWorkers returns the number of TLS workers that an Endpoint has started.
func numWorkers(e *Endpoint) int {
	synctest.Wait()
	e.pool.mu.Lock()
	defer e.pool.mu.Unlock()
	return e.pool.idle + e.pool.running
}

// The steps of an Endpoint's only connection need no worker, unless they call code of the application. If there is
// another connection, the receive goroutine leaves them to a worker, because that connection's packets would wait.
func TestStepsOfOnlyConnection(t *testing.T) {
	verify := func(*tlsprovider.State) error { return nil }
	for name, c := range map[string]struct {
		edit                   func(server, client *Config)
		others                 int
		wantServer, wantClient bool
	}{
		"only connection":     {},
		"others":              {others: 1, wantServer: true, wantClient: true},
		"server's VerifyPeer": {edit: func(s, _ *Config) { s.TLS.VerifyPeer = verify }, wantServer: true},
		"client's VerifyPeer": {edit: func(_, c *Config) { c.TLS.VerifyPeer = verify }, wantClient: true},
		"GetTLSConfig": {edit: func(s, _ *Config) {
			s.GetTLSConfig = func(*tlsprovider.ClientHello) (*tlsprovider.Config, error) { return nil, nil }
		}, wantServer: true},
		"Time": {edit: func(_, c *Config) { c.TLS.Time = time.Now }, wantClient: true},
	} {
		t.Run(name, func(t *testing.T) {
			server, client := serverConfig(), clientConfig()
			server.TLS.DisableTickets = true // the steps for tickets follow the handshake and run on a worker
			if c.edit != nil {
				c.edit(server, client)
			}
			inBubble(t, server, client, func(t *testing.T, w *world) {
				for range c.others {
					w.connect()
				}
				w.stream(w.connect())
				require.Equal(t, c.wantServer, numWorkers(w.server) > 0, "the server has started a worker")
				require.Equal(t, c.wantClient, numWorkers(w.client) > 0, "the client has started a worker")
			})
		})
	}
}

// The receive goroutine sends the handshake of the only connection, and nothing else.
func TestReceiveGoroutineSendsHandshake(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		sock := &roleSock{PacketConn: w.net.Listen("10.0.0.3:1")}
		e, err := NewEndpoint(sock, clientConfig())
		require.NoError(t, err)
		conn, err := e.Dial(t.Context(), serverAddr, nil)
		require.NoError(t, err)
		server, err := w.listener.Accept(t.Context())
		require.NoError(t, err)
		count := func(role string) int {
			synctest.Wait()
			sock.mu.Lock()
			defer sock.mu.Unlock()
			return sock.sent[role]
		}
		require.NotZero(t, count("(*Conn)"), "Dial sends the ClientHello")
		handshake := count("(*socketReader).run")
		require.NotZero(t, handshake)
		c, s := w.stream(conn, server)
		requireTransfer(t, s, c, 1<<20)
		require.Equal(t, handshake, count("(*socketReader).run"))
		require.NoError(t, e.Close())
	})
}

// A worker that adds the only job to the queue takes it itself, so no other worker starts.
func TestWorkerTakesItsNextJob(t *testing.T) {
	p := tlsPool{workers: 2, running: 1}
	p.init()
	p.submit(tlsTask{}, true)
	require.Equal(t, 1, p.running)
	_, ok := p.next()
	require.True(t, ok)
}

// If a step ends the receive goroutine, its handshake fails and another goroutine receives.
func TestGoexitInStepOfReceiveLoop(t *testing.T) {
	exited := false
	cfg := serverConfig()
	cfg.Provider = &steppedProvider{Provider: native.New(), side: tlsprovider.Server, beforeContinue: func() {
		if !exited {
			exited = true
			runtime.Goexit()
		}
	}}
	inBubble(t, cfg, nil, func(t *testing.T, w *world) {
		_, err := w.client.Dial(t.Context(), serverAddr, nil)
		requireTransportError(t, err, 0x100+TransportErrorCode(tlsprovider.AlertInternalError), true)
		require.Zero(t, numWorkers(w.server))
		w.stream(w.connect())
	})
}
