//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/internal/simnet"
	"github.com/pqquic/pqquic/quic/internal/core"
	"github.com/pqquic/pqquic/quic/internal/datagram"
)

func TestLoopIDs(t *testing.T) {
	for _, loops := range []int{2, 3, 64, 256} {
		ids := newLoopIDs(rand.Uint32(), loops)
		require.Equal(t, uint32(1), ids.Key*ids.inverse)
		seen := map[string]bool{}
		for i := range 10_000 {
			id := make([]byte, core.ConnIDLen)
			for j := range id {
				id[j] = byte(rand.Uint32())
			}
			rest := string(id[4:])
			ids.name(id, i%loops)
			require.Equal(t, i%loops, ids.loopOf(id))
			require.Equal(t, rest, string(id[4:]))
			seen[string(id[:4])] = true
		}
		require.Greater(t, len(seen), 9_900, "the four bytes remain random")
	}
}

// An observer who does not have the key does not see which IDs name the same loop.
//
// "Connection IDs MUST NOT contain any information that can be used by an external observer (that is, one that does not
// cooperate with the issuer) to correlate them with other connection IDs for the same connection."
// https://www.rfc-editor.org/rfc/rfc9000#section-5.1-4
func TestLoopIDsDoNotShowTheLoop(t *testing.T) {
	const n = 30_000
	ids := newLoopIDs(0x9e3779b9, 3)
	random := rand.New(rand.NewPCG(1, 2))
	var ones [32]int
	var loops [3]int // what the IDs would name without the key
	for range n {
		id := binary.BigEndian.AppendUint64(nil, random.Uint64())
		ids.name(id, 1)
		w := binary.BigEndian.Uint32(id)
		for bit := range ones {
			ones[bit] += int(w>>bit) & 1
		}
		loops[(w>>16)%3]++
	}
	for bit, count := range ones {
		require.InDelta(t, n/2, count, n/30, "bit %d", bit)
	}
	for loop, count := range loops {
		require.InDelta(t, n/3, count, n/30, "loop %d", loop)
	}
}

// Only packets whose connection ID is certainly ours belong to the loop that the ID names.
func TestOwnerOf(t *testing.T) {
	g := &common{ids: newLoopIDs(rand.Uint32(), 2)}
	g.loops = []*Endpoint{{common: g, index: 0}, {common: g, index: 1}}
	id := make([]byte, core.ConnIDLen)
	g.ids.name(id, 1)
	long := func(first byte, version string, idLen byte) []byte {
		return append(append(append([]byte{first}, version...), idLen), id...)
	}
	for _, tt := range []struct {
		name string
		d    []byte
		want int
	}{
		{"short header", append([]byte{0x40}, id...), 1},
		{"short header without the fixed bit", append([]byte{0}, id...), 1},
		{"too short", append([]byte{0x40}, id[:core.ConnIDLen-1]...), 0},
		{"one byte", []byte{0x40}, 0},
		{"Handshake", long(0xe0, "\x00\x00\x00\x01", core.ConnIDLen), 1},
		{"Initial", long(0xc0, "\x00\x00\x00\x01", core.ConnIDLen), 0},
		{"0-RTT", long(0xd0, "\x00\x00\x00\x01", core.ConnIDLen), 0},
		{"Retry", long(0xf0, "\x00\x00\x00\x01", core.ConnIDLen), 0},
		{"another version", long(0xe0, "\x6b\x33\x43\xcf", core.ConnIDLen), 0},
		{"an ID of another length", long(0xe0, "\x00\x00\x00\x01", core.ConnIDLen-1), 0},
		{"a long header that is cut off", long(0xe0, "\x00\x00\x00\x01", core.ConnIDLen)[:13], 0},
	} {
		require.Equal(t, tt.want, g.loops[0].ownerOf(tt.d).index, tt.name)
	}
	for n := range 200 {
		d := make([]byte, n)
		for i := range d {
			d[i] = byte(rand.Uint32())
		}
		require.NotNil(t, g.loops[0].ownerOf(d))
	}
}

