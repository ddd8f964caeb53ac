package metrics_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/http3"
	"github.com/pqquic/pqquic/internal/testcert"
	"github.com/pqquic/pqquic/metrics"
	"github.com/pqquic/pqquic/tlsprovider"
)

// Requests over HTTP/3 are counted on both sides by status, protocol and group.
func TestRequests(t *testing.T) {
	m := metrics.NewMonitor()
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "content") })
	mux.HandleFunc("/empty", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/early", func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusTeapot)
	})
	mux.HandleFunc("/copy", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.Copy(w, strings.NewReader("content")) })
	mux.HandleFunc("/flush", func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush()
		require.NoError(t, http.NewResponseController(w).EnableFullDuplex())
	})
	mux.HandleFunc("/strange", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(777) })
	mux.HandleFunc("/abort", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	cert := testcert.New("localhost", "127.0.0.1")
	srv := &http3.Server{Handler: m.Handler(mux), TLS: &tlsprovider.Config{Certificates: []tlsprovider.Certificate{cert.Provider()}}}
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(pc) }()
	for _, groups := range [][]tlsprovider.Group{nil, {tlsprovider.X25519}} {
		tr := &http3.Transport{TLS: &tlsprovider.Config{RootCAs: cert.Roots(), Groups: groups}}
		c := &http.Client{Transport: m.RoundTripper(tr)}
		for path, want := range map[string]int{"/": 200, "/empty": 200, "/early": 418, "/copy": 200, "/flush": 200, "/strange": 777, "/abort": 0} {
			resp, err := c.Get("https://" + pc.LocalAddr().String() + path)
			if want == 0 {
				require.Error(t, err)
				continue
			}
			require.NoError(t, err, path)
			require.Equal(t, want, resp.StatusCode)
			_, err = io.Copy(io.Discard, resp.Body) // it ends after the handler has returned
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
		}
		require.NoError(t, tr.Close())
	}
	require.NoError(t, srv.Close())
	require.ErrorIs(t, <-ended, http.ErrServerClosed)
	v := values(m)
	for _, kind := range []string{"X25519MLKEM768,true", "X25519,false"} {
		for _, dir := range []string{"incoming", "outgoing"} {
			for status, want := range map[string]float64{"200": 4, "418": 1, "other": 1, "103": 0} {
				require.Equal(t, want, v["pqquic_http_requests_total{"+dir+",h3,"+status+","+kind+"}"], "%s %s %s", dir, status, kind)
			}
		}
		require.Equal(t, 1.0, v["pqquic_http_requests_total{incoming,h3,aborted,"+kind+"}"])
	}
	require.Equal(t, 2.0, v["pqquic_http_requests_total{outgoing,none,failed,none,false}"])
}
