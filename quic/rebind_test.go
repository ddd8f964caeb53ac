//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"context"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// A natBox relays the datagrams of one client to a server, from an address that it can change.
type natBox struct {
	t      testing.TB
	server netip.AddrPort
	inside *net.UDPConn
	done   sync.WaitGroup

	mu      sync.Mutex
	client  netip.AddrPort
	outside *net.UDPConn
}

func newNATBox(t testing.TB, server string) *natBox {
	t.Helper()
	b := &natBox{t: t, server: netip.MustParseAddrPort(server)}
	b.inside = b.listen("127.0.0.1:0")
	b.rebind("127.0.0.1:0")
	b.done.Go(func() {
		buf := make([]byte, 9000)
		for {
			n, from, err := b.inside.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			b.mu.Lock()
			b.client = from
			out := b.outside
			b.mu.Unlock()
			_, _ = out.WriteToUDPAddrPort(buf[:n], b.server)
		}
	})
	t.Cleanup(func() {
		b.inside.Close()
		b.mu.Lock()
		b.outside.Close()
		b.mu.Unlock()
		b.done.Wait()
	})
	return b
}

func (b *natBox) listen(addr string) *net.UDPConn {
	b.t.Helper()
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr)))
	require.NoError(b.t, err)
	return c
}

// rebind gives the client another address. What is sent to the old one is lost.
func (b *natBox) rebind(addr string) {
	b.t.Helper()
	out := b.listen(addr)
	b.mu.Lock()
	if b.outside != nil {
		b.outside.Close()
	}
	b.outside = out
	b.mu.Unlock()
	b.done.Go(func() {
		buf := make([]byte, 9000)
		for {
			n, err := out.Read(buf)
			if err != nil {
				return
			}
			b.mu.Lock()
			client := b.client
			b.mu.Unlock()
			_, _ = b.inside.WriteToUDPAddrPort(buf[:n], client)
		}
	})
}

// A connection survives a NAT that changes the client's port, and its address, whatever the number of loops.
func TestRebindingOverLoopback(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "127.0.0.2:0"} {
		for _, loops := range []int{1, 2} {
			t.Run(addr, func(t *testing.T) {
				if loops > 1 && (testing.Short() || runtime.GOOS != "linux") {
					t.Skip("several event loops exist on Linux only, and a short run tests one")
				}
				cfg := serverConfig()
				cfg.Loops = loops
				l, err := Listen("udp", "127.0.0.1:0", cfg)
				require.NoError(t, err)
				conns := make(chan *Conn, 1)
				var wg sync.WaitGroup
				serveConns(&wg, l, func(wg *sync.WaitGroup, c *Conn) {
					conns <- c
					echoConn(wg, c)
				})
				t.Cleanup(func() {
					require.NoError(t, l.Endpoint().Close())
					wg.Wait()
				})
				nat := newNATBox(t, l.Addr().String())
				cc := clientConfig()
				cc.ServerName = "localhost"
				client, err := Dial(context.Background(), "udp4", nat.inside.LocalAddr().String(), cc)
				require.NoError(t, err)
				require.NoError(t, echo(client, 1<<20, 1))
				server := <-conns
				before := server.RemoteAddr().String()
				for i := range 3 {
					nat.rebind(addr)
					require.NoError(t, echo(client, 1<<20, byte(i)))
					require.Equal(t, nat.outside.LocalAddr().String(), server.RemoteAddr().String())
					require.NotEqual(t, before, server.RemoteAddr().String())
				}
				require.EqualValues(t, 3, server.Stats().PathChanges)
				require.NoError(t, client.Close())
			})
		}
	}
}
