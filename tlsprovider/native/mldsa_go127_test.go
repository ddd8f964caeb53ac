//go:build go1.27

package native

import (
	"crypto"
	"crypto/mldsa"
	"crypto/tls"
	"crypto/x509"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

const hasMLDSA = true

// elsewhere is a key of another type than *mldsa.PrivateKey, like one that is not in memory.
type elsewhere struct{ crypto.Signer }

// TestMLDSASigner checks handshakes whose CertificateVerify is signed elsewhere.
func TestMLDSASigner(t *testing.T) {
	p := New()
	if caps := p.Capabilities(); !caps.PQAuth() {
		t.Skip("the Go Cryptographic Module has no ML-DSA")
	}
	cert := tlstest.NamedCertificate(t, "ml-dsa-65")
	parsed, err := x509.ParsePKCS8PrivateKey(cert.KeyDER)
	require.NoError(t, err)
	key := parsed.(*mldsa.PrivateKey)
	converted, err := tlsprovider.CertificateFromTLS(tls.Certificate{Certificate: cert.Chain, PrivateKey: key})
	require.NoError(t, err)
	require.Equal(t, cert.KeyDER, converted.KeyDER)

	cert.KeyDER, cert.Signer = nil, elsewhere{key}
	roots := tlstest.NamedRoots(t, "ml-dsa-65")
	cfg := &tlsprovider.Config{NextProtos: []string{"test"}, Certificates: []tlsprovider.Certificate{cert}, RootCAs: roots,
		ClientCAs: roots, ClientAuth: tlsprovider.RequireClientCert, RequirePQAuth: true}
	su := tlstest.Suite{Client: p, Server: p}
	pair := su.NewPair(t, cfg, cfg)
	cs, ss := pair.MustRun(t)
	require.True(t, cs.PQAuth && ss.PQAuth)
	require.Equal(t, 2, pair.Signs)

	other, err := mldsa.GenerateKey(mldsa.MLDSA65())
	require.NoError(t, err)
	cert.Signer = elsewhere{other}
	cfg.Certificates = []tlsprovider.Certificate{cert}
	_, err = p.NewServer(cfg)
	require.ErrorContains(t, err, "does not belong")

	_, err = p.NewServer(&tlsprovider.Config{NextProtos: []string{"test"},
		Certificates: []tlsprovider.Certificate{tlstest.NamedCertificate(t, "ml-dsa-65-expanded")}})
	require.ErrorIs(t, err, tlsprovider.ErrUnsupported)
	require.ErrorContains(t, err, "an ML-DSA-65 private key without its seed")
	require.EqualValues(t, crypto.MLDSAMu, tlsprovider.MLDSAMu)
}
