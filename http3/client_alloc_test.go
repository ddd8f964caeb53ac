//go:build !pqquic_fips && !pqquic_fips4 && !race

package http3

import (
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// A request by a Transport costs client and server together no more allocations than one by net/http's HTTP/2.
func TestAllocationsOfTransport(t *testing.T) {
	s := serve(t, nil, http.HandlerFunc(oneKB), nil)
	ours, size := allocationsOf(t, newTransport(t, nil, nil), s.url("/path"))
	h2 := httptest.NewUnstartedServer(http.HandlerFunc(oneKB))
	h2.EnableHTTP2 = true
	h2.TLS = &tls.Config{Certificates: []tls.Certificate{testPKI().TLS()}}
	h2.StartTLS()
	defer h2.Close()
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: testPKI().Pool()}, ForceAttemptHTTP2: true}
	defer tr.CloseIdleConnections()
	theirs, _ := allocationsOf(t, tr, h2.URL+"/path")
	t.Logf("HTTP/3: %.1f allocations per request, %.0f bytes, HTTP/2: %.1f", ours, size, theirs)
	require.LessOrEqual(t, ours, theirs)
	require.LessOrEqual(t, ours, 27.0)
	require.LessOrEqual(t, size, 3800.0)
}

func allocationsOf(t testing.TB, rt http.RoundTripper, url string) (n, size float64) {
	req := newRequest(t, "GET", url, nil)
	buf := make([]byte, 4096)
	return allocations(func() {
		resp, err := rt.RoundTrip(req)
		require.NoError(t, err)
		for err == nil {
			_, err = resp.Body.Read(buf)
		}
		require.Equal(t, io.EOF, err)
		require.NoError(t, resp.Body.Close())
	})
}

// BenchmarkTransport is a request for 1 KB, one after another.
func BenchmarkTransport(b *testing.B) {
	s := serve(b, nil, http.HandlerFunc(oneKB), nil)
	tr := newTransport(b, nil, nil)
	req := newRequest(b, "GET", s.url("/path"), nil)
	buf := make([]byte, 4096)
	b.ReportAllocs()
	for b.Loop() {
		resp, err := tr.RoundTrip(req)
		require.NoError(b, err)
		for err == nil {
			_, err = resp.Body.Read(buf)
		}
	}
}

// BenchmarkTransports is the same with 100 requests at a time.
func BenchmarkTransports(b *testing.B) {
	s := serve(b, nil, http.HandlerFunc(oneKB), nil)
	tr := newTransport(b, nil, nil)
	url := s.url("/path")
	b.ReportAllocs()
	b.SetParallelism(100 / runtime.GOMAXPROCS(0))
	b.RunParallel(func(pb *testing.PB) {
		buf := make([]byte, 4096)
		req := newRequest(b, "GET", url, nil)
		for pb.Next() {
			resp, err := tr.RoundTrip(req)
			require.NoError(b, err)
			for err == nil {
				_, err = resp.Body.Read(buf)
			}
		}
	})
}