func TestLoopsErrors(t *testing.T) {
	for loops, want := range map[int]string{
		-1: "quic: Config.Loops is -1; it must be from 0 to 256", 257: "quic: Config.Loops is 257",
	} {
		cfg := serverConfig()
		cfg.Loops = loops
		_, err := Listen("udp", "127.0.0.1:0", cfg)
		require.ErrorContains(t, err, want)
	}
	cfg := serverConfig()
	cfg.Loops = 2
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	defer pc.Close()
	_, err = NewEndpoint(pc, cfg)
	require.ErrorContains(t, err, "NewEndpoint has one socket: use Listen")
	withLoops(t, nil, func(t *testing.T, w *loopsWorld) {
		_, err := w.server.Dial(t.Context(), clientAddr, clientConfig())
		require.ErrorContains(t, err, "cannot dial")
	})
}

// Every packet after the first flight reaches the wrong loop, which passes it to the loop of its connection. The
// connection's packets leave from the socket of that loop.
func TestPacketsAreForwarded(t *testing.T) {
	withLoops(t, nil, func(t *testing.T, w *loopsWorld) {
		var done sync.WaitGroup
		for i := range 8 {
			client, server := w.connectAt(i)
			c, s := w.stream(client, server)
			done.Go(func() {
				requireTransfer(t, c, s, 100_000)
				requireTransfer(t, s, c, 100_000)
			})
		}
		done.Wait()
		advance(time.Second) // no packet is under way or in an inbox
		stats := w.server.Stats()
		require.Equal(t, uint64(8), stats.Accepted)
		require.Equal(t, 8, stats.Conns)
		require.Equal(t, uint64(8), stats.Handshakes.Completed)
		require.Greater(t, stats.Forwarded, uint64(8*100_000/1200))
		require.Zero(t, stats.ForwardDrops)
		for i, sock := range w.socks {
			require.Equal(t, maxReplies/2, w.server.loops[i].sends.maxReplies)
			require.Greater(t, sock.sent.Load(), int64(4*100_000/1200), "socket %d", i)
			require.Zero(t, w.server.loops[i].inbox.bytes.Load())
		}
	})
}

// If packets reach the loop that their connection IDs name, nothing is forwarded.
func TestRightLoopForwardsNothing(t *testing.T) {
	withLoops(t, nil, func(t *testing.T, w *loopsWorld) {
		w.set(func(from net.Addr, d []byte) int {
			if d[0]&0x80 != 0 {
				return from.(*net.UDPAddr).Port % 2
			}
			return w.ids.loopOf(d[1:])
		})
		for i := range 4 {
			client, server := w.connectAt(i)
			c, s := w.stream(client, server)
			requireTransfer(t, c, s, 10_000)
		}
		require.Zero(t, w.server.Stats().Forwarded)
	})
}

// A train may contain datagrams for several loops. Each loop gets its own.
func TestForwardSplitsTrain(t *testing.T) {
	withLoops(t, nil, func(t *testing.T, w *loopsWorld) {
		const size = 30
		var train datagram.Train
		train.SegmentSize, train.Path.Remote = size, netip.MustParseAddrPort(clientAddr)
		for _, loop := range []int{1, 1, 0, 1, 0} {
			d := make([]byte, size)
			d[0] = 0x40
			w.ids.name(d[1:], loop)
			train.Data = append(train.Data, d...)
		}
		w.server.loops[0].receive(&train, make([]byte, core.MaxUnknownSize))
		synctest.Wait()
		require.Empty(t, train.Data)
		require.Equal(t, uint64(3), w.server.Stats().Forwarded)
		require.Equal(t, uint64(5), w.server.Stats().Drops.StatelessReset)
		for loop, want := range []uint64{2, 3} {
			require.Equal(t, want, w.server.loops[loop].core.Drops()[core.DropStatelessReset])
		}
	})
}

