//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/datagram"
)

// pathWorld is a client and an echoing server on the loopback interface.
type pathWorld struct {
	*testing.T
	client, server *Conn
}

func newPathWorld(t *testing.T, cfg *Config) *pathWorld {
	t.Helper()
	l, err := Listen("udp", "127.0.0.1:0", cfg)
	require.NoError(t, err)
	conns := make(chan *Conn, 1)
	var wg sync.WaitGroup
	serveConns(&wg, l, func(wg *sync.WaitGroup, c *Conn) {
		conns <- c
		echoConn(wg, c)
	})
	client, err := Dial(context.Background(), "udp4", l.Addr().String(), clientConfig())
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, client.ep.Close())
		require.NoError(t, l.Endpoint().Close())
		wg.Wait()
	})
	require.NoError(t, echo(client, 1000, 1))
	return &pathWorld{t, client, <-conns}
}

func (w *pathWorld) socket(addr string) *net.UDPConn {
	w.Helper()
	a, err := net.ResolveUDPAddr("udp4", addr)
	require.NoError(w, err)
	pc, err := net.ListenUDP("udp4", a)
	require.NoError(w, err)
	return pc
}

// A client moves from socket to socket, once without waiting for the validation.
func TestPathSwitch(t *testing.T) {
	w := newPathWorld(t, serverConfig())
	var last *Path
	for i, addr := range []string{"127.0.0.1:0", "127.0.0.2:0", "127.0.0.3:0", "0.0.0.0:0"} {
		before := w.server.RemoteAddr().String()
		p, err := w.client.AddPath(w.socket(addr))
		require.NoError(t, err)
		<-p.Validated()
		require.Equal(t, before, w.server.RemoteAddr().String(), "probing does not move the connection")
		require.NoError(t, p.Err())
		require.NoError(t, p.Switch())
		require.NoError(t, echo(w.client, 1<<20, byte(i)))
		require.NotEqual(t, before, w.server.RemoteAddr().String())
		require.Equal(t, p.LocalAddr().(*net.UDPAddr).Port, w.server.RemoteAddr().(*net.UDPAddr).Port)
		require.Equal(t, p.LocalAddr().(*net.UDPAddr).Port, w.client.LocalAddr().(*net.UDPAddr).Port)
		require.True(t, w.client.LocalAddr().(*net.UDPAddr).IP.IsLoopback())
		require.ErrorContains(t, p.Close(), "in use")
		if last != nil {
			<-last.Done()
			require.ErrorIs(t, last.Err(), ErrPathFailed)
		}
		last = p
	}
	require.EqualValues(t, 4, w.server.Stats().PathChanges)
	require.NoError(t, w.client.Close())
	<-last.Done()
	require.ErrorIs(t, last.Err(), net.ErrClosed)
}

// A path that is added as soon as Dial returns waits until it is possible.
func TestPathBeforeConfirmation(t *testing.T) {
	l := echoServer(t)
	client, err := Dial(context.Background(), "udp4", l.Addr().String(), clientConfig())
	require.NoError(t, err)
	w := &pathWorld{T: t, client: client}
	p, err := client.AddPath(w.socket("127.0.0.1:0"))
	require.NoError(t, err)
	q, err := client.AddPath(w.socket("127.0.0.1:0"))
	require.NoError(t, err)
	<-p.Validated()
	<-q.Validated() // with the connection ID that the server has issued when p's was used
	require.NoError(t, p.Switch())
	require.NoError(t, echo(client, 100_000, 1))
	require.NoError(t, client.Close())
	<-p.Done()
	<-q.Done()
}

// A path is closed before it is used. Its socket is closed, and the connection does not notice.
func TestPathClose(t *testing.T) {
	w := newPathWorld(t, serverConfig())
	pc := w.socket("127.0.0.1:0")
	p, err := w.client.AddPath(pc)
	require.NoError(t, err)
	<-p.Validated()
	require.NoError(t, p.Close())
	require.NoError(t, p.Close())
	<-p.Done()
	require.ErrorIs(t, p.Err(), net.ErrClosed)
	require.ErrorIs(t, p.Switch(), net.ErrClosed)
	_, err = pc.WriteTo([]byte{1}, pc.LocalAddr())
	require.ErrorIs(t, err, net.ErrClosed)
	require.NoError(t, echo(w.client, 100_000, 1))
	require.Zero(t, w.server.Stats().PathChanges)
}

// A path that leads nowhere fails, whether or not the connection has been moved there.
func TestPathFails(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes three seconds")
	}
	w := newPathWorld(t, serverConfig())
	for _, switchFirst := range []bool{false, true} {
		p, err := w.client.AddPath(lossySocket{w.socket("127.0.0.1:0")})
		require.NoError(t, err)
		if switchFirst {
			require.NoError(t, p.Switch())
		}
		<-p.Done()
		require.ErrorIs(t, p.Err(), ErrPathFailed)
		require.NoError(t, echo(w.client, 100_000, 1))
	}
	require.EqualValues(t, 2, w.client.Stats().FailedPaths)
}

// A lossySocket sends nothing.
type lossySocket struct{ net.PacketConn }

func (s lossySocket) WriteTo(b []byte, _ net.Addr) (int, error) { return len(b), nil }

// What arrives at the socket of a path and belongs to no connection gets no answer. It would come from the Endpoint's
// socket, which shows that both addresses are one client's. Nor does it begin a connection, wherever it is in a train.
func TestPathSocketAnswersNobody(t *testing.T) {
	inBubble(t, nil, serverConfig(), func(t *testing.T, w *world) {
		l, err := w.client.Listen()
		require.NoError(t, err)
		defer l.Close()
		from := netip.MustParseAddrPort(otherAddr)
		var answers atomic.Int32
		w.net.SetDrop(func(_, to netip.AddrPort, _ []byte) bool {
			if to == from {
				answers.Add(1)
			}
			return false
		})
		train := make([]byte, 2*1200)
		train[0], train[1] = 0x40, 1 // a connection ID that does not exist
		train[1200], train[1201] = 0xc0, 1
		for _, c := range []struct {
			path    *Path
			answers int32
		}{{new(Path), 0}, {nil, 2}} {
			data := bytes.Clone(train)
			r := &socketReader{ep: w.client, path: c.path}
			r.receive(&datagram.Train{Path: datagram.Path{Remote: from}, Data: data, SegmentSize: 1200}, make([]byte, core.MaxUnknownSize))
			synctest.Wait()
			require.Equal(t, c.answers, answers.Load())
		}
	})
}

// The errors of AddPath leave the socket open.
func TestPathErrors(t *testing.T) {
	cfg := serverConfig()
	cfg.DisableActiveMigration = true
	w := newPathWorld(t, cfg)
	pc := w.socket("127.0.0.1:0")
	defer pc.Close()
	_, err := w.server.AddPath(pc)
	require.ErrorContains(t, err, "only a client")
	require.NoError(t, echo(w.client, 1000, 1)) // the handshake is confirmed
	_, err = w.client.AddPath(pc)
	require.ErrorIs(t, err, ErrMigrationDisabled)
	require.NoError(t, w.client.Close())
	_, err = w.client.AddPath(pc)
	require.ErrorIs(t, err, net.ErrClosed)
	_, err = pc.WriteTo([]byte{1}, pc.LocalAddr())
	require.NoError(t, err)
}
