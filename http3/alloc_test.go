//go:build !pqquic_fips && !pqquic_fips4 && !race

package http3

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/pqquic/pqquic/http3/internal/frame"
	"github.com/pqquic/pqquic/internal/qpack"
)

// allocations returns the number of allocations of the process for a call of f, and their bytes.
func allocations(f func()) (n, size float64) {
	const warm, runs = 100, 500
	for range warm {
		f()
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range runs {
		f()
	}
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / runs, float64(after.TotalAlloc-before.TotalAlloc) / runs
}

// A request costs the server no more allocations than one of HTTP/2 costs net/http's server. The clients send prepared bytes. Those
// of HTTP/3 include QUIC on both sides; those of HTTP/2 TLS.
func TestAllocationsPerRequest(t *testing.T) {
	ours, size := allocationsH3(t)
	theirs, _ := allocationsH2(t)
	t.Logf("HTTP/3: %.1f allocations per request, %.0f bytes, HTTP/2: %.1f", ours, size, theirs)
	require.LessOrEqual(t, ours, theirs)
	require.LessOrEqual(t, ours, 19.0)
	require.LessOrEqual(t, size, 2700.0)
}

func allocationsH3(t testing.TB) (n, size float64) {
	s := serve(t, nil, http.HandlerFunc(oneKB), nil)
	c := dialRaw(t, s)
	req := frameBytes(frame.Headers, qpack.NewEncoder(0).AppendSection(nil, 0, pairs(requestFields...)))
	return allocations(func() { ask(t, c.Conn, req) })
}

func allocationsH2(t testing.TB) (n, size float64) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	srv := &http.Server{Handler: http.HandlerFunc(oneKB), TLSConfig: &tls.Config{Certificates: []tls.Certificate{testPKI().TLS()}}}
	done := make(chan error, 1)
	go func() { done <- srv.ServeTLS(l, "", "") }()
	conn, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{ServerName: "localhost", RootCAs: testPKI().Pool(), NextProtos: []string{"h2"}})
	require.NoError(t, err)
	_, err = io.WriteString(conn, http2.ClientPreface)
	require.NoError(t, err)
	fr := http2.NewFramer(conn, conn)
	fr.SetReuseFrames()
	require.NoError(t, fr.WriteSettings())
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	id := uint32(1)
	n, size = allocations(func() {
		block.Reset()
		for i := 0; i < len(requestFields); i += 2 {
			_ = enc.WriteField(hpack.HeaderField{Name: requestFields[i], Value: requestFields[i+1]})
		}
		require.NoError(t, fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true}))
		if id%1001 == 0 {
			require.NoError(t, fr.WriteWindowUpdate(0, 1<<20))
		}
		for {
			f, err := fr.ReadFrame()
			require.NoError(t, err)
			if d, ok := f.(*http2.DataFrame); ok && d.StreamEnded() {
				require.NoError(t, fr.WriteWindowUpdate(0, 1000))
				break
			}
		}
		id += 2
	})
	require.NoError(t, conn.Close())
	require.NoError(t, srv.Close())
	<-done
	return n, size
}