// A loop that does not empty its inbox does not block the others: what has no room is dropped and counted.
func TestFullInbox(t *testing.T) {
	withLoops(t, nil, func(t *testing.T, w *loopsWorld) {
		stuck := w.server.loops[1]
		inject := func() {
			d := make([]byte, 100)
			d[0] = 0x40
			w.ids.name(d[1:], 1)
			train := datagram.Train{Data: d, SegmentSize: len(d)}
			train.Path.Remote = netip.MustParseAddrPort(clientAddr)
			w.server.loops[0].receive(&train, make([]byte, core.MaxUnknownSize))
		}
		stuck.mu.Lock() // its goroutine waits for the lock with the first train
		inject()
		for len(stuck.inbox.trains) > 0 {
			runtime.Gosched()
		}
		const extra = 10
		for range maxInboxTrains + extra {
			inject()
		}
		stuck.mu.Unlock()
		synctest.Wait()
		require.Zero(t, stuck.inbox.bytes.Load())
		stats := w.server.Stats()
		require.Equal(t, uint64(1+maxInboxTrains), stats.Forwarded)
		require.Equal(t, uint64(extra), stats.ForwardDrops)
		inject()
		require.Equal(t, uint64(2+maxInboxTrains), w.server.Stats().Forwarded, "there is room again")
	})
}

// The bytes in an inbox are bounded as well.
func TestInboxBytes(t *testing.T) {
	var b inbox
	b.init(2)
	train := &datagram.Train{Data: make([]byte, 64<<10), SegmentSize: 1200}
	n := 0
	for ; b.put(train); n++ {
		require.Less(t, n, maxInboxTrains)
	}
	require.Equal(t, maxInboxBytes/len(train.Data), n)
	b.done(<-b.trains)
	require.True(t, b.put(train))
}

// A packet with an unknown connection ID is answered with the token of that ID, whichever loop receives it. A
// packet for a live connection is not answered, so no loop can be used to learn its token.
func TestResetsFromLoops(t *testing.T) {
	withLoops(t, nil, func(t *testing.T, w *loopsWorld) {
		stranger := w.net.Listen("10.0.0.3:1")
		defer stranger.Close()
		answers := make(chan []byte, 100)
		read := start(func() error {
			for {
				b := make([]byte, 2048)
				n, _, err := stranger.ReadFrom(b)
				if err != nil {
					return err
				}
				answers <- b[:n]
			}
		})
		send := func(id []byte) {
			_, err := stranger.WriteTo(append(append([]byte{0x40}, id...), make([]byte, 50)...), w.server.Addr())
			require.NoError(t, err)
			advance(time.Second)
		}
		for _, at := range []int{0, 1} {
			for named := range w.socks {
				w.set(func(net.Addr, []byte) int { return at })
				sent := w.socks[named].sent.Load()
				id := []byte{1, 2, 3, 4, 5, 6, 7, 8}
				w.ids.name(id, named)
				send(id)
				require.Len(t, answers, 1)
				answer := <-answers
				want := w.server.resetKey.Token(id)
				require.Equal(t, want[:], answer[len(answer)-16:])
				require.Equal(t, sent+1, w.socks[named].sent.Load(), "the loop that the ID names answers")
			}
		}
		for i := range 2 {
			w.set(w.wrong)
			client, _ := w.connectAt(i)
			id := serverID(t, w, client)
			require.Equal(t, i, w.ids.loopOf(id))
			for at := range w.socks {
				w.set(func(net.Addr, []byte) int { return at })
				send(id)
				require.Empty(t, answers, "a stateless reset for a connection that exists")
			}
			require.NoError(t, client.Context().Err())
		}
		require.NoError(t, stranger.Close())
		require.ErrorIs(t, <-read, net.ErrClosed)
	})
}

