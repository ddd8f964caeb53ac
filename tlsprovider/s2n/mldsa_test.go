package s2n

import (
	"crypto/tls"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cgo/awslc"
	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

// newMLDSAProvider skips a test if the linked libraries have no ML-DSA.
func newMLDSAProvider(t *testing.T) tlsprovider.Provider {
	t.Helper()
	p := newProvider(t)
	if caps := p.Capabilities(); !caps.PQAuth() {
		t.Skip("needs a variant with ML-DSA")
	}
	return p
}

// TestVariantsWithMLDSA checks which variants have ML-DSA, and that the others name themselves in their errors.
func TestVariantsWithMLDSA(t *testing.T) {
	p := newProvider(t)
	caps := p.Capabilities()
	require.Equal(t, awslc.Variant == "" || awslc.Variant == "fips4", caps.PQAuth())
	if caps.PQAuth() {
		return
	}
	_, err := p.NewServer(&tlsprovider.Config{NextProtos: []string{"test"},
		Certificates: []tlsprovider.Certificate{tlstest.NamedCertificate(t, "ml-dsa-65")}})
	require.ErrorIs(t, err, tlsprovider.ErrUnsupported)
	require.ErrorContains(t, err, "certificate 0: the certificate has an ML-DSA-65 key")
	require.ErrorContains(t, err, "variant "+awslc.Variant)
	_, err = p.NewClient(&tlsprovider.Config{NextProtos: []string{"test"}, RequirePQAuth: true})
	require.ErrorIs(t, err, tlsprovider.ErrUnsupported)
	require.ErrorContains(t, err, "variant "+awslc.Variant)
}

// TestMLDSASigner checks handshakes whose CertificateVerify is signed elsewhere, for servers and clients.
func TestMLDSASigner(t *testing.T) {
	p := newMLDSAProvider(t)
	for level, name := range map[int]string{44: "ml-dsa-44", 65: "ml-dsa-65", 87: "ml-dsa-87"} {
		t.Run(name, func(t *testing.T) {
			cert := tlstest.NamedCertificate(t, name)
			seed := cert.KeyDER[len(cert.KeyDER)-32:]
			key, err := awslc.NewMLDSAKey(level, seed)
			require.NoError(t, err)
			cert.KeyDER, cert.Signer = nil, key
			roots := tlstest.NamedRoots(t, name)
			cfg := &tlsprovider.Config{NextProtos: []string{"test"}, Certificates: []tlsprovider.Certificate{cert}, RootCAs: roots,
				ClientCAs: roots, ClientAuth: tlsprovider.RequireClientCert, RequirePQAuth: true}
			pair := newPair(t, p, cfg, cfg)
			cs, ss := pair.MustRun(t)
			require.True(t, cs.PQAuth && ss.PQAuth)
			require.Equal(t, 2, pair.Signs)

			other, err := awslc.NewMLDSAKey(level, nil)
			require.NoError(t, err)
			cert.Signer = other
			wrong := *cfg
			wrong.Certificates = []tlsprovider.Certificate{cert}
			_, err = p.NewServer(&wrong)
			require.ErrorIs(t, err, errSignerKey)
		})
	}
}

// TestLongTicket checks that a client does not keep a ticket with which its ClientHello would be too long.
func TestLongTicket(t *testing.T) {
	p := newProvider(t)
	if caps := p.Capabilities(); !caps.Tickets {
		t.Skip("needs Tickets")
	}
	for length, kept := range map[int]int{7 << 10: 1, 9 << 10: 0, 20 << 10: 0} {
		client, server, _ := tlstest.Configs(t)
		converted, err := tlsprovider.FromTLSConfig(&tls.Config{NextProtos: server.NextProtos,
			WrapSession: func(tls.ConnectionState, *tls.SessionState) ([]byte, error) { return make([]byte, length), nil }})
		require.NoError(t, err)
		converted.Certificates = server.Certificates
		su := tlstest.Suite{Client: p, Server: native.New()}
		pair := su.NewPair(t, client, converted)
		pair.MustRun(t)
		require.Equal(t, kept, pair.Tickets, "a ticket of %d bytes", length)
	}
}

// TestMLDSAPolicies checks that a policy without ML-DSA is an error for a configuration that needs it.
func TestMLDSAPolicies(t *testing.T) {
	p := newMLDSAProvider(t)
	policy := "default"
	if awslc.Variant == "fips4" {
		policy = "default_fips"
	}
	_, err := p.NewServer(&tlsprovider.Config{NextProtos: []string{"test"}, Policy: policy,
		Certificates: []tlsprovider.Certificate{tlstest.NamedCertificate(t, "ml-dsa-65")}})
	require.ErrorContains(t, err, "policy "+policy+" does not have the scheme mldsa65")
	_, err = p.NewClient(&tlsprovider.Config{NextProtos: []string{"test"}, Policy: policy, RequirePQAuth: true})
	require.ErrorContains(t, err, "policy "+policy+" has no post-quantum signatures")
}
