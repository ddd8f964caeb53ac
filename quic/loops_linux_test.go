//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/core"
)

// Many clients transfer data over two sockets, with the BPF program and without. As long as no client's address
// changes, nothing is forwarded.
func TestLoopbackLoops(t *testing.T) {
	for _, bpf := range []string{"", "off"} {
		t.Run("BPF "+bpf, func(t *testing.T) {
			t.Setenv("PQQUIC_DISABLE_BPF", bpf)
			l := listenLoops(t, ":0")
			e := l.Endpoint()
			var serving sync.WaitGroup
			serveConns(&serving, l, echoConn)
			const clients = 32
			errs := make(chan error, clients)
			for i := range clients {
				go func() {
					conn, err := Dial(context.Background(), "udp", l.Addr().String(), clientConfig())
					if err == nil {
						err = errors.Join(echo(conn, 100_000+i, byte(i)), conn.Close())
					}
					errs <- err
				}()
			}
			for range clients {
				require.NoError(t, <-errs)
			}
			for i, m := range e.loops {
				m.mu.Lock()
				n := m.lastRef
				m.mu.Unlock()
				require.Positive(t, n, "loop %d has no connection", i)
			}
			stats := e.Stats()
			require.Equal(t, uint64(clients), stats.Accepted)
			require.Zero(t, stats.Forwarded+stats.ForwardDrops)
			require.NoError(t, e.Close())
			serving.Wait()
		})
	}
}

// A packet for a connection of one loop that comes from another address, as after a change of the client's
// address, reaches that loop: with the program at once, and without it by being forwarded.
func TestLoopbackOtherAddress(t *testing.T) {
	for _, bpf := range []string{"", "off"} {
		t.Run("BPF "+bpf, func(t *testing.T) {
			t.Setenv("PQQUIC_DISABLE_BPF", bpf)
			testOtherAddress(t, bpf, serverConfig())
			withGenerator := serverConfig()
			withGenerator.ConnIDLength, withGenerator.GenerateConnID = 17, func([]byte) error { return nil }
			testOtherAddress(t, bpf, withGenerator)
		})
	}
}

func testOtherAddress(t *testing.T, bpf string, cfg *Config) {
	cfg.Loops = 2
	l, err := Listen("udp", "127.0.0.1:0", cfg)
	require.NoError(t, err)
	e := l.Endpoint()
	defer e.Close()
	answered := 0
	for i := range 64 {
		c, err := net.Dial("udp", l.Addr().String())
		require.NoError(t, err)
		packet := make([]byte, 100)
		packet[0] = 0x40
		e.ids.name(packet[1:], i%2)
		_, err = c.Write(packet)
		require.NoError(t, err)
		reset := make([]byte, 100)
		n, err := c.Read(reset)
		require.NoError(t, err)
		require.NoError(t, c.Close())
		token := e.resetKey.Token(packet[1 : 1+e.cfg.ConnIDLength])
		require.Equal(t, token[:], reset[n-16:n])
		answered++
	}
	stats := e.Stats()
	require.Equal(t, uint64(answered), stats.Drops.StatelessReset)
	for _, m := range e.loops {
		m.mu.Lock()
		require.Equal(t, uint64(answered/2), m.core.Drops()[core.DropStatelessReset])
		m.mu.Unlock()
	}
	if bpf == "" {
		require.Zero(t, stats.Forwarded)
	} else {
		require.Positive(t, stats.Forwarded)
		require.Less(t, stats.Forwarded, uint64(answered))
	}
}

func listenLoops(t *testing.T, addr string) *Listener {
	cfg := serverConfig()
	cfg.Loops = 2
	l, err := Listen("udp", addr, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { l.Endpoint().Close() })
	return l
}
