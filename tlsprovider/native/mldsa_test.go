package native

import (
	"crypto/tls"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

// TestWithoutMLDSA checks the errors of a Go release without ML-DSA, and that the others have it.
func TestWithoutMLDSA(t *testing.T) {
	p := New()
	if caps := p.Capabilities(); caps.PQAuth() {
		require.True(t, hasMLDSA)
		return
	}
	_, err := p.NewServer(&tlsprovider.Config{NextProtos: []string{"test"},
		Certificates: []tlsprovider.Certificate{tlstest.NamedCertificate(t, "ml-dsa-65")}})
	require.ErrorIs(t, err, tlsprovider.ErrUnsupported)
	require.ErrorContains(t, err, "certificate 0: the certificate has an ML-DSA-65 key")
	require.ErrorContains(t, err, "crypto/tls of "+runtime.Version()+" has no ML-DSA")
	_, err = p.NewClient(&tlsprovider.Config{NextProtos: []string{"test"}, RequirePQAuth: true})
	require.ErrorIs(t, err, tlsprovider.ErrUnsupported)
	require.ErrorContains(t, err, "RequirePQAuth: ")
	require.ErrorContains(t, err, "crypto/tls of "+runtime.Version()+" has no ML-DSA")
}

// TestLongTicket checks that a client does not keep a ticket with which its ClientHello would be too long.
func TestLongTicket(t *testing.T) {
	for length, kept := range map[int]int{8 << 10: 1, 8<<10 + 1: 0, 20 << 10: 0} {
		client, server, _ := tlstest.Configs(t)
		converted, err := tlsprovider.FromTLSConfig(&tls.Config{NextProtos: server.NextProtos,
			WrapSession: func(tls.ConnectionState, *tls.SessionState) ([]byte, error) { return make([]byte, length), nil }})
		require.NoError(t, err)
		converted.Certificates = server.Certificates
		for _, store := range []tlsprovider.ClientStore{nil, tlsprovider.NewClientStore(0, 0)} {
			client.ClientStore = store
			su := tlstest.Suite{Client: New(), Server: New()}
			pair := su.NewPair(t, client, converted)
			pair.MustRun(t)
			require.Equal(t, kept, pair.Tickets, "a ticket of %d bytes", length)
		}
	}
}
