//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
)

// A faultySock is a socket whose reads or writes fail, either from the nth on or only the nth.
type faultySock struct {
	net.PacketConn
	err          error
	writes, once bool
	n            int

	mu   sync.Mutex
	seen int
}

func (s *faultySock) fails(write bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if write != s.writes {
		return nil
	}
	s.seen++
	if s.seen-1 < s.n || s.once && s.seen-1 > s.n {
		return nil
	}
	return s.err
}

func (s *faultySock) ReadFrom(p []byte) (int, net.Addr, error) {
	// The datagram is read first and then lost, so that a failure takes as long as a read.
	n, from, err := s.PacketConn.ReadFrom(p)
	if err == nil {
		err = s.fails(false)
	}
	return n, from, err
}

func (s *faultySock) WriteTo(p []byte, to net.Addr) (int, error) {
	if err := s.fails(true); err != nil {
		return 0, err
	}
	return s.PacketConn.WriteTo(p, to)
}

// A socket may fail at any moment, once or permanently. Every call returns, a single failure loses no data,
// and nothing is left when the Endpoint is closed: the bubble checks for goroutines.
func TestSocketFails(t *testing.T) {
	const moments = 40 // the exchange below takes about as many reads and writes
	for _, cause := range []error{syscall.EPERM, syscall.ENOBUFS, syscall.ECONNREFUSED, syscall.EAGAIN} {
		for _, writes := range []bool{false, true} {
			for _, once := range []bool{false, true} {
				if cause == syscall.EAGAIN && !once {
					continue // a socket that stays full: see TestSocketStaysFull
				}
				t.Run(fmt.Sprintf("%v, write %v, once %v", cause, writes, once), func(t *testing.T) {
					for n := range moments {
						inBubble(t, nil, nil, func(t *testing.T, w *world) {
							s := &faultySock{PacketConn: w.net.Listen("10.0.0.3:1"), err: cause, writes: writes, once: once, n: n}
							err := exchangeOver(t, w, s)
							if n < 8 {
								require.Greater(t, s.seen, n, "the fault occurred")
							}
							if once {
								require.NoError(t, err, "moment %d", n)
							} else if err != nil {
								require.True(t, errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded), "moment %d: %v", n, err)
							}
						})
					}
				})
			}
		}
	}
}

// A shortSock is a socket whose reads fail for some time.
type shortSock struct {
	net.PacketConn
	until time.Time
}

func (s *shortSock) ReadFrom(p []byte) (int, net.Addr, error) {
	if time.Now().Before(s.until) {
		return 0, nil, syscall.ENOMEM
	}
	return s.PacketConn.ReadFrom(p)
}

// A socket that is out of memory for two seconds is not considered broken. One that stays out of memory is.
func TestSocketOutOfMemory(t *testing.T) {
	for _, forGood := range []bool{false, true} {
		inBubble(t, nil, nil, func(t *testing.T, w *world) {
			s := &shortSock{PacketConn: w.net.Listen("10.0.0.3:1"), until: time.Now().Add(2 * time.Second)}
			if forGood {
				s.until = time.Now().Add(time.Hour)
			}
			err := exchangeOver(t, w, s)
			if !forGood {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, syscall.ENOMEM)
			}
		})
	}
}

// exchangeOver dials from a socket, has 30,000 bytes echoed, and closes the connection.
func exchangeOver(t *testing.T, w *world, pc net.PacketConn) (err error) {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	wg.Go(func() {
		if conn, err := w.listener.Accept(ctx); err == nil {
			echoConn(&wg, conn)
		}
	})
	e, err := NewEndpoint(pc, clientConfig())
	require.NoError(t, err)
	defer func() { require.NoError(t, e.Close()) }()
	conn, err := e.Dial(ctx, serverAddr, nil)
	if err != nil {
		return err
	}
	s, err := conn.OpenStream(ctx)
	if err != nil {
		return err
	}
	if err := s.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	want := pattern(30_000, 9)
	if _, err := s.Write(want); err != nil {
		return err
	}
	if err := s.CloseWrite(); err != nil {
		return err
	}
	got, err := io.ReadAll(s)
	if err != nil {
		return err
	}
	requireSame(t, want, got)
	return errors.Join(s.Close(), conn.Close())
}

// A socket that stays full blocks only those who write, and Close ends the wait.
func TestSocketStaysFull(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		c, _ := w.stream(client, server)
		w.net.SetFull(func(from netip.AddrPort) bool { return from.String() == clientAddr })
		_, err := c.Write(pattern(1000, 1))
		require.NoError(t, err)
		require.ErrorIs(t, client.Close(), os.ErrDeadlineExceeded)
		require.NoError(t, w.client.Close())
		w.net.SetFull(nil)
	})
}

