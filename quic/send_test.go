//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/datagram"
	"github.com/pqquic/pqquic/tlsprovider"
)

// A roleSock counts the datagrams that each kind of goroutine sends.
type roleSock struct {
	net.PacketConn
	pause time.Duration // time that each datagram takes

	mu      sync.Mutex
	sent    map[string]int // the datagrams of each role
	senders map[string]int // the datagrams that each sender has sent, by the name of its goroutine
}

// roles are the functions that identify a goroutine, the outermost last.
var roles = []string{"timerLoop", "(*socketReader).run", "(*tlsPool).runTasks", "(*tlsPool).sign", "(*sendQueue).send", "(*Stream)", "(*Conn)"}

func roleOfCaller() string {
	pcs := make([]uintptr, 100)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs)])
	stack := ""
	for more := true; more; {
		var f runtime.Frame
		f, more = frames.Next()
		stack += f.Function + "\n"
	}
	for _, r := range roles {
		if strings.Contains(stack, r) {
			return r
		}
	}
	return "others"
}

func (s *roleSock) WriteTo(p []byte, to net.Addr) (int, error) {
	role := roleOfCaller()
	s.mu.Lock()
	if s.sent == nil {
		s.sent, s.senders = make(map[string]int), make(map[string]int)
	}
	s.sent[role]++
	if role == "(*sendQueue).send" {
		stack := make([]byte, 64)
		name, _, _ := strings.Cut(string(stack[:runtime.Stack(stack, false)]), " [")
		s.senders[name]++
	}
	s.mu.Unlock()
	if s.pause > 0 {
		time.Sleep(s.pause)
	}
	return s.PacketConn.WriteTo(p, to)
}

// requireOnlySenders requires that no goroutine that serves other connections has sent anything.
func (s *roleSock) requireOnlySenders(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range roles[:4] {
		require.Zero(t, s.sent[r], "%s has sent; all: %v", r, s.sent)
	}
	require.NotZero(t, s.sent["(*sendQueue).send"])
}

// busyWorld returns a server, and a client whose socket never fills and takes a millisecond for each
// datagram. Acknowledgements arrive as fast as datagrams are sent, so a connection always has more to send.
// busy is the number of connections on which the client's application writes all the time.
func busyWorld(t *testing.T, busy int, test func(t *testing.T, w *world, e *Endpoint, sock *roleSock)) {
	cfg := serverConfig()
	cfg.StreamWindow, cfg.ConnWindow = 64<<20, 64<<20
	inBubble(t, cfg, nil, func(t *testing.T, w *world) {
		sock := &roleSock{PacketConn: w.net.Listen("10.0.0.3:1"), pause: time.Millisecond}
		e, err := NewEndpoint(sock, clientConfig())
		require.NoError(t, err)
		var wg sync.WaitGroup
		serveConns(&wg, w.listener, func(wg *sync.WaitGroup, conn *Conn) { serveStreams(wg, conn, answerAll) })
		for range busy {
			conn, err := e.Dial(t.Context(), serverAddr, nil)
			require.NoError(t, err)
			s, err := conn.OpenStream(t.Context())
			require.NoError(t, err)
			wg.Go(func() {
				for chunk := make([]byte, 64<<10); err == nil; {
					_, err = s.Write(chunk)
				}
			})
		}
		advance(2 * time.Second) // the congestion windows have opened
		sock.mu.Lock()
		clear(sock.sent) // the receive goroutine has sent the handshake of the first connection: see tls_here.go
		sock.mu.Unlock()
		test(t, w, e, sock)
		require.NoError(t, e.Close())
		require.NoError(t, w.server.Close())
		wg.Wait()
	})
}

// answerAll reads a stream to its end and answers with as many bytes as the decimal digit at its beginning.
func answerAll(s *Stream) {
	defer s.Close()
	first := make([]byte, 1)
	if _, err := io.ReadFull(s, first); err != nil || first[0] == 0 {
		io.Copy(io.Discard, s)
		return
	}
	s.Write(make([]byte, first[0]-'0'))
	s.CloseWrite()
	io.Copy(io.Discard, s)
}

// ask sends a request that the peer answers with one byte.
func ask(conn *Conn) error {
	s, err := conn.OpenStream(context.Background())
	if err != nil {
		return err
	}
	defer s.Close()
	if _, err = s.Write([]byte("1")); err == nil {
		_, err = io.ReadFull(s, make([]byte, 1))
	}
	return err
}

