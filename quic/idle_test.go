//go:build !asan && !pqquic_fips && !pqquic_fips4

package quic

import (
	"os"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/quic/internal/streams"
)

// maxIdleHeap is the heap of a connection that is open and idle, with its part of the Endpoint's tables, by
// provider: the figure that TestIdleMemory measures (6.3 and 7.5 KB in 2026-11), and a tenth.
// tlsprovider/s2n has the bound on what the provider s2n holds in C.
var maxIdleHeap = map[string]int{"s2n": 7000, "native": 8300}

// TestIdleMemory opens connections that each carry a byte in either direction and are then idle, and measures
// the heap that they hold. Both ends are in this process, without sockets. PQQUIC_IDLE=100000 sets the number
// of connections.
func TestIdleMemory(t *testing.T) {
	n := 2000
	if testing.Short() {
		n = 400
	}
	if s := os.Getenv("PQQUIC_IDLE"); s != "" {
		n = atoi(s)
	}
	for _, p := range hostileProviders() {
		t.Run(p.Name(), func(t *testing.T) {
			server, client := serverConfig(), clientConfig()
			server.Provider, client.Provider = p, p
			server.MaxIdleTimeout, client.MaxIdleTimeout = time.Hour, time.Hour
			server.MaxConns, client.MaxConns = n, n
			inBubble(t, server, client, func(t *testing.T, w *world) {
				w.exchange() // pools and tables grow with the first connection
				before := liveHeap()
				conns := make([]*Conn, 0, n)
				for range n / 2 {
					c, s := w.exchange()
					conns = append(conns, c, s)
				}
				advance(10 * time.Second) // until the clients have stopped to wait for tickets
				after := liveHeap()
				each := (int(after) - int(before)) / len(conns)
				t.Logf("%d connections hold %d bytes of heap each", len(conns), each)
				require.LessOrEqual(t, each, maxIdleHeap[p.Name()])
				require.Equal(t, n/2+1, w.server.Stats().Conns)
				for _, c := range conns {
					require.NoError(t, c.Context().Err())
				}
				c, s := conns[0], conns[1]
				w.stream(c, s) // an idle connection is still usable
			})
		})
	}
}

// AcceptStream only takes a stream and does not drive the connection. Otherwise the goroutine with which a server accepts
// the streams of an idle connection would keep a stack of 4 KiB instead of 2.
func TestAcceptDoesNotDrive(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, w *world) {
		client, server := w.connect()
		reply, err := server.OpenUniStream(t.Context())
		require.NoError(t, err)
		s, err := client.OpenStream(t.Context())
		require.NoError(t, err)
		_, err = s.Write([]byte{1})
		require.NoError(t, err)
		advance(time.Second)
		sent := server.Stats().PacketsSent
		server.mu.Lock() // bytes to send, without a goroutine that has been told to send them
		_, err = server.core.Write(w.server.clock.now(), streams.ID(reply.ID()), []byte{1})
		server.mu.Unlock()
		require.NoError(t, err)
		_, err = server.AcceptStream(t.Context())
		require.NoError(t, err)
		synctest.Wait()
		require.Equal(t, sent, server.Stats().PacketsSent)
	})
}

// liveHeap returns the number of bytes of heap in use after a garbage collection.
func liveHeap() uint64 {
	runtime.GC()
	runtime.GC() // pools keep their contents for one collection
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// exchange returns both ends of a connection that has carried a byte in either direction on a stream.
func (w *world) exchange() (client, server *Conn) {
	client, server = w.connect()
	c, s := w.stream(client, server)
	require.NoError(w, c.CloseWrite())
	_, err := s.Write([]byte{'!'})
	require.NoError(w, err)
	require.NoError(w, s.CloseWrite())
	buf := make([]byte, 2)
	for _, end := range []*Stream{c, s} {
		for err = nil; err == nil; {
			_, err = end.Read(buf)
		}
	}
	return client, server
}
