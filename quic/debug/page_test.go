//go:build !pqquic_fips && !pqquic_fips4

package debug_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/internal/testcert"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/quic/debug"
	"github.com/pqquic/pqquic/tlsprovider"
)

// protocol would be markup if the page did not escape it.
const protocol = `<script>alert("alpn")</script>`

// open returns a server's Endpoint with one connection, and the client's end of it.
func open(t *testing.T, groups ...tlsprovider.Group) (*quic.Endpoint, *quic.Conn) {
	t.Helper()
	cert := testcert.New("localhost", "127.0.0.1")
	l, err := quic.Listen("udp", "127.0.0.1:0", &quic.Config{TLS: &tlsprovider.Config{
		NextProtos: []string{protocol}, Certificates: []tlsprovider.Certificate{cert.Provider()}}})
	require.NoError(t, err)
	t.Cleanup(func() { l.Endpoint().Close() })
	c, err := quic.Dial(t.Context(), "udp", l.Addr().String(), &quic.Config{
		TLS: &tlsprovider.Config{NextProtos: []string{protocol}, RootCAs: cert.Roots(), Groups: groups}})
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	_, err = l.Accept(t.Context())
	require.NoError(t, err)
	return l.Endpoint(), c
}

func get(t *testing.T, h http.Handler, url string) (*http.Response, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", url, nil))
	b, err := io.ReadAll(w.Result().Body)
	require.NoError(t, err)
	return w.Result(), string(b)
}

func TestPage(t *testing.T) {
	page := debug.NewPage()
	_, body := get(t, page, "/")
	require.Contains(t, body, "no endpoints")

	pq, c := open(t)
	classical, _ := open(t, tlsprovider.X25519)
	remove := page.Add(`<b onclick="x">public</b>`, pq)
	page.Add("other", classical)
	resp, body := get(t, page, "/")
	require.Equal(t, 200, resp.StatusCode)
	require.Equal(t, "text/html; charset=utf-8", resp.Header.Get("Content-Type"))
	require.Contains(t, resp.Header.Get("Content-Security-Policy"), "default-src 'none'")
	require.Contains(t, body, `<span class="pq">X25519MLKEM768</span>`)
	require.Contains(t, body, `<span class="classical">X25519 (classical)</span>`)
	require.Contains(t, body, "established")
	require.Contains(t, body, `<a href="?conn=`+c.ID()+`">`)
	require.Contains(t, body, "slow_start")

	// What peers and programs choose is text.
	require.Contains(t, body, `&lt;script&gt;alert(&#34;alpn&#34;)&lt;/script&gt;`)
	require.NotRegexp(t, regexp.MustCompile(`(?i)<script|<b |onclick="`), body)

	resp, body = get(t, page, "/?conn="+c.ID())
	require.Equal(t, 200, resp.StatusCode)
	for _, row := range []string{"HandshakeFlights", "TLS.CipherSuite", "Streams.OpenStreams", "Drops.Duplicate", "SmoothedRTT"} {
		require.Contains(t, body, `<th scope="row">`+row+`</th>`)
	}
	require.Contains(t, body, "TLS_AES_128_GCM_SHA256")
	require.NotRegexp(t, regexp.MustCompile(`(?i)<script`), body)
	resp, body = get(t, page, "/?conn=%3Cscript%3E")
	require.Equal(t, 404, resp.StatusCode)
	require.NotContains(t, body, "script")

	remove()
	remove()
	_, body = get(t, page, "/")
	require.NotContains(t, body, "public")
	require.Contains(t, body, "other")

	w := httptest.NewRecorder()
	page.ServeHTTP(w, httptest.NewRequest("POST", "/", nil))
	require.Equal(t, 405, w.Code)
}
