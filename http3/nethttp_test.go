package http3

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A result is what a client sees of a response, whatever the version.
type result struct {
	status          string
	header, trailer http.Header
	body            string
}

// normalize removes what differs between versions or with time.
func (r *result) normalize() {
	if r.header.Get("Date") != "" {
		r.header.Set("Date", "present")
	}
	for name := range r.header {
		if isConnectionSpecific(name) {
			r.header.Del(name) // HTTP/1.1 has them
		}
	}
	trailer := http.Header{}
	for name, values := range r.trailer {
		if values != nil { // otherwise it was announced, but not sent
			trailer[name] = values
		}
	}
	r.trailer = trailer
}

// The handlers of TestResponses have the same results with net/http's HTTP/1.1 and HTTP/2 and with this package. Those that write
// little and those that write much, flush, declare a length or trailers.
func TestResponsesAreThoseOfNetHTTP(t *testing.T) {
	mux := http.NewServeMux()
	for name, tc := range responses {
		mux.HandleFunc("/"+strings.ReplaceAll(name, " ", "-"), tc.handler)
	}
	h3 := serve(t, nil, mux, nil)
	c := dialRaw(t, h3)
	servers := map[string]*httptest.Server{}
	for _, version := range []string{"HTTP/1.1", "HTTP/2"} {
		s := httptest.NewUnstartedServer(mux)
		s.EnableHTTP2 = version == "HTTP/2"
		s.Config.ErrorLog = log.New(io.Discard, "", 0) // handlers may panic about what only HTTP/3 does
		s.StartTLS()
		defer s.Close()
		servers[version] = s
	}
	for name, tc := range responses {
		t.Run(name, func(t *testing.T) {
			method, path := tc.method, "/"+strings.ReplaceAll(name, " ", "-")
			if method == "" {
				method = "GET"
			}
			c := *c
			c.TB = t
			m := c.roundTrip(append([]string{":method", method}, get(path)[2:]...)...)
			ours := result{m.status, m.header, m.trailer, m.body}
			ours.normalize()
			ours.header.Del("Trailer") // net/http's clients move it to Response.Trailer
			for version, s := range servers {
				if differs[version][name] {
					continue
				}
				req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, nil)
				require.NoError(t, err)
				req.Header.Set("Accept-Encoding", "identity")
				resp, err := s.Client().Do(req)
				require.NoError(t, err)
				require.Equal(t, version == "HTTP/2", resp.ProtoMajor == 2)
				b, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())
				theirs := result{resp.Status[:3], resp.Header, resp.Trailer, string(b)}
				theirs.normalize()
				require.Equal(t, theirs, ours, version)
			}
		})
	}
}

// differs are the handlers whose results differ with reason.
var differs = map[string]map[string]bool{
	"HTTP/1.1": {
		"fields that cannot be sent": true, // names are sent as they are
		"declared trailers":          true, // need chunks, which have no Content-Length
		"trailers with the prefix":   true, // Content-Length is sent there
		"204":                        true, // the connection breaks: Content-Length does not fit
		"304":                        true, // Content-Length is left out
	},
	"HTTP/2": {
		"204": true, // its client expects the content of Content-Length
		"304": true, // the same
	},
}