// Close waits once, however many connections wait for room in the socket.
func TestCloseWithManyConnsWithoutRoom(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		for range 10 {
			client, server := w.connect()
			w.stream(client, server)
		}
		w.net.SetFull(func(from netip.AddrPort) bool { return from.String() == clientAddr })
		begin := time.Now()
		require.NoError(t, w.client.Close())
		require.Less(t, time.Since(begin), 2*closeFlushTimeout)
		w.net.SetFull(nil)
	})
}

// If the socket is closed by someone else, the Endpoint and everything on it end, and their errors contain
// the cause.
func TestSocketClosedByOthers(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		sock := w.net.Listen("10.0.0.3:1")
		e, err := NewEndpoint(sock, clientConfig())
		require.NoError(t, err)
		conn, err := e.Dial(t.Context(), serverAddr, nil)
		require.NoError(t, err)
		accept := start(func() error { _, err := conn.AcceptStream(context.Background()); return err })
		advance(time.Second)
		require.NoError(t, sock.Close())
		err = <-accept
		require.ErrorIs(t, err, ErrEndpointClosed)
		require.ErrorIs(t, err, net.ErrClosed)
		require.ErrorContains(t, err, "socket failed")
		<-conn.Context().Done()
		require.Equal(t, err, context.Cause(conn.Context()))
		_, err = e.Dial(t.Context(), serverAddr, nil)
		require.ErrorIs(t, err, ErrEndpointClosed)
		require.NoError(t, e.Close())
	})
}

// If a Dial could not send anything, its error contains the socket's error.
func TestHandshakeTimeoutNamesSocketError(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		s := &faultySock{PacketConn: w.net.Listen("10.0.0.3:1"), err: syscall.ENETUNREACH, writes: true}
		err := exchangeOver(t, w, s)
		require.ErrorIs(t, err, ErrHandshakeTimeout)
		require.ErrorIs(t, err, syscall.ENETUNREACH)
		require.True(t, isTimeout(err))

		s = &faultySock{PacketConn: w.net.Listen("10.0.0.3:1"), err: syscall.ENETUNREACH, writes: true}
		e, err := NewEndpoint(s, clientConfig())
		require.NoError(t, err)
		defer e.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = e.Dial(ctx, serverAddr, nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, syscall.ENETUNREACH)
		require.True(t, isTimeout(err))
	})
}

// One socket can have both roles at once, and can even dial itself.
func TestDialItself(t *testing.T) {
	cfg := serverConfig()
	cfg.ClientTLS = clientConfig().TLS
	cfg.ServerName = "localhost"
	inBubble(t, cfg, nil, func(t *testing.T, w *world) {
		client, err := w.server.Dial(t.Context(), serverAddr, nil)
		require.NoError(t, err)
		server, err := w.listener.Accept(t.Context())
		require.NoError(t, err)
		require.NotSame(t, client, server)
		c, s := w.stream(client, server)
		_, err = s.Write([]byte("to myself"))
		require.NoError(t, err)
		require.NoError(t, s.Close())
		require.NoError(t, c.CloseWrite())
		got, err := io.ReadAll(c)
		require.NoError(t, err)
		require.Equal(t, "to myself", string(got))
		require.NoError(t, client.CloseWithError(7, ""))
		<-server.Context().Done()
		requireApplicationError(t, context.Cause(server.Context()), 7, "", true)
	})
}

// plainSock hides the other methods of a *net.UDPConn.
type plainSock struct{ net.PacketConn }

func TestLoopbackAnyPacketConn(t *testing.T) {
	l := echoServer(t)
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	e, err := NewEndpoint(plainSock{pc}, clientConfig())
	require.NoError(t, err)
	conn, err := e.Dial(t.Context(), l.Addr().String(), nil)
	require.NoError(t, err)
	require.NoError(t, echo(conn, 200_000, 1))
	require.NoError(t, conn.Close())
	require.NoError(t, e.Close())
	_, err = pc.WriteTo([]byte("x"), pc.LocalAddr())
	require.ErrorIs(t, err, net.ErrClosed, "the Endpoint owns the socket")
}

// A busySock calls during, once, before it sends the next datagram.
type busySock struct {
	net.PacketConn
	during func()
}

func (s *busySock) WriteTo(p []byte, to net.Addr) (int, error) {
	if f := s.during; f != nil {
		s.during = nil
		f()
	}
	return s.PacketConn.WriteTo(p, to)
}

