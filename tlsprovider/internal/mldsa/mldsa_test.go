package mldsa

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

func noRoot([]byte) bool { return false }

func TestKeys(t *testing.T) {
	for level, length := range map[Level]int{44: 1312, 65: 1952, 87: 2592} {
		c := tlstest.NamedCertificate(t, "ml-dsa-"+level.String()[len("ML-DSA-"):])
		got, public := Key(c.Chain[0])
		require.Equal(t, level, got)
		require.Len(t, public, length)
		require.True(t, level.Scheme().PostQuantum())
		got, seed := PrivateKey(c.KeyDER)
		require.Equal(t, level, got)
		require.Equal(t, c.KeyDER, seed)
		for n := range c.Chain[0] {
			got, _ := Key(c.Chain[0][:n])
			require.Zero(t, got, "cut to %d bytes", n)
		}
	}
	level, seed := PrivateKey(tlstest.NamedCertificate(t, "ml-dsa-65-expanded").KeyDER)
	require.Equal(t, Level(65), level)
	require.Nil(t, seed)
	level, seed = PrivateKey(tlstest.NamedCertificate(t, "ml-dsa-65-both").KeyDER)
	require.Equal(t, Level(65), level)
	require.Len(t, seed, len(tlstest.NamedCertificate(t, "ml-dsa-65").KeyDER))
	ec := tlstest.NamedCertificate(t, "ecdsa-p256")
	level, _ = Key(ec.Chain[0])
	require.Zero(t, level)
	level, _ = PrivateKey(ec.KeyDER)
	require.Zero(t, level)
	require.Zero(t, Level(0).Scheme())
}

// TestOtherAlgorithms checks that Key reads the algorithm of the key, and that HashML-DSA is not ML-DSA.
func TestOtherAlgorithms(t *testing.T) {
	der := tlstest.NamedCertificate(t, "ml-dsa-65").Chain[0]
	id := []byte{0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x03, 0x12}
	require.Equal(t, 3, bytes.Count(der, id))
	for _, nested := range []int{0, 1} {
		altered := bytes.Clone(der)
		at := bytes.Index(altered, id)
		for range nested {
			at += len(id) + bytes.Index(altered[at+len(id):], id)
		}
		altered[at+len(id)-1] = 0x20 // HashML-DSA-44
		level, _ := Key(altered)
		require.Equal(t, nested == 0, level == 65)
	}
}

// TestAuthenticated checks chains that handshakes of tlstest do not have. A quantum computer could forge them.
func TestAuthenticated(t *testing.T) {
	pq := tlstest.NamedCertificate(t, "ml-dsa-intermediate")
	scheme := tlsprovider.SignatureScheme(0x0904)
	require.NoError(t, Authenticated(scheme, pq.Chain, noRoot))
	require.ErrorContains(t, Authenticated(0x0403, pq.Chain, noRoot), "CertificateVerify is signed with ecdsa_secp256r1_sha256")
	require.ErrorContains(t, Authenticated(scheme, nil, noRoot), "no certificate")
	require.ErrorContains(t, Authenticated(scheme, [][]byte{{1}}, noRoot), "does not parse")

	// This certificate has the same name as its issuer and is signed by another key of that name.
	oldKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	newKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"},
		NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, newKey.Public(), oldKey)
	require.NoError(t, err)
	chain := append(pq.Chain[:len(pq.Chain):len(pq.Chain)], der)
	require.ErrorContains(t, Authenticated(scheme, chain, noRoot), "certificate 2 of the peer is signed with ECDSA with SHA-256")
	require.NoError(t, Authenticated(scheme, chain, func(c []byte) bool { return bytes.Equal(c, der) }))
}
