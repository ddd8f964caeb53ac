package inspect

import (
	"crypto/x509"
	"encoding/asn1"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/cmd/internal/capturetest"
)

// relabel returns the test certificate with other algorithms, which Go's library does not know.
func relabel(t *testing.T, key, signature asn1.ObjectIdentifier) []byte {
	t.Helper()
	type algorithm struct {
		ID     asn1.ObjectIdentifier
		Params asn1.RawValue `asn1:"optional"`
	}
	type keyInfo struct {
		Algorithm algorithm
		Key       asn1.BitString
	}
	type body struct {
		Version                   int `asn1:"optional,explicit,default:0,tag:0"`
		Serial                    int
		Signature                 algorithm
		Issuer, Validity, Subject asn1.RawValue
		Key                       keyInfo
		Extensions                asn1.RawValue `asn1:"optional,explicit,tag:3"`
	}
	type certificate struct {
		Body      body
		Algorithm algorithm
		Signature asn1.BitString
	}
	cert := capturetest.Certificate()
	var c certificate
	_, err := asn1.Unmarshal(cert.X509.Raw, &c)
	require.NoError(t, err)
	c.Body.Key.Algorithm = algorithm{ID: key}
	c.Body.Signature, c.Algorithm = algorithm{ID: signature}, algorithm{ID: signature}
	der, err := asn1.Marshal(c)
	require.NoError(t, err)
	_, err = x509.ParseCertificate(der)
	require.NoError(t, err)
	return der
}

func TestAlgorithms(t *testing.T) {
	for id, name := range map[int]string{17: "ML-DSA-44", 18: "ML-DSA-65", 19: "ML-DSA-87"} {
		oid := asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, id}
		var c Certificate
		c.describe(relabel(t, oid, oid))
		require.Equal(t, name, c.PublicKey)
		require.Equal(t, name, c.SignatureAlgorithm)
		require.True(t, c.PostQuantum)
		// An ML-DSA key with a signature of a classical authority.
		c = Certificate{}
		c.describe(relabel(t, oid, asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}))
		require.Equal(t, name, c.PublicKey)
		require.Equal(t, "ECDSA-SHA256", c.SignatureAlgorithm)
	}
	for id, name := range map[uint16]string{0x0403: "ecdsa_secp256r1_sha256", 0x0904: "mldsa44", 0x0905: "mldsa65", 0x0906: "mldsa87"} {
		require.Equal(t, name, schemeOf(id).Name)
	}
}