// Connections that always have more to send occupy only senders: on the same Endpoint, handshakes complete
// and timers fire. Goroutines that receive, fire timers or run TLS do not send.
func TestBusyConnectionsDoNotBlockOthers(t *testing.T) {
	busyWorld(t, 2*runtime.GOMAXPROCS(0), func(t *testing.T, w *world, e *Endpoint, sock *roleSock) {
		for range 3 {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			conn, err := e.Dial(ctx, serverAddr, nil)
			cancel()
			require.NoError(t, err, "a handshake beside busy connections")
			require.NoError(t, ask(conn))
			require.NoError(t, conn.CloseWithError(0, ""))
		}
		// A handshake without an answer needs the timer goroutine to end.
		w.net.SetDrop(func(_, to netip.AddrPort, _ []byte) bool { return to.String() == "10.0.0.9:9" })
		begin := time.Now()
		cfg := clientConfig()
		cfg.HandshakeTimeout = 2 * time.Second
		_, err := e.Dial(t.Context(), "10.0.0.9:9", cfg)
		require.ErrorIs(t, err, ErrHandshakeTimeout)
		require.InDelta(t, 2*time.Second, time.Since(begin), float64(time.Millisecond), "the timer goroutine was held up")
		sock.requireOnlySenders(t)
	})
}

// While its connection sends all the time, a call returns after a bounded number of trains, and at its
// deadline.
func TestCallsOfBusyConnectionReturn(t *testing.T) {
	busyWorld(t, 1, func(t *testing.T, w *world, e *Endpoint, sock *roleSock) {
		conn := onlyConn(e)
		s, err := conn.OpenStream(t.Context())
		require.NoError(t, err)
		_, err = s.Write([]byte{0})
		require.NoError(t, err)

		const wait = 100 * time.Millisecond
		begin := time.Now()
		require.NoError(t, s.SetReadDeadline(begin.Add(wait)))
		_, err = s.Read(make([]byte, 1<<20))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Equal(t, wait, time.Since(begin))

		begin = time.Now()
		require.NoError(t, s.SetWriteDeadline(begin.Add(wait)))
		n, err := s.Write(make([]byte, 64<<20))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.Positive(t, n)
		// Each call may send one train: 64 KiB, with a millisecond for each 1200 bytes.
		require.Less(t, time.Since(begin), wait+2*64*time.Millisecond)
		sock.requireOnlySenders(t)
	})
}

func onlyConn(e *Endpoint) *Conn {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.conns {
		return c
	}
	return nil
}

// A connection at full rate delays others by one of its turns, and not by all that it has to send.
func TestBulkDoesNotStarveOthers(t *testing.T) {
	const others = 100
	busyWorld(t, 1, func(t *testing.T, w *world, e *Endpoint, sock *roleSock) {
		conns := make([]*Conn, others)
		for i := range conns {
			var err error
			conns[i], err = e.Dial(t.Context(), serverAddr, nil)
			require.NoError(t, err)
		}
		advance(time.Second)
		begin := time.Now()
		errs := make(chan error)
		for _, c := range conns {
			go func() { errs <- ask(c) }()
		}
		for range conns {
			require.NoError(t, <-errs)
		}
		// Each exchange takes less than five datagrams of the client, at a millisecond each, and waits for
		// a few turns of the bulk connection of at most 64 datagrams.
		require.Less(t, time.Since(begin), (others*5+5*64)*time.Millisecond+100*time.Millisecond)
		sock.requireOnlySenders(t)
	})
}

// A sender keeps a connection that always has something to send. No goroutine is started for its turns.
func TestBulkKeepsItsSender(t *testing.T) {
	busyWorld(t, 1, func(t *testing.T, w *world, e *Endpoint, sock *roleSock) {
		sock.mu.Lock()
		clear(sock.senders)
		sock.mu.Unlock()
		advance(5 * time.Second)
		sock.mu.Lock()
		defer sock.mu.Unlock()
		datagrams := 0
		for _, n := range sock.senders {
			datagrams += n
		}
		require.Greater(t, datagrams, 1000, "the connection has something to send for most of the time")
		require.Equal(t, 1, len(sock.senders), "number of senders") // Len would print all of them
	})
}

