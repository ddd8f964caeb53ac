package interop

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	quicgo "github.com/quic-go/quic-go/http3"
	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/http3"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/tlsprovider"
)

// h3Handler answers the requests of TestHTTP3.
func h3Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Length")
		n, _ := io.Copy(w, r.Body)
		w.Header().Set("Length", http.StatusText(200)+strings.Repeat("x", int(n%7)))
	})
	mux.HandleFunc("/hints", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style>")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("/fields", func(w http.ResponseWriter, r *http.Request) {
		for name, values := range r.Header {
			if strings.HasPrefix(name, "X-") {
				w.Header()[name] = values
			}
		}
	})
	mux.HandleFunc("/abort", func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	return mux
}

// testHTTP3 requests each path of h3Handler.
func testHTTP3(t *testing.T, rt http.RoundTripper, url string) {
	t.Helper()
	c := &http.Client{Transport: rt}
	do := func(method, path string, body io.Reader, header http.Header) (*http.Response, []byte, error) {
		req, err := http.NewRequestWithContext(deadline(t), method, url+path, body)
		require.NoError(t, err)
		if header != nil {
			req.Header = header
		}
		resp, err := c.Do(req)
		if err != nil {
			return nil, nil, err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		return resp, b, err
	}
	for _, n := range []int{0, 1, 3 << 20} {
		sent := bytes.Repeat([]byte{'x'}, n)
		resp, got, err := do("POST", "/echo", bytes.NewReader(sent), nil)
		require.NoError(t, err)
		require.Equal(t, "HTTP/3.0", resp.Proto)
		require.Equal(t, tls.X25519MLKEM768, resp.TLS.CurveID)
		require.True(t, bytes.Equal(sent, got), "%d bytes instead of %d", len(got), n)
		require.Equal(t, "OK"+strings.Repeat("x", n%7), resp.Trailer.Get("Length"))
	}
	resp, got, err := do("GET", "/hints", nil, nil)
	require.NoError(t, err)
	require.Equal(t, http.StatusNoContent, resp.StatusCode)
	require.Empty(t, got)
	// The same fields again and again: they go through the dynamic tables of QPACK if both sides have them.
	header := http.Header{"X-Long": {strings.Repeat("value", 200)}, "X-Many": {"1", "2", "3"}, "X-Empty": {""}}
	for range 20 {
		resp, _, err = do("GET", "/fields", nil, header)
		require.NoError(t, err)
		for name, values := range header {
			require.Equal(t, values, resp.Header[name])
		}
	}
	_, _, err = do("GET", "/abort", nil, nil)
	require.Error(t, err)
	resp, _, err = do("HEAD", "/nothing", nil, nil)
	require.NoError(t, err, "the connection survives a request that was aborted")
	require.Equal(t, http.StatusNotFound, resp.StatusCode)
}

// quic-go's http3 is the other side of package http3, in both roles.
func TestHTTP3(t *testing.T) {
	c := newCreds()
	for name, p := range providers(t) {
		t.Run(name+" client, quic-go server", func(t *testing.T) {
			srv := &quicgo.Server{Handler: h3Handler(), TLSConfig: quicgo.ConfigureTLSConfig(&tls.Config{Certificates: []tls.Certificate{c.TLS()}})}
			url := serveHTTP3(t, srv)
			tr := &http3.Transport{Provider: p, TLS: &tlsprovider.Config{RootCAs: c.Roots()}, QUIC: &quic.Config{ServerName: serverName}}
			t.Cleanup(func() { require.NoError(t, tr.Close()) })
			testHTTP3(t, tr, url)
		})
		t.Run("quic-go client, "+name+" server", func(t *testing.T) {
			srv := &http3.Server{Handler: h3Handler(), Provider: p, TLS: &tlsprovider.Config{Certificates: []tlsprovider.Certificate{c.Provider()}}}
			url := serveHTTP3(t, srv)
			tr := &quicgo.Transport{TLSClientConfig: &tls.Config{RootCAs: c.Pool(), ServerName: serverName}}
			t.Cleanup(func() { require.NoError(t, tr.Close()) })
			testHTTP3(t, tr, url)
		})
	}
}

// An h3Stack is a server of one of the two.
type h3Stack interface {
	Serve(net.PacketConn) error
	Close() error
}

// serveHTTP3 serves until the end of the test, and returns the URL.
func serveHTTP3(t *testing.T, srv h3Stack) (url string) {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(pc) }()
	t.Cleanup(func() {
		require.NoError(t, srv.Close())
		require.ErrorIs(t, <-ended, http.ErrServerClosed)
	})
	return "https://" + pc.LocalAddr().String()
}
