//go:build unix

package browsertest_test

import (
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cmd/internal/browsertest"
	"github.com/pqquic/pqquic/internal/testcert"
	"github.com/pqquic/pqquic/quic"
	"github.com/pqquic/pqquic/quic/debug"
	"github.com/pqquic/pqquic/tlsprovider"
)

// protocol would run a script if the page of package debug did not escape it.
const protocol = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`

// The debug page shows endpoints and connections in a browser, wide and narrow, light and dark, runs nothing and
// loads nothing. BROWSER_SHOTS names a directory for screenshots.
func TestDebugPage(t *testing.T) {
	b := browsertest.Open(t)
	cert := testcert.New("localhost", "127.0.0.1")
	l, err := quic.Listen("udp", "127.0.0.1:0", &quic.Config{TLS: &tlsprovider.Config{
		NextProtos: []string{protocol, "echo"}, Certificates: []tlsprovider.Certificate{cert.Provider()}}})
	require.NoError(t, err)
	defer l.Endpoint().Close()
	var last *quic.Conn
	for i, groups := range [][]tlsprovider.Group{nil, nil, {tlsprovider.X25519}, nil} {
		proto := "echo"
		if i == 0 {
			proto = protocol
		}
		c, err := quic.Dial(t.Context(), "udp", l.Addr().String(), &quic.Config{
			TLS: &tlsprovider.Config{NextProtos: []string{proto}, RootCAs: cert.Roots(), Groups: groups}})
		require.NoError(t, err)
		defer c.CloseWithError(0, "")
		last, err = l.Accept(t.Context())
		require.NoError(t, err)
		s, err := c.OpenStream(t.Context())
		require.NoError(t, err)
		_, err = s.Write(make([]byte, 1+50_000*i))
		require.NoError(t, err)
		require.NoError(t, s.CloseWrite())
		peer, err := last.AcceptStream(t.Context())
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, peer)
		require.NoError(t, err)
	}
	page := debug.NewPage()
	page.Add("public <b>", l.Endpoint())
	server := httptest.NewServer(page)
	defer server.Close()

	shots := os.Getenv("BROWSER_SHOTS")
	for _, width := range []int{1500, 600} {
		for _, scheme := range []string{"light", "dark"} {
			b.Resize(width, 600)
			b.Scheme(scheme)
			for name, url := range map[string]string{"list": server.URL + "/", "conn": server.URL + "/?conn=" + last.ID()} {
				b.Visit(url)
				b.WantQuietAt(url)
				if shots != "" {
					b.Screenshot(filepath.Join(shots, fmt.Sprintf("debug-%s-%d-%s.png", name, width, scheme)))
				}
				var title string
				b.Evaluate("document.title", &title)
				require.Equal(t, "QUIC connections", title)
				var outside bool // the page itself does not scroll sideways; its tables do
				b.Evaluate("document.documentElement.scrollWidth > innerWidth", &outside)
				require.False(t, outside, "%s at %d", name, width)
			}
		}
	}
	b.Visit(server.URL + "/")
	var rows []string
	b.Evaluate("[...document.querySelectorAll('tbody tr')].map(r => r.cells[4].innerText)", &rows)
	require.ElementsMatch(t, []string{"X25519MLKEM768", "X25519MLKEM768", "X25519MLKEM768", "X25519 (classical)"}, rows)
	var protocols []string
	b.Evaluate("[...document.querySelectorAll('tbody tr')].map(r => r.cells[5].innerText)", &protocols)
	require.Contains(t, protocols, protocol)
	var heading string
	b.Evaluate("document.querySelector('h2').innerText", &heading)
	require.Contains(t, heading, "public <b> 127.0.0.1:")
	var link string
	b.Evaluate("document.querySelector('tbody a').href", &link)
	b.Visit(link)
	var h1 string
	b.Evaluate("document.querySelector('h1').innerText", &h1)
	require.Equal(t, "Connection "+last.ID(), h1)
}