// The goroutines that receive, run TLS and fire timers leave all packets to senders, including those
// without a connection: Retry, Version Negotiation, refusals, CONNECTION_CLOSE and retransmissions.
func TestOnlySendersSend(t *testing.T) {
	cfg := serverConfig()
	cfg.RequireAddressValidation = func(netip.AddrPort) bool { return true }
	// Otherwise the receive goroutine sends the handshake of the only connection: see tls_here.go.
	cfg.TLS.VerifyPeer = func(*tlsprovider.State) error { return nil }
	refuse := false
	cfg.Accept = func(ClientInfo) error {
		if refuse {
			return errors.New("refused")
		}
		return nil
	}
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		sock := &roleSock{PacketConn: w.net.Listen("10.0.0.4:4433")}
		server, err := NewEndpoint(sock, cfg)
		require.NoError(t, err)
		listener, err := server.Listen()
		require.NoError(t, err)
		dropped := 0
		w.net.SetDrop(func(from, _ netip.AddrPort, _ []byte) bool {
			dropped++
			return dropped%7 == 0
		})
		var wg sync.WaitGroup
		serveConns(&wg, listener, echoConn)
		conn, err := w.client.Dial(t.Context(), "10.0.0.4:4433", nil)
		require.NoError(t, err)
		require.NoError(t, echo(conn, 300_000, 1))
		refuse = true
		_, err = w.client.Dial(t.Context(), "10.0.0.4:4433", nil)
		require.Error(t, err)
		stranger := w.net.Listen("10.0.0.8:8")
		unknownVersion := append([]byte{0xc0, 1, 2, 3, 4, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0}, make([]byte, 1200)...)
		_, err = stranger.WriteTo(unknownVersion, sock.LocalAddr())
		require.NoError(t, err)
		advance(time.Second)
		require.NoError(t, stranger.Close())
		require.NoError(t, server.Close())
		wg.Wait()
		sock.requireOnlySenders(t)
		require.NoError(t, conn.CloseWithError(0, ""))
	})
}

// While the socket is full, the number of waiting trains and of their buffers does not grow with the number
// of connections. Connections still receive and time out.
func TestFullSocketBuffers(t *testing.T) {
	const conns = 60
	cfg := clientConfig()
	cfg.MaxIdleTimeout = 20 * time.Second
	inBubble(t, nil, cfg, func(t *testing.T, w *world) {
		full := func(from netip.AddrPort) bool { return from.String() == clientAddr }
		var clients, servers []*Stream
		var all []*Conn
		for range conns {
			client, server := w.connect()
			c, s := w.stream(client, server)
			clients, servers, all = append(clients, c), append(servers, s), append(all, client)
		}
		want := pattern(20_000, 5)
		for round := range 2 {
			w.net.SetFull(full)
			for _, c := range clients {
				_, err := c.Write(want)
				require.NoError(t, err)
			}
			for _, s := range servers {
				_, err := s.Write([]byte{'!'})
				require.NoError(t, err)
			}
			advance(time.Second)
			for _, c := range clients {
				_, err := io.ReadFull(c, make([]byte, 1))
				require.NoError(t, err, "a connection receives while it cannot send")
			}
			parked := 0
			for _, c := range all {
				if c.isDriving() {
					parked++
				}
			}
			require.LessOrEqual(t, parked, 2*runtime.GOMAXPROCS(0), "too many trains wait")
			require.Positive(t, parked)
			if round == 1 {
				break
			}
			w.net.SetFull(nil)
			for _, s := range servers {
				got := make([]byte, len(want))
				_, err := io.ReadFull(s, got)
				require.NoError(t, err)
				requireSame(t, want, got)
			}
		}
		for _, c := range all {
			<-c.Context().Done()
			require.ErrorIs(t, context.Cause(c.Context()), ErrIdleTimeout)
		}
		w.net.SetFull(nil)
	})
}

// A moodySock fails at random until it is calm: it is full, slow, out of buffers or forbidden.
type moodySock struct {
	net.PacketConn

	mu   sync.Mutex
	rand *rand.Rand // nil when calm
}

func (s *moodySock) WriteTo(p []byte, to net.Addr) (int, error) {
	s.mu.Lock()
	mood := 99
	if s.rand != nil {
		mood = s.rand.IntN(40)
	}
	s.mu.Unlock()
	switch mood {
	case 0, 1, 2, 3:
		return 0, syscall.EAGAIN
	case 4, 5:
		return 0, syscall.ENOBUFS
	case 6:
		return 0, syscall.EPERM
	case 7, 8:
		time.Sleep(100 * time.Microsecond)
	case 9:
		runtime.Gosched()
	}
	return s.PacketConn.WriteTo(p, to)
}

func (s *moodySock) calm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rand = nil
}