// A server that restarts with the same ResetSecret, and another number of loops, ends old connections. Their
// connection IDs name any of the new loops, because the key is another one.
func TestResetAfterRestartWithLoops(t *testing.T) {
	cfg := serverConfig()
	cfg.ResetSecret = make([]byte, minSecret)
	withLoops(t, cfg, func(t *testing.T, w *loopsWorld) {
		var streams []*Stream
		for i := range 8 {
			client, server := w.connectAt(i)
			c, _ := w.stream(client, server)
			streams = append(streams, c)
		}
		advance(5 * time.Second) // the clients, which expect data, first send some PING frames
		w.net.SetDrop(func(from, _ netip.AddrPort, _ []byte) bool { return from.String() == serverAddr })
		require.NoError(t, w.server.Close())
		w.net.SetDrop(nil)
		w.open(cfg, 3)
		for _, c := range streams {
			_, err := c.Write([]byte("is anybody there?"))
			require.NoError(t, err)
			_, err = c.Read(make([]byte, 1))
			require.ErrorIs(t, err, ErrStatelessReset)
		}
		require.Equal(t, uint64(len(streams)), w.server.Stats().Drops.StatelessReset)
	})
}

// A stateless reset from a client has a random connection ID, so it may reach any loop.
func TestResetReachesItsLoop(t *testing.T) {
	for _, named := range []int{0, 1} {
		withLoops(t, nil, func(t *testing.T, w *loopsWorld) {
			client, server := w.connectAt(0)
			token := [16]byte{1, 2, 3}
			remote := client.LocalAddr().(*net.UDPAddr).AddrPort()
			server.ep.applyEvents(server, []core.EndpointEvent{
				{Kind: core.AddResetToken, Token: token, Path: datagram.Path{Remote: remote}},
			})
			reset := make([]byte, 30, 46)
			reset[0] = 0x40
			w.ids.name(reset[1:], named)
			tx := datagram.Transmit{Data: append(reset, token[:]...), SegmentSize: 46}
			tx.Path.Remote = netip.MustParseAddrPort(serverAddr)
			require.NoError(t, client.ep.sock.Write(&tx))
			<-server.Context().Done()
			require.ErrorIs(t, context.Cause(server.Context()), ErrStatelessReset)
		})
	}
}

// A loop asks the others for a limited number of datagrams a second, so that packets that belong to no connection
// do not make it take their locks without end.
func TestLimitOfQuestions(t *testing.T) {
	withLoops(t, nil, func(t *testing.T, w *loopsWorld) {
		client, server := w.connectAt(0)
		w.set(func(net.Addr, []byte) int { return 1 })
		token := [16]byte{1, 2, 3}
		remote := client.LocalAddr().(*net.UDPAddr).AddrPort()
		server.ep.applyEvents(server, []core.EndpointEvent{
			{Kind: core.AddResetToken, Token: token, Path: datagram.Path{Remote: remote}},
		})
		send := func(last [16]byte) {
			reset := append([]byte{0x40, 0, 0, 0, 0}, last[:]...) // too short to be answered
			w.ids.name(reset[1:], 1)
			tx := datagram.Transmit{Data: reset, SegmentSize: len(reset)}
			tx.Path.Remote = netip.MustParseAddrPort(serverAddr)
			require.NoError(t, client.ep.sock.Write(&tx))
		}
		for range 200 {
			send([16]byte{})
		}
		advance(time.Millisecond)
		send(token)
		advance(20 * time.Millisecond)
		require.NoError(t, server.Context().Err(), "the other loop was asked again")
		advance(time.Second)
		send(token)
		<-server.Context().Done()
		require.ErrorIs(t, context.Cause(server.Context()), ErrStatelessReset)
	})
}

