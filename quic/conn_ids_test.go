//go:build !pqquic_fips && !pqquic_fips4

package quic

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/core"
)

// A Config of connection IDs that cannot work is refused, with the reason.
func TestConnIDConfig(t *testing.T) {
	generate := func([]byte) error { return nil }
	for name, tt := range map[string]struct {
		cfg  Config
		want string
	}{
		"length":                 {Config{ConnIDLength: 21}, "ConnIDLength is 21; it must be at most 20"},
		"lifetime":               {Config{ConnIDLifetime: time.Second}, "ConnIDLifetime is 1s; it must be 0 or at least 1m0s"},
		"negative lifetime":      {Config{ConnIDLifetime: -time.Hour}, "ConnIDLifetime is -1h"},
		"loops":                  {Config{ConnIDLength: 3, Loops: 2}, "ConnIDLength is 3; with several loops it must be at least 4"},
		"loops and generator":    {Config{ConnIDLength: 4, Loops: 2, GenerateConnID: generate}, "the last 4 bytes name the loop"},
		"empty, generator":       {Config{ConnIDLength: -1, GenerateConnID: generate}, "GenerateConnID is set"},
		"empty, lifetime":        {Config{ConnIDLength: -1, ConnIDLifetime: time.Hour}, "ConnIDLifetime is set"},
		"empty, replacement":     {Config{ConnIDLength: -1, RotateHandshakeConnID: true}, "RotateHandshakeConnID is set"},
		"empty, loops":           {Config{ConnIDLength: -1, Loops: 2}, "Loops is set"},
		"empty, second attempts": {Config{ConnIDLength: -1, ClassicalFallback: 3}, "ClassicalFallback"},
	} {
		_, err := tt.cfg.withDefaults()
		require.ErrorContains(t, err, tt.want, name)
	}
	cfg := serverConfig()
	cfg.ConnIDLength = -1
	_, err := Listen("udp", "127.0.0.1:0", cfg)
	require.ErrorContains(t, err, "a server needs connection IDs")
	inBubble(t, nil, &Config{ConnIDLength: -1}, func(t *testing.T, w *world) {
		_, err := w.client.Listen()
		require.ErrorContains(t, err, "a server needs connection IDs")
	})
}

// Connections of clients with IDs of each length to servers with IDs of each length transfer data.
func TestConnIDLengths(t *testing.T) {
	for _, client := range []int{-1, 1, 4, 8, 20} {
		for _, server := range []int{1, 4, 8, 20} {
			sc, cc := serverConfig(), clientConfig()
			sc.ConnIDLength, cc.ConnIDLength = server, client
			inBubble(t, sc, cc, func(t *testing.T, w *world) {
				seen := lengthsOnTheWire(w)
				c, s := w.stream(w.connect())
				requireTransfer(t, c, s, 200_000)
				requireTransfer(t, s, c, 200_000)
				require.Equal(t, [2]int{max(client, 0), server}, seen())
			})
		}
	}
}

// lengthsOnTheWire returns a function that returns the lengths of the last source connection IDs of client and server.
func lengthsOnTheWire(w *world) func() [2]int {
	var lengths [2]atomic.Int64
	w.net.SetDrop(func(from, _ netip.AddrPort, d []byte) bool {
		if d[0]&0x80 != 0 {
			i := 0
			if from.String() == serverAddr {
				i = 1
			}
			lengths[i].Store(int64(d[6+int(d[5])]))
		}
		return false
	})
	return func() [2]int { return [2]int{int(lengths[0].Load()), int(lengths[1].Load())} }
}

// An Endpoint with empty IDs has several connections, but one to each address at a time.
func TestDialWithEmptyConnIDs(t *testing.T) {
	cc := clientConfig()
	cc.ConnIDLength = -1
	inBubble(t, nil, cc, func(t *testing.T, w *world) {
		const otherServer = "10.0.0.1:4434"
		second, err := NewEndpoint(w.net.Listen(otherServer), serverConfig())
		require.NoError(t, err)
		defer second.Close()
		l, err := second.Listen()
		require.NoError(t, err)

		client, server := w.connect()
		_, err = w.client.Dial(t.Context(), serverAddr, nil)
		require.ErrorIs(t, err, errRemoteInUse)
		fallback := clientConfig()
		fallback.ClassicalFallback = 3
		_, err = w.client.Dial(t.Context(), otherServer, fallback)
		require.ErrorIs(t, err, errEmptyIDsFallback)
		other, err := w.client.Dial(t.Context(), otherServer, nil)
		require.NoError(t, err)
		otherPeer, err := l.Accept(t.Context())
		require.NoError(t, err)
		for range 3 {
			var transfers sync.WaitGroup
			for _, pair := range [][2]*Conn{{client, server}, {other, otherPeer}} {
				c, s := w.stream(pair[0], pair[1])
				transfers.Go(func() {
					requireTransfer(t, c, s, 100_000)
					requireTransfer(t, s, c, 100_000)
				})
			}
			transfers.Wait()
			// The address is free as soon as the connection is closed.
			require.NoError(t, client.CloseWithError(0, ""))
			client, server = w.connect()
		}
	})
}

