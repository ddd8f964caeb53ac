//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Established connections go on while the goroutine that reads the packets of new clients does not: here, Accept does not
// return.
func TestSeparateHandshakes(t *testing.T) {
	cfg := serverConfig()
	cfg.SeparateHandshakes = true
	clients, entered, release := 0, make(chan struct{}), make(chan struct{})
	cfg.Accept = func(ClientInfo) error {
		if clients++; clients == 2 {
			close(entered)
			<-release
		}
		return nil
	}
	l, err := Listen("udp", "127.0.0.1:0", cfg)
	require.NoError(t, err)
	var serving sync.WaitGroup
	serveConns(&serving, l, echoConn)
	first, err := Dial(t.Context(), "udp", l.Addr().String(), clientConfig())
	require.NoError(t, err)
	require.NoError(t, echo(first, 100_000, 1))

	second := start(func() error {
		conn, err := Dial(t.Context(), "udp", l.Addr().String(), clientConfig())
		if err != nil {
			return err
		}
		return echo(conn, 100_000, 2)
	})
	<-entered
	require.NoError(t, echo(first, 100_000, 3))
	close(release)
	require.NoError(t, <-second)
	require.NoError(t, l.Endpoint().Close())
	serving.Wait()
	again, err := Listen("udp", l.Addr().String(), cfg)
	require.NoError(t, err, "both sockets are closed")
	require.NoError(t, again.Endpoint().Close())
}

func TestSeparateHandshakesErrors(t *testing.T) {
	cfg := serverConfig()
	cfg.SeparateHandshakes = true
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer pc.Close()
	_, err = NewEndpoint(pc, cfg)
	require.ErrorContains(t, err, "use Listen")
	l, err := Listen("udp", "127.0.0.1:0", cfg)
	require.NoError(t, err)
	defer l.Endpoint().Close()
	_, err = Listen("udp", l.Addr().String(), cfg)
	require.ErrorContains(t, err, "in use")
	cfg.Loops = 2
	_, err = Listen("udp", "127.0.0.1:0", cfg)
	require.ErrorContains(t, err, "Config.Loops is 2")
}