// Config.MaxConns and Config.AcceptBacklog are limits of all loops together.
func TestLimitsOfAllLoops(t *testing.T) {
	for name, limit := range map[string]func(*Config){
		"MaxConns": func(c *Config) { c.MaxConns = 3 }, "AcceptBacklog": func(c *Config) { c.AcceptBacklog = 3 },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := serverConfig()
			limit(cfg)
			withLoops(t, cfg, func(t *testing.T, w *loopsWorld) {
				for i := range 3 {
					_, err := w.clientAt(i, nil).Dial(t.Context(), serverAddr, nil)
					require.NoError(t, err)
					advance(time.Second)
				}
				for i := range 2 {
					_, err := w.clientAt(3+i, nil).Dial(t.Context(), serverAddr, nil)
					requireTransportError(t, err, ConnectionRefused, true)
				}
				stats := w.server.Stats()
				require.Equal(t, uint64(2), stats.TooManyConns+stats.BacklogFull)
				conn, err := w.listener.Accept(t.Context())
				require.NoError(t, err)
				require.NoError(t, conn.CloseWithError(0, ""))
				advance(10 * time.Second)
				_, err = w.clientAt(5, nil).Dial(t.Context(), serverAddr, nil)
				require.NoError(t, err, "there is room again")
			})
		})
	}
}

// Each loop has its part of Config.MaxHandshakes. If that is used up, its new clients need a Retry.
func TestLoopsDivideHandshakes(t *testing.T) {
	cfg := serverConfig()
	cfg.MaxHandshakes = 2
	withLoops(t, cfg, func(t *testing.T, w *loopsWorld) {
		silent := w.clientAt(0, nil)
		w.net.SetDrop(func(_, to netip.AddrPort, _ []byte) bool { return to == silent.sock.LocalAddr() })
		ctx, cancel := context.WithCancel(t.Context())
		dialed := start(func() error { _, err := silent.Dial(ctx, serverAddr, nil); return err })
		advance(100 * time.Millisecond)
		for i, want := range []uint64{0, 1} {
			_, err := w.clientAt(1+i, nil).Dial(t.Context(), serverAddr, nil)
			require.NoError(t, err)
			server, err := w.listener.Accept(t.Context())
			require.NoError(t, err)
			require.Equal(t, 1-i, server.ep.index)
			require.Equal(t, want, w.server.Stats().Handshakes.Retried)
		}
		cancel()
		require.ErrorIs(t, <-dialed, context.Canceled)
	})
}

// A token from one loop is valid at the others.
func TestRetryAcrossLoops(t *testing.T) {
	cfg := serverConfig()
	cfg.RequireAddressValidation = func(netip.AddrPort) bool { return true }
	withLoops(t, cfg, func(t *testing.T, w *loopsWorld) {
		w.set(func(from net.Addr, d []byte) int {
			if d[0]&0xb0 != 0x80 {
				return w.wrong(from, d)
			}
			// The first Initial packet has no token, and its length is the byte after the IDs.
			at := 6 + int(d[5])
			if at += 1 + int(d[at]); d[at] == 0 {
				return 0
			}
			return 1
		})
		client, err := w.clientAt(0, nil).Dial(t.Context(), serverAddr, nil)
		require.NoError(t, err)
		server, err := w.listener.Accept(t.Context())
		require.NoError(t, err)
		require.Equal(t, 1, server.ep.index)
		c, s := w.stream(client, server)
		requireTransfer(t, c, s, 1000)
		require.Equal(t, uint64(1), w.server.Stats().Handshakes.Retried)
	})
}

// A session of one loop can be resumed on another.
func TestResumeAcrossLoops(t *testing.T) {
	withLoops(t, nil, func(t *testing.T, w *loopsWorld) {
		cfg := clientConfig()
		client := w.clientAt(0, cfg)
		for i := range 4 {
			w.set(func(from net.Addr, d []byte) int {
				if d[0]&0xb0 == 0x80 {
					return i % 2
				}
				return w.wrong(from, d)
			})
			conn, err := client.Dial(t.Context(), serverAddr, nil)
			require.NoError(t, err)
			server, err := w.listener.Accept(t.Context())
			require.NoError(t, err)
			require.Equal(t, i%2, server.ep.index)
			advance(time.Second)
			require.Equal(t, i > 0, conn.ConnectionState().TLS.Resumed)
			require.NoError(t, conn.Close())
		}
	})
}