// No wakeup is lost: whatever the socket does, once it is calm and all goroutines wait, every connection is
// idle, has nothing to send, and has its timer set. Nothing is left after Close and Shutdown in the
// meantime.
func TestSendStatesUnderStress(t *testing.T) {
	seeds := uint64(24)
	if testing.Short() {
		seeds = 8
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inBubble(t, nil, nil, func(t *testing.T, w *world) { stressSending(t, w, seed) })
		})
	}
}

func stressSending(t *testing.T, w *world, seed uint64) {
	sock := &moodySock{PacketConn: w.net.Listen("10.0.0.3:1"), rand: rand.New(rand.NewPCG(seed, 5))}
	e, err := NewEndpoint(sock, clientConfig())
	require.NoError(t, err)
	var wg sync.WaitGroup
	serveConns(&wg, w.listener, echoConn)
	errs := make(chan error)
	const conns = 6
	for i := range uint64(conns) {
		go func() {
			r := rand.New(rand.NewPCG(seed, i))
			conn, err := e.Dial(context.Background(), serverAddr, nil)
			for range 4 {
				if err == nil {
					time.Sleep(time.Duration(r.IntN(20)) * time.Millisecond)
					err = echo(conn, 1+r.IntN(150_000), byte(i))
				}
			}
			errs <- err
		}()
	}
	if seed%4 == 3 {
		advance(time.Duration(100+seed*7) * time.Millisecond)
		if seed%8 == 3 {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			_ = e.Shutdown(ctx)
			cancel()
		}
		require.NoError(t, e.Close())
		for range conns {
			<-errs
		}
	} else {
		for range conns {
			require.NoError(t, <-errs)
		}
		sock.calm()
		advance(2 * time.Second)
		for range 20 {
			advance(time.Millisecond)
			synctest.Wait()
			requireIdle(t, e)
			requireIdle(t, w.server)
		}
	}
	require.NoError(t, e.Close())
	require.NoError(t, w.server.Close())
	wg.Wait()
	for _, e := range []*Endpoint{e, w.server} {
		require.Zero(t, e.sends.running)
		require.Zero(t, e.sends.lent.Load())
		require.Zero(t, e.sends.full.Load())
		require.Nil(t, e.sends.front)
		require.Empty(t, e.sends.parked)
	}
}

// requireIdle requires that every connection is idle. It is called when no goroutine can continue before a
// timer fires.
func requireIdle(t *testing.T, e *Endpoint) {
	t.Helper()
	e.mu.Lock()
	conns := make([]*Conn, 0, len(e.conns))
	for _, c := range e.conns {
		conns = append(conns, c)
	}
	e.mu.Unlock()
	for _, c := range conns {
		c.mu.Lock()
		require.False(t, c.driving)
		require.False(t, c.queued)
		require.False(t, c.core.HasTransmit(e.clock.now()), "an idle connection has something to send")
		e.timers.mu.Lock()
		require.Equal(t, c.core.NextTimeout(), c.timer.want)
		e.timers.mu.Unlock()
		c.mu.Unlock()
	}
}

// A connection that is closed when the Endpoint sends nothing any more frees what it holds, although its
// CONNECTION_CLOSE is never sent.
func TestNothingIsKeptForAClosedQueue(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		client, _ := w.connect()
		advance(time.Second)
		w.client.sends.close()
		client.abort(ErrEndpointClosed, uint64(NoError))
		synctest.Wait()
		require.Zero(t, w.client.Stats().Conns)
		require.ErrorIs(t, context.Cause(client.Context()), ErrEndpointClosed)
	})
}

// The number of waiting replies is bounded, and they are sent in order between the connections' turns.
func TestRepliesAreBounded(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		var got []byte
		w.net.SetDrop(func(_, _ netip.AddrPort, p []byte) bool {
			got = append(got, p[0])
			return true
		})
		q := &w.client.sends
		q.full.Add(1) // a sender waits for room
		path := datagram.Path{Remote: netip.MustParseAddrPort(serverAddr)}
		tx := datagram.Transmit{Path: path, Data: make([]byte, 50), SegmentSize: 50}
		for i := range 2 * maxReplies {
			tx.Data[0] = byte(i)
			q.reply(tx)
		}
		require.Len(t, q.replies, maxReplies)
		require.Zero(t, q.running)
		q.full.Add(-1)
		q.mu.Lock()
		q.callSender()
		q.mu.Unlock()
		synctest.Wait()
		require.Len(t, got, maxReplies)
		for i, b := range got {
			require.Equal(t, byte(i), b)
		}
		w.net.SetDrop(nil)
	})
}
