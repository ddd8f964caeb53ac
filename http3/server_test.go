//go:build !pqquic_fips && !pqquic_fips4

package http3

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
)

// echo answers with the method, the path and the body.
func echo(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_, _ = io.WriteString(w, r.Method+" "+r.URL.Path+" "+string(b))
}

func TestRequests(t *testing.T) {
	forProviders(t, func(t *testing.T, p tlsprovider.Provider) {
		s := serve(t, p, http.HandlerFunc(echo), nil)
		c := dialRaw(t, s)
		m := c.roundTrip(get("/hello")...)
		require.Equal(t, "200", m.status)
		require.Equal(t, "GET /hello ", m.body)
		require.Equal(t, "11", m.header.Get("Content-Length"))
		require.Equal(t, "text/plain; charset=utf-8", m.header.Get("Content-Type"))
		require.NotEmpty(t, m.header.Get("Date"))
		m = c.open(join(c.headers(post("/")...), data("one "), data("two"))).end().response()
		require.Equal(t, "POST / one two", m.body)
	})
}
