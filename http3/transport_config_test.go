//go:build !pqquic_fips && !pqquic_fips4

package http3

import (
	"crypto/tls"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// A Transport takes a pool of authorities, as http.Transport does.
func TestTransportWithPool(t *testing.T) {
	s := serve(t, nil, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), nil)
	tr := &Transport{TLSClientConfig: &tls.Config{RootCAs: testPKI().Pool()}}
	t.Cleanup(func() { require.NoError(t, tr.Close()) })
	resp, _ := do(t, tr, newRequest(t, "GET", s.url("/"), nil))
	require.Equal(t, http.StatusOK, resp.StatusCode)
}