// The address of a connection that has ended is free even if the core's Endpoint does not know of the end yet.
func TestDialAgainWithEmptyConnIDs(t *testing.T) {
	cc := clientConfig()
	cc.ConnIDLength = -1
	inBubble(t, nil, cc, func(t *testing.T, w *world) {
		ended, _ := w.connect()
		ended.setEnded()
		c, s := w.stream(w.connect())
		require.NoError(t, ended.CloseWithError(0, ""))
		advance(time.Second)
		requireTransfer(t, c, s, 100_000)
		requireTransfer(t, s, c, 100_000)
	})
}

// A Dial that begins again with another version has the address of its first attempt.
func TestVersionsWithEmptyConnIDs(t *testing.T) {
	sc, cc := serverConfig(), clientConfig()
	sc.Versions = []Version{Version2}
	cc.Versions, cc.ConnIDLength = []Version{Version1, Version2}, -1
	inBubble(t, sc, cc, func(t *testing.T, w *world) {
		client, _ := w.connect()
		require.Equal(t, Version2, client.ConnectionState().Version)
	})
}

// A client with empty IDs moves to another socket.
func TestPathWithEmptyConnIDs(t *testing.T) {
	cc := clientConfig()
	cc.ConnIDLength = -1
	inBubble(t, nil, cc, func(t *testing.T, w *world) {
		client, server := w.connect()
		const newAddr = "10.0.0.3:6000"
		p, err := client.AddPath(w.net.Listen(newAddr))
		require.NoError(t, err)
		<-p.Validated()
		require.NoError(t, p.Switch())
		c, s := w.stream(client, server)
		requireTransfer(t, c, s, 100_000)
		requireTransfer(t, s, c, 100_000)
		require.Equal(t, newAddr, server.RemoteAddr().String())
	})
}

// The IDs of connections, of Retry packets, and those that are issued later have what the generator writes, and random
// bytes otherwise.
func TestConnIDGenerator(t *testing.T) {
	sc := serverConfig()
	sc.ConnIDLength, sc.AddressValidation = 12, ValidateAlways
	sc.GenerateConnID = func(id []byte) error {
		if len(id) != 12 || cap(id) != 12 {
			return fmt.Errorf("%d bytes, capacity %d", len(id), cap(id))
		}
		copy(id, "LB")
		return nil
	}
	inBubble(t, sc, nil, func(t *testing.T, w *world) {
		var mu sync.Mutex
		ids := map[string]bool{}
		w.net.SetDrop(func(from, _ netip.AddrPort, d []byte) bool {
			mu.Lock()
			defer mu.Unlock()
			switch {
			case from.String() == serverAddr && d[0]&0x80 != 0:
				at := 6 + int(d[5])
				ids[string(d[at+1:][:d[at]])] = true
			case from.String() != serverAddr && d[0]&0x80 == 0:
				ids[string(d[1:13])] = true
			}
			return false
		})
		client, server := w.connect()
		p, err := client.AddPath(w.net.Listen("10.0.0.3:6000"))
		require.NoError(t, err)
		<-p.Validated()
		require.NoError(t, p.Switch())
		c, s := w.stream(client, server)
		requireTransfer(t, c, s, 10_000)
		mu.Lock()
		defer mu.Unlock()
		require.GreaterOrEqual(t, len(ids), 3, "of each Retry, of the handshake, and of the second path")
		for id := range ids {
			require.Len(t, id, 12)
			require.True(t, strings.HasPrefix(id, "LB"), "%x", id)
		}
	})
}

// A generator that fails, panics or repeats itself costs the connections that begin. It is logged once.
func TestConnIDGeneratorFails(t *testing.T) {
	for name, tt := range map[string]struct {
		generate func(id []byte) error
		want     string
		panics   uint64
	}{
		"error":       {func([]byte) error { return errors.New("out of order") }, "Config.GenerateConnID: out of order", 0},
		"panic":       {func([]byte) error { panic("out of order") }, "Config.GenerateConnID", 1},
		"repetitions": {func(id []byte) error { clear(id); return nil }, "16 new connection IDs in a row", 0},
	} {
		t.Run(name, func(t *testing.T) {
			var fails atomic.Bool
			generate := func(id []byte) error {
				if !fails.Load() {
					_, err := rand.Read(id)
					if name == "repetitions" {
						clear(id)
						fails.Store(true)
					}
					return err
				}
				return tt.generate(id)
			}
			log := new(logBook)
			sc, cc := serverConfig(), clientConfig()
			sc.GenerateConnID, sc.Logger = generate, slog.New(log)
			inBubble(t, sc, cc, func(t *testing.T, w *world) {
				client, server := w.connect()
				fails.Store(true)
				ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
				defer cancel()
				other := clientConfig()
				other.HandshakeTimeout = 2 * time.Second
				_, err := w.client.Dial(ctx, serverAddr, other)
				require.ErrorIs(t, err, ErrHandshakeTimeout)
				require.Positive(t, w.server.Stats().Drops.NoConnID)
				require.GreaterOrEqual(t, w.server.Stats().Panics, tt.panics)
				c, s := w.stream(client, server)
				requireTransfer(t, c, s, 100_000)
				require.Len(t, log.at(slog.LevelError), 1)
				require.Contains(t, log.at(slog.LevelError)[0], tt.want)

				// Dial returns the error at once.
				own := clientConfig()
				own.GenerateConnID = generate
				e, err := NewEndpoint(w.net.Listen("10.0.0.9:9"), own)
				require.NoError(t, err)
				defer e.Close()
				if name == "repetitions" {
					_, err = e.Dial(t.Context(), serverAddr, nil)
					require.ErrorIs(t, err, ErrHandshakeTimeout, "its first ID is that of no connection")
					return
				}
				_, err = e.Dial(t.Context(), serverAddr, nil)
				require.ErrorContains(t, err, tt.want)
			})
		})
	}
}

