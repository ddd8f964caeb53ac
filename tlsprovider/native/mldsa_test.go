package native

import (
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
