package http3

import (
	"io"
	"net"
	"net/http"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/http3/internal/frame"
	"github.com/pqquic/pqquic/internal/qpack"
	"github.com/pqquic/pqquic/internal/simnet"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
)

// maxIdleState is the heap that an idle connection of a Server may hold beside that of its transport, which includes two control
// streams. TestIdleServerMemory measures 1060 to 1120.
const maxIdleState = 1300

// Idle connections of a Server have no goroutines, and hold little more than those of a server that only has the same streams.
func TestIdleServerMemory(t *testing.T) {
	forProviders(t, func(t *testing.T, p tlsprovider.Provider) {
		testPKI() // outside the bubbles, which it outlives
		without, _ := idleHeap(t, p, func(t *testing.T, pc net.PacketConn) (stop func()) { return plainServer(t, pc, p) })
		with, goroutines := idleHeap(t, p, func(t *testing.T, pc net.PacketConn) (stop func()) {
			s := &Server{Provider: p, TLS: &tlsprovider.Config{Certificates: []tlsprovider.Certificate{testPKI().Provider()}},
				Handler: http.HandlerFunc(oneKB), IdleTimeout: time.Hour, QUIC: &quic.Config{MaxIdleTimeout: time.Hour}}
			done := make(chan error, 1)
			go func() { done <- s.Serve(pc) }()
			return func() {
				require.NoError(t, s.Close())
				require.ErrorIs(t, <-done, ErrServerClosed)
			}
		})
		t.Logf("both ends of a connection hold %.0f bytes of heap, and %.0f with HTTP/3", without, with)
		require.LessOrEqual(t, with-without, float64(maxIdleState))
		require.Less(t, goroutines, idleConns/20, "goroutines of %d idle connections", idleConns)
	})
}

// idleConns is the number of connections that idleHeap makes.
const idleConns = 200

// idleHeap returns what each of many idle connections to a server holds, both ends together, and how many goroutines all of them have.
func idleHeap(t *testing.T, p tlsprovider.Provider, serve func(*testing.T, net.PacketConn) (stop func())) (bytes float64, goroutines int) {
	synctest.Test(t, func(t *testing.T) {
		n := &simnet.Net{Latency: time.Millisecond}
		stop := serve(t, n.Listen("10.0.0.1:443"))
		ep, err := quic.NewEndpoint(n.Listen("10.0.0.2:1"), &quic.Config{Provider: p, ServerName: "localhost",
			MaxIdleTimeout: time.Hour, TLS: &tlsprovider.Config{NextProtos: []string{NextProto}, RootCAs: testPKI().Roots()}})
		require.NoError(t, err)
		t.Cleanup(func() {
			require.NoError(t, ep.Close())
			stop()
		})
		dial := func(conns int) {
			for range conns {
				dialAndAsk(t, ep, "10.0.0.1:443")
			}
			time.Sleep(10 * time.Second) // until all connections rest
			synctest.Wait()
		}
		dial(20) // what is allocated once
		heap, running := liveHeap(), runtime.NumGoroutine()
		dial(idleConns)
		bytes, goroutines = float64(liveHeap()-heap)/idleConns, runtime.NumGoroutine()-running
	})
	return bytes, goroutines
}

// dialAndAsk makes a connection with a control stream and one request.
func dialAndAsk(t *testing.T, ep *quic.Endpoint, addr string) {
	qc, err := ep.Dial(t.Context(), addr, nil)
	require.NoError(t, err)
	useControlStreams(t, qc)
	ask(t, qc, frameBytes(frame.Headers, qpack.NewEncoder(0).AppendSection(nil, 0, pairs(requestFields...))))
}

// useControlStreams sends an empty SETTINGS frame, and reads what the peer sends on unidirectional streams, without goroutines.
func useControlStreams(t *testing.T, qc *quic.Conn) {
	qc.HandleStreams(nil, func(rs *quic.ReceiveStream) { discardArrived(rs) })
	st, err := qc.OpenUniStream(t.Context())
	require.NoError(t, err)
	_, err = st.Write(append([]byte{frame.StreamControl}, settingsFrame()...))
	require.NoError(t, err)
}

// discardArrived discards what arrives on a stream.
func discardArrived(rs *quic.ReceiveStream) {
	p, err := rs.Peek(0)
	if err == nil {
		_, err = rs.Discard(len(p))
	}
	if err == nil {
		rs.WhenReadable(func() { discardArrived(rs) })
	}
}

// plainServer starts a server that answers each stream with the bytes of a response, and has a control stream, without package http3.
func plainServer(t *testing.T, pc net.PacketConn, p tlsprovider.Provider) (stop func()) {
	l, ep := listenPlain(t, pc, p)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			qc, err := l.Accept(t.Context())
			if err != nil {
				return
			}
			useControlStreams(t, qc)
			qc.HandleStreams(func(s *quic.Stream) {
				_, _ = io.Copy(io.Discard, s)
				_, _ = s.WriteEnd(oneKBBody)
			}, func(rs *quic.ReceiveStream) { discardArrived(rs) })
		}
	}()
	return func() {
		require.NoError(t, ep.Close())
		<-done
	}
}

func listenPlain(t *testing.T, pc net.PacketConn, p tlsprovider.Provider) (*quic.Listener, *quic.Endpoint) {
	ep, err := quic.NewEndpoint(pc, &quic.Config{Provider: p, MaxIncomingStreams: maxStreams, MaxIdleTimeout: time.Hour,
		TLS: &tlsprovider.Config{NextProtos: []string{NextProto}, Certificates: []tlsprovider.Certificate{testPKI().Provider()}}})
	require.NoError(t, err)
	l, err := ep.Listen()
	require.NoError(t, err)
	return l, ep
}

// liveHeap returns the number of bytes of heap in use after a garbage collection.
func liveHeap() int64 {
	runtime.GC()
	runtime.GC() // pools keep their contents for one collection
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
