package certs

import (
	"crypto/x509"
	"encoding/pem"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pqquic/pqquic/tlsprovider"
	"github.com/pqquic/pqquic/tlsprovider/native"
	"github.com/pqquic/pqquic/tlsprovider/s2n"
	"github.com/pqquic/pqquic/tlsprovider/tlstest"
)

func validity() Validity { return Validity{time.Now().Add(-time.Hour), time.Now().Add(time.Hour)} }

// needMLDSA skips a test if the program makes no ML-DSA keys.
func needMLDSA(t *testing.T) {
	t.Helper()
	if _, err := NewKey("ml-dsa-44"); err != nil {
		require.Empty(t, os.Getenv("PQQUIC_REQUIRE_LINKED"), "%v", err)
		t.Skip(err)
	}
}

// provider returns a provider that verifies ML-DSA.
func provider(t *testing.T) tlsprovider.Provider {
	t.Helper()
	n := native.New()
	if caps := n.Capabilities(); caps.PQAuth() {
		return n
	}
	p, err := s2n.New()
	require.NoError(t, err)
	return p
}

// TestHandshakes checks chains of two algorithms each in a handshake in which both sides verify them.
func TestHandshakes(t *testing.T) {
	needMLDSA(t)
	p := provider(t)
	algorithms := []Algorithm{"ecdsa-p256", "ecdsa-p384", "rsa-2048", "ml-dsa-44", "ml-dsa-65", "ml-dsa-87"}
	for i, root := range algorithms {
		leaf := algorithms[(i+2)%len(algorithms)]
		ca, err := NewRoot("root", root, validity())
		require.NoError(t, err)
		middle, err := ca.NewCA("middle", algorithms[(i+1)%len(algorithms)], validity())
		require.NoError(t, err)
		id, err := middle.NewLeaf("leaf", []string{"server.test", "127.0.0.1"}, leaf, validity())
		require.NoError(t, err)
		for _, form := range []KeyForm{Seed, Both} {
			if form == Both && !strings.HasPrefix(string(leaf), "ml-dsa") {
				_, err := MarshalKey(id.Key, form)
				require.ErrorContains(t, err, "only for ML-DSA")
				continue
			}
			key, err := MarshalKey(id.Key, form)
			require.NoError(t, err)
			keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
			again, err := ParseIdentity(id.ChainPEM(), keyPEM)
			require.NoError(t, err)
			require.Equal(t, id.Chain, again.Chain)
			sameKey, err := MarshalKey(again.Key, form)
			require.NoError(t, err)
			require.Equal(t, key, sameKey)

			cert, err := tlsprovider.CertificateFromPEM(id.ChainPEM(), keyPEM)
			require.NoError(t, err)
			require.Len(t, cert.Chain, 2)
			roots, err := tlsprovider.RootsFromPEM(ca.ChainPEM())
			require.NoError(t, err)
			cfg := &tlsprovider.Config{NextProtos: []string{"test"}, Certificates: []tlsprovider.Certificate{cert}, RootCAs: roots,
				ClientCAs: roots, ClientAuth: tlsprovider.RequireClientCert}
			su := tlstest.Suite{Client: p, Server: p}
			cs, ss := su.NewPair(t, cfg, cfg).MustRun(t)
			require.Equal(t, leaf, AlgorithmOf(id.cert))
			pq := !slices.ContainsFunc([]Algorithm{root, AlgorithmOf(middle.cert), leaf}, func(a Algorithm) bool {
				return !strings.HasPrefix(string(a), "ml-dsa")
			})
			require.Equal(t, [2]bool{pq, pq}, [2]bool{cs.PQAuth, ss.PQAuth}, "%s %s", root, leaf)
		}
	}
}

func TestErrors(t *testing.T) {
	_, err := NewKey("dsa")
	require.ErrorContains(t, err, `unknown key algorithm "dsa": use one of ecdsa-p256`)
	_, err = ParseIdentity(nil, nil)
	require.ErrorContains(t, err, "no certificate")
	ca, err := NewRoot("root", "ed25519", validity())
	require.NoError(t, err)
	_, err = ParseIdentity(ca.ChainPEM(), ca.ChainPEM())
	require.ErrorContains(t, err, "no PRIVATE KEY")
	needMLDSA(t)
	key, err := NewKey("ml-dsa-65")
	require.NoError(t, err)
	_, err = MarshalKey(key, "half")
	require.ErrorContains(t, err, `unknown form "half"`)
	expanded, err := MarshalKey(key, Expanded)
	require.NoError(t, err)
	_, err = ParseKey(expanded)
	require.ErrorContains(t, err, "no seed")
	// crypto/x509 reads an authority with an ML-DSA key of an Ed25519 issuer.
	sub, err := ca.NewCA("sub", "ml-dsa-44", validity())
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(sub.Chain[0])
	require.NoError(t, err)
	require.NoError(t, parsed.CheckSignatureFrom(ca.cert))
	require.Len(t, parsed.SubjectKeyId, 20)
	require.Equal(t, ca.cert.SubjectKeyId, parsed.AuthorityKeyId)
}