// An Endpoint that closes with its connection keeps the socket open until CONNECTION_CLOSE has been sent,
// even if other goroutines see meanwhile that the connection has ended.
func TestLastPacketIsSentBeforeSocketCloses(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		sock := &busySock{PacketConn: w.net.Listen("10.0.0.3:1")}
		e, err := NewEndpoint(sock, clientConfig())
		require.NoError(t, err)
		client, err := e.Dial(t.Context(), serverAddr, nil)
		require.NoError(t, err)
		e.autoClose.Store(true) // as in Dial without an Endpoint
		server, err := w.listener.Accept(t.Context())
		require.NoError(t, err)
		c, err := client.OpenStream(t.Context())
		require.NoError(t, err)
		advance(time.Second)
		sock.during = func() {
			_, err := c.Read(make([]byte, 1))
			require.ErrorIs(t, err, net.ErrClosed)
			synctest.Wait() // if the socket were about to close, it would be closed now
		}
		require.NoError(t, client.Close())
		<-e.done
		<-server.Context().Done()
		requireApplicationError(t, context.Cause(server.Context()), 0, "", true)
	})
}

// Calls of GetTLSConfig that hang, and handshakes that wait for such a call, do not delay other handshakes.
func TestGetTLSConfigHangs(t *testing.T) {
	release := make(chan struct{})
	cfg := serverConfig()
	cfg.MaxSigners = 1
	cfg.GetTLSConfig = func(hello *tlsprovider.ClientHello) (*tlsprovider.Config, error) {
		<-release
		return nil, nil
	}
	inBubble(t, cfg, nil, func(t *testing.T, w *world) {
		release = make(chan struct{}) // made inside the bubble
		other, err := NewEndpoint(w.net.Listen("10.0.0.3:4433"), serverConfig())
		require.NoError(t, err)
		defer other.Close()
		_, err = other.Listen()
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 2 + runtime.GOMAXPROCS(0) {
			wg.Go(func() { _, _ = w.client.Dial(ctx, serverAddr, nil) })
		}
		advance(time.Second)
		own := clientConfig()
		conn, err := w.server.Dial(t.Context(), "10.0.0.3:4433", own)
		cancel()
		close(release)
		wg.Wait()
		require.NoError(t, err)
		require.NoError(t, conn.Close())
	})
}

// A shortLived provider makes clients whose keys may seal only few packets.
type shortLived struct{ tlsprovider.Provider }

type shortLivedEndpoint struct{ tlsprovider.Endpoint }

type shortLivedSession struct{ tlsprovider.Session }

type shortLivedSealer struct{ tlsprovider.Sealer }

func (p shortLived) NewClient(cfg *tlsprovider.Config) (tlsprovider.Endpoint, error) {
	e, err := p.Provider.NewClient(cfg)
	return shortLivedEndpoint{e}, err
}

func (e shortLivedEndpoint) NewSession(p tlsprovider.SessionParams) (tlsprovider.Session, error) {
	s, err := e.Endpoint.NewSession(p)
	return shortLivedSession{s}, err
}

func (s shortLivedSession) TakeKeys(l tlsprovider.Level, version uint32) (tlsprovider.Keys, error) {
	k, err := s.Session.TakeKeys(l, version)
	if l == tlsprovider.LevelApp && k.Sealer != nil {
		k.Sealer = shortLivedSealer{k.Sealer}
	}
	return k, err
}

func (shortLivedSealer) ConfidentialityLimit() uint64 { return 30 }

// A watchedSock calls watch before each datagram that it sends.
type watchedSock struct {
	net.PacketConn
	watch func()
}

func (s *watchedSock) WriteTo(p []byte, to net.Addr) (int, error) {
	if s.watch != nil {
		s.watch()
	}
	return s.PacketConn.WriteTo(p, to)
}

// Building a packet can end the connection. Calls on other goroutines that come between that and the sending
// of CONNECTION_CLOSE return the connection's error.
func TestCallsWhileTheConnectionEnds(t *testing.T) {
	cfg := clientConfig()
	cfg.Provider = shortLived{native.New()}
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		sock := &watchedSock{PacketConn: w.net.Listen("10.0.0.3:1")}
		e, err := NewEndpoint(sock, cfg)
		require.NoError(t, err)
		defer e.Close()
		client, err := e.Dial(t.Context(), serverAddr, nil)
		require.NoError(t, err)
		c, err := client.OpenStream(t.Context())
		require.NoError(t, err)
		other, err := client.OpenStream(t.Context())
		require.NoError(t, err)
		advance(time.Second)
		// Without acknowledgements, the client cannot update its keys.
		w.net.SetDrop(func(from, _ netip.AddrPort, _ []byte) bool { return from.String() == serverAddr })
		var opened, written, exported error
		sock.watch = func() {
			if opened == nil {
				_, opened = client.TryOpenStream()
				_, written = other.Write(nil)
				_, exported = client.ExportKeyingMaterial("label", nil, 32)
			}
		}
		for client.Context().Err() == nil {
			_, _ = c.Write([]byte{1})
			advance(10 * time.Millisecond)
		}
		requireTransportError(t, context.Cause(client.Context()), AEADLimitReached, false)
		require.NoError(t, e.Close()) // waits for the sender, which calls watch
		for _, err := range []error{opened, written, exported} {
			requireTransportError(t, err, AEADLimitReached, false)
		}
	})
}
