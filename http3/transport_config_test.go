package http3

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
)

// A Transport takes a pool of authorities, as http.Transport does, and its connections resume sessions. A session that was verified with
// a pool is not used with another one.
func TestTransportWithPool(t *testing.T) {
	s := serve(t, earlyProvider, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), func(s *Server) { s.EarlyData = true })
	own := &signalStore{has: make(chan struct{})}
	connect := func(pool *x509.CertPool, method string) *tls.ConnectionState {
		tr := &Transport{Provider: earlyProvider, TLSClientConfig: &tls.Config{RootCAs: pool}}
		tr.prepare()
		require.NotNil(t, tr.dialer.base.TLS.ClientStore, "a Transport keeps sessions")
		if own.ClientStore == nil {
			own.ClientStore = tr.dialer.base.TLS.ClientStore
		}
		tr.dialer.base.TLS.ClientStore = own
		resp, _ := do(t, tr, newRequest(t, method, s.url("/"), nil))
		require.Equal(t, http.StatusOK, resp.StatusCode)
		<-own.has
		require.NoError(t, tr.Close())
		return resp.TLS
	}
	pool := testPKI().Pool()
	require.False(t, connect(pool, "GET").DidResume)
	require.False(t, connect(testPKI().Pool(), "GET").DidResume, "another pool")
	require.True(t, connect(pool, MethodGet0RTT).DidResume)
}

// A Transport uses the program's own cache of sessions, if there is one.
func TestTransportWithSessionCache(t *testing.T) {
	tr := &Transport{TLSClientConfig: &tls.Config{ClientSessionCache: tls.NewLRUClientSessionCache(1)}}
	tr.prepare()
	require.NoError(t, tr.dialer.err)
	require.Nil(t, tr.dialer.base.TLS.ClientStore)
	tr = &Transport{TLS: &tlsprovider.Config{DisableTickets: true}}
	tr.prepare()
	require.NoError(t, tr.dialer.err)
	require.Nil(t, tr.dialer.base.TLS.ClientStore)
}
