package http3

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/http3/internal/frame"
	"github.com/pqquic/pqquic/internal/qpack"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
)

// oneKB answers with 1 KB, which is what most requests of the benchmarks are answered with.
func oneKB(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	_, _ = w.Write(oneKBBody)
}

var oneKBBody = bytes.Repeat([]byte("x"), 1000)

// requestFields are those of an ordinary request.
var requestFields = get("/path", "user-agent", "test/1.0", "accept", "*/*", "accept-encoding", "gzip")

// BenchmarkRequest is a request for 1 KB, one after another, with a client that sends prepared bytes.
func BenchmarkRequest(b *testing.B) {
	s := serve(b, nil, http.HandlerFunc(oneKB), nil)
	c := dialRaw(b, s)
	req := frameBytes(frame.Headers, qpack.NewEncoder(0).AppendSection(nil, 0, pairs(requestFields...)))
	b.ReportAllocs()
	for b.Loop() {
		ask(b, c.Conn, req)
	}
}

// BenchmarkRequests is the same with 100 requests at a time.
func BenchmarkRequests(b *testing.B) {
	s := serve(b, nil, http.HandlerFunc(oneKB), nil)
	c := dialRaw(b, s)
	req := frameBytes(frame.Headers, qpack.NewEncoder(0).AppendSection(nil, 0, pairs(requestFields...)))
	b.ReportAllocs()
	b.SetParallelism(100 / runtime.GOMAXPROCS(0))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			ask(b, c.Conn, req)
		}
	})
}

// ask sends prepared bytes on a stream and reads the answer.
func ask(t testing.TB, c *quic.Conn, req []byte) {
	st, err := c.OpenStream(t.Context())
	require.NoError(t, err)
	_, err = st.WriteEnd(req)
	require.NoError(t, err)
	var buf [4096]byte
	for err == nil {
		_, err = st.Read(buf[:])
	}
	require.Equal(t, io.EOF, err)
}

// downloadSize is the size of a response of BenchmarkDownload.
const downloadSize = 64 << 20

// BenchmarkDownload reads a response with a Content-Length. BenchmarkRawDownload is the same on a stream without HTTP.
func BenchmarkDownload(b *testing.B) {
	piece := make([]byte, 64<<10)
	s := serve(b, nil, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "67108864")
		for range downloadSize / len(piece) {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	}), nil)
	c := dialRaw(b, s)
	req := c.headers(get("/")...)
	b.SetBytes(downloadSize)
	for b.Loop() {
		st := c.sendAll(req)
		n, err := io.Copy(io.Discard, st.Stream)
		require.NoError(b, err)
		require.Greater(b, n, int64(downloadSize))
	}
}

func BenchmarkRawDownload(b *testing.B) {
	piece := make([]byte, 64<<10)
	conn, _ := rawPair(b, func(s *quic.Stream) {
		for range downloadSize / len(piece) {
			if _, err := s.Write(piece); err != nil {
				return
			}
		}
		_ = s.CloseWrite()
	})
	b.SetBytes(downloadSize)
	for b.Loop() {
		st, err := conn.OpenStream(b.Context())
		require.NoError(b, err)
		_, err = st.WriteEnd([]byte{1})
		require.NoError(b, err)
		n, err := io.Copy(io.Discard, st)
		require.NoError(b, err)
		require.Equal(b, int64(downloadSize), n)
	}
}

// rawPair returns a connection to a server without HTTP that calls handle for each stream.
func rawPair(t testing.TB, handle func(*quic.Stream)) (*quic.Conn, *quic.Listener) {
	l, err := quic.Listen("udp", "127.0.0.1:0", &quic.Config{Provider: defaultProvider(), MaxIncomingStreams: maxStreams, TLS: &tlsprovider.Config{
		NextProtos: []string{NextProto}, Certificates: []tlsprovider.Certificate{testPKI().Provider()},
	}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Endpoint().Close() })
	go func() {
		for {
			qc, err := l.Accept(t.Context())
			if err != nil {
				return
			}
			qc.HandleStreams(handle, nil)
		}
	}()
	qc, err := quic.Dial(t.Context(), "udp", l.Addr().String(), clientQUIC())
	require.NoError(t, err)
	return qc, l
}

func clientQUIC() *quic.Config {
	return &quic.Config{Provider: defaultProvider(), ServerName: "localhost", TLS: &tlsprovider.Config{NextProtos: []string{NextProto}, RootCAs: testPKI().Roots()}}
}

// BenchmarkIdleMemory reports the memory of an idle pair of connections, both ends together, after one request, with and without
// HTTP/3. (The client has only its control stream.)
func BenchmarkIdleMemory(b *testing.B) {
	req := frameBytes(frame.Headers, qpack.NewEncoder(0).AppendSection(nil, 0, pairs(requestFields...)))
	h3 := serve(b, nil, http.HandlerFunc(oneKB), nil)
	_, raw := rawPair(b, func(s *quic.Stream) {
		_, _ = io.Copy(io.Discard, s)
		_, _ = s.WriteEnd(oneKBBody)
	})
	idleMemory(b, raw.Addr().String(), req, nil) // what both need once
	for b.Loop() {
		without := idleMemory(b, raw.Addr().String(), req, nil)
		with := idleMemory(b, h3.addr, req, func(qc *quic.Conn) {
			st, err := qc.OpenUniStream(b.Context())
			require.NoError(b, err)
			_, err = st.Write(append([]byte{frame.StreamControl}, settingsFrame()...))
			require.NoError(b, err)
			qc.HandleStreams(nil, func(rs *quic.ReceiveStream) {
				p, _ := rs.Peek(1)
				_, _ = rs.Discard(len(p))
			})
		})
		b.ReportMetric(without, "B/pair")
		b.ReportMetric(with, "B/h3-pair")
	}
}

// idleMemory returns the memory of a pair of connections that has had one request.
func idleMemory(t testing.TB, addr string, req []byte, begin func(*quic.Conn)) float64 {
	const conns = 200
	ep, err := quic.NewEndpoint(udpSocket(t), clientQUIC())
	require.NoError(t, err)
	defer ep.Close()
	before := inUse()
	var keep []*quic.Conn
	for range conns {
		qc, err := ep.Dial(t.Context(), addr, nil)
		require.NoError(t, err)
		if begin != nil {
			begin(qc)
		}
		ask(t, qc, req)
		keep = append(keep, qc)
	}
	after := inUse()
	runtime.KeepAlive(keep)
	return float64(after-before) / conns
}

// inUse returns the memory in use for the heap and the stacks.
func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

func udpSocket(t testing.TB) net.PacketConn {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	return pc
}
