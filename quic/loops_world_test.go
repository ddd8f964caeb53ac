//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/internal/simnet"
	"github.com/pqquic/pqquic/quic/internal/core"
)

// A splitter distributes the datagrams of one socket among several, as the kernel does with SO_REUSEPORT.
type splitter struct {
	net.PacketConn
	ids    loopIDs
	socks  []*splitSock
	open   atomic.Int64
	choose atomic.Pointer[func(from net.Addr, d []byte) int]
}

// A splitSock is a socket of a splitter.
type splitSock struct {
	*splitter
	arrived chan split
	closed  chan struct{}
	sent    atomic.Int64 // datagrams
}

type split struct {
	from net.Addr
	data []byte
}

// newSplitter returns a splitter that passes every packet whose connection ID names a loop to another one.
func newSplitter(pc net.PacketConn, loops int) *splitter {
	s := &splitter{PacketConn: pc, ids: newLoopIDs(rand.Uint32(), loops)}
	for range loops {
		s.socks = append(s.socks, &splitSock{splitter: s, arrived: make(chan split, 1000), closed: make(chan struct{})})
	}
	s.open.Store(int64(loops))
	s.set(s.wrong)
	go func() {
		for {
			b := make([]byte, 2048)
			n, from, err := pc.ReadFrom(b)
			if err != nil {
				return
			}
			s.socks[(*s.choose.Load())(from, b[:n])].arrived <- split{from, b[:n]}
		}
	}()
	return s
}

func (s *splitter) set(choose func(net.Addr, []byte) int) { s.choose.Store(&choose) }

// wrong returns the number of a loop that does not have the connection or, for packets of a client that knows
// no connection ID of the server, a number that depends on the client's port.
func (s *splitter) wrong(from net.Addr, d []byte) int {
	switch {
	case d[0]&0x80 == 0:
		return (s.ids.loopOf(d[1:]) + 1) % len(s.socks)
	case d[0]&0xb0 == 0xa0:
		return (s.ids.loopOf(d[6:]) + 1) % len(s.socks)
	}
	return from.(*net.UDPAddr).Port % len(s.socks)
}

func (s *splitSock) ReadFrom(p []byte) (int, net.Addr, error) {
	select {
	case d := <-s.arrived:
		return copy(p, d.data), d.from, nil
	case <-s.closed:
		return 0, nil, net.ErrClosed
	}
}

func (s *splitSock) WriteTo(p []byte, to net.Addr) (int, error) {
	s.sent.Add(1)
	return s.PacketConn.WriteTo(p, to)
}

func (s *splitSock) Close() error {
	close(s.closed)
	if s.open.Add(-1) > 0 {
		return nil
	}
	return s.PacketConn.Close()
}

// A loopsWorld is a world whose server has several loops.
type loopsWorld struct {
	*world
	*splitter
}

// withLoops runs a test on the fake clock with a server of two loops. Without choose, every packet that can
// reach the wrong loop does.
func withLoops(t *testing.T, server *Config, test func(*testing.T, *loopsWorld)) {
	t.Helper()
	testPKI()
	if server == nil {
		server = serverConfig()
	}
	synctest.Test(t, func(t *testing.T) {
		w := &loopsWorld{world: &world{T: t, net: &simnet.Net{Latency: 5 * time.Millisecond}}}
		w.open(server, 2)
		t.Cleanup(func() {
			require.NoError(t, w.server.Close())
			require.Zero(t, w.net.Open(), "sockets left open")
		})
		test(t, w)
	})
}

// open starts the server.
func (w *loopsWorld) open(cfg *Config, loops int) {
	w.Helper()
	w.splitter = newSplitter(w.net.Listen(serverAddr), loops)
	full, err := cfg.withDefaults()
	require.NoError(w, err)
	var pcs []net.PacketConn
	for _, s := range w.socks {
		pcs = append(pcs, s)
	}
	w.server, err = newEndpoint(sockets{loops: pcs, ids: w.ids}, full)
	require.NoError(w, err)
	w.listener, err = w.server.Listen()
	require.NoError(w, err)
}

// clientAt returns a client with its own address. Clients with an even and an odd number have their
// connections on loop 0 and loop 1.
func (w *loopsWorld) clientAt(i int, cfg *Config) *Endpoint {
	w.Helper()
	if cfg == nil {
		cfg = clientConfig()
	}
	e, err := NewEndpoint(w.net.Listen(fmt.Sprintf("10.0.0.2:%d", 5000+i)), cfg)
	require.NoError(w, err)
	w.Cleanup(func() { require.NoError(w, e.Close()) })
	return e
}

// connectAt returns both ends of a connection of a new client.
func (w *loopsWorld) connectAt(i int) (client, server *Conn) {
	w.Helper()
	client, err := w.clientAt(i, nil).Dial(w.Context(), serverAddr, nil)
	require.NoError(w, err)
	server, err = w.listener.Accept(w.Context())
	require.NoError(w, err)
	require.Equal(w, i%2, server.ep.index)
	return client, server
}

// serverID returns a connection ID of a server's connection.
func serverID(t *testing.T, w *loopsWorld, client *Conn) []byte {
	t.Helper()
	var id atomic.Pointer[[]byte]
	w.set(func(from net.Addr, d []byte) int {
		if d[0]&0x80 == 0 && from.String() == client.LocalAddr().String() {
			seen := bytes.Clone(d[1 : 1+core.ConnIDLen])
			id.Store(&seen)
		}
		return w.wrong(from, d)
	})
	s, err := client.OpenStream(t.Context())
	require.NoError(t, err)
	require.NoError(t, s.Close())
	advance(time.Second)
	require.NotNil(t, id.Load())
	return *id.Load()
}