// Close ends the connections of all loops, and Shutdown waits for them.
func TestCloseWithLoops(t *testing.T) {
	withLoops(t, nil, func(t *testing.T, w *loopsWorld) {
		var clients []*Conn
		for i := range 4 {
			client, server := w.connectAt(i)
			c, s := w.stream(client, server)
			clients = append(clients, client)
			go io.Copy(s, s)
			go io.Copy(io.Discard, c)
			go func() {
				for {
					if _, err := c.Write(make([]byte, 10_000)); err != nil {
						return
					}
				}
			}()
		}
		advance(100 * time.Millisecond)
		require.NoError(t, w.server.Close())
		for _, c := range clients {
			<-c.Context().Done()
			requireTransportError(t, context.Cause(c.Context()), NoError, true)
		}
		require.Zero(t, w.server.Stats().Conns)
		_, err := w.listener.Accept(t.Context())
		require.ErrorIs(t, err, ErrEndpointClosed)
	})
	withLoops(t, nil, func(t *testing.T, w *loopsWorld) {
		type pair struct{ c, s *Stream }
		var pairs []pair
		for i := range 2 {
			client, server := w.connectAt(i)
			c, s := w.stream(client, server)
			pairs = append(pairs, pair{c, s})
		}
		down := start(func() error { return w.server.Shutdown(t.Context()) })
		for _, p := range pairs {
			advance(time.Second)
			require.Empty(t, down, "a connection has a stream")
			require.NoError(t, p.c.Close())
			require.NoError(t, p.s.Close())
		}
		require.NoError(t, <-down)
	})
}

// A floodedSock always has a packet for a connection that does not exist.
type floodedSock struct {
	net.PacketConn
	reads atomic.Int64
}

func (s *floodedSock) ReadFrom(p []byte) (int, net.Addr, error) {
	if s.reads.Add(1) > 100 {
		return s.PacketConn.ReadFrom(p)
	}
	clear(p[:50])
	p[0] = 0x40
	return 50, net.UDPAddrFromAddrPort(netip.MustParseAddrPort("10.0.0.3:1")), nil
}

// Packets of an earlier process may arrive while the loops start. A loop that cannot assign one asks the others.
func TestPacketsWhileLoopsStart(t *testing.T) {
	testPKI()
	network := &simnet.Net{}
	cfg := serverConfig()
	cfg.ResetSecret = make([]byte, minSecret)
	full, err := cfg.withDefaults()
	require.NoError(t, err)
	const loops = 256
	var pcs []net.PacketConn
	for i := range loops {
		pcs = append(pcs, &floodedSock{PacketConn: network.Listen(fmt.Sprintf("10.0.0.1:%d", 1000+i))})
	}
	e, err := newEndpoint(sockets{loops: pcs, ids: newLoopIDs(1, loops)}, full)
	require.NoError(t, err)
	require.NoError(t, e.Close())
}

// An Endpoint of Listen closes when its Listener and the connections of all loops have closed.
func TestListenerOfLoopsClosesByItself(t *testing.T) {
	withLoops(t, nil, func(t *testing.T, w *loopsWorld) {
		w.server.autoClose.Store(true) // as in Listen
		var clients []*Conn
		for i := range 2 {
			client, _ := w.connectAt(i)
			clients = append(clients, client)
		}
		require.NoError(t, w.listener.Close())
		for _, c := range clients {
			advance(10 * time.Second)
			require.False(t, isClosed(w.server.closed))
			require.NoError(t, c.Close())
		}
		<-w.server.done
	})
}