// Connections replace their IDs after the lifetime.
func TestConnIDLifetime(t *testing.T) {
	sc, cc := serverConfig(), clientConfig()
	sc.ConnIDLifetime, cc.ConnIDLifetime = time.Minute, 2*time.Minute
	cc.KeepAlivePeriod = 10 * time.Second
	inBubble(t, sc, cc, func(t *testing.T, w *world) {
		w.connect()
		var toServer, toClient sync.Map
		w.net.SetDrop(func(from, _ netip.AddrPort, d []byte) bool {
			seen := &toServer
			if from.String() == serverAddr {
				seen = &toClient
			}
			seen.Store(string(d[1:1+core.ConnIDLen]), true)
			return false
		})
		count := func(m *sync.Map) (n int) {
			m.Range(func(any, any) bool { n++; return true })
			return n
		}
		advance(10*time.Minute + 30*time.Second)
		require.InDelta(t, 11, count(&toServer), 1)
		require.InDelta(t, 6, count(&toClient), 1)
	})
}

// The setting makes the client leave the ID that it had for the server during the handshake.
func TestRotateHandshakeConnID(t *testing.T) {
	for _, rotate := range []bool{false, true} {
		sc := serverConfig()
		sc.RotateHandshakeConnID = rotate
		inBubble(t, sc, nil, func(t *testing.T, w *world) {
			var mu sync.Mutex
			var handshake, last string // destination connection IDs of the client's long and short headers
			w.net.SetDrop(func(from, _ netip.AddrPort, d []byte) bool {
				mu.Lock()
				defer mu.Unlock()
				switch {
				case from.String() == serverAddr:
				case d[0]&0x80 != 0:
					handshake = string(d[6 : 6+core.ConnIDLen])
				default:
					last = string(d[1 : 1+core.ConnIDLen])
				}
				return false
			})
			client, _ := w.connect()
			for range 3 {
				require.NoError(t, client.Ping())
				advance(time.Second)
			}
			mu.Lock()
			defer mu.Unlock()
			require.NotEmpty(t, last)
			require.Equal(t, rotate, last != handshake)
		})
	}
}

// IDs name their loop in the last four bytes if a generator writes the others.
func TestLoopIDsOfAGenerator(t *testing.T) {
	ids := newLoopIDs(mathrand.Uint32(), 3)
	ids.length, ids.Offset = 12, 8
	g := &common{ids: ids, cfg: &Config{ConnIDLength: 12, GenerateConnID: func(id []byte) error {
		require.Equal(t, 8, len(id))
		require.Equal(t, 8, cap(id))
		copy(id, "01234567")
		return nil
	}}}
	g.pool.rand = rand.Reader
	for i := range 3 {
		g.loops = append(g.loops, &Endpoint{common: g, index: i, routes: routes{idLen: 12}})
	}
	for _, e := range g.loops {
		for range 100 {
			id, err := e.newConnID()
			require.NoError(t, err)
			require.Equal(t, "01234567", string(id.Bytes()[:8]))
			require.Equal(t, e, g.loops[0].ownerOf(append([]byte{0x40}, id.Bytes()...)))
		}
	}
}

// A dialed connection knows its local address once something has arrived.
func TestLocalAddrOfDialedConn(t *testing.T) {
	l := echoServer(t)
	client, err := Dial(t.Context(), "udp", l.Addr().String(), clientConfig())
	require.NoError(t, err)
	defer client.CloseWithError(0, "")
	s, err := client.OpenStream(t.Context())
	require.NoError(t, err)
	_, err = s.Write([]byte("x"))
	require.NoError(t, err)
	_, err = io.ReadFull(s, make([]byte, 1))
	require.NoError(t, err)
	if !client.ep.sock.ReportsLocalAddr() {
		t.Skip("the socket does not report the local address of datagrams on this system")
	}
	require.Equal(t, "127.0.0.1", netip.MustParseAddrPort(client.LocalAddr().String()).Addr().String())
	require.Equal(t, client.ep.sock.LocalAddr().Port(), netip.MustParseAddrPort(client.LocalAddr().String()).Port())
}
