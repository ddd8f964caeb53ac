//go:build go1.27

package probe

import (
	"crypto/tls"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cmd/internal/certs"
	"github.com/pqquic/pqquic/tlsprovider"
)

// Go 1.27 has ML-DSA over TCP, and in the native provider.
func TestPostQuantumAuthenticationWithGo(t *testing.T) {
	for _, root := range []certs.Algorithm{"ml-dsa-87", "ecdsa-p256"} {
		id := newIdentity(t, root, "ml-dsa-65")
		o := tcpOptions(id)
		r := Host(t.Context(), serveTCP(t, id, func(c *tls.Config) { c.MinVersion = tls.VersionTLS13 }), o)
		require.Empty(t, r.TCP.VerifyError)
		require.True(t, r.TCP.Verified)
		require.Equal(t, root == "ml-dsa-87", r.PQAuthentication)
		require.Equal(t, "ML-DSA-65", r.Chain[0].PublicKey)

		q := quicOptions(id)
		q.Providers = []tlsprovider.Provider{nativeProvider(t)}
		r = Host(t.Context(), serveQUIC(t, nativeProvider(t), id, nil), q)
		require.Equal(t, "mldsa65", r.QUIC.SignatureScheme)
		require.Equal(t, root == "ml-dsa-87", r.PQAuthentication)
	}
}
